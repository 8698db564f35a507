"""What can be measured in dreams of the corridor: whether walker and lamp are where they must be.

N transitions.
"""

from typing import Any, NamedTuple

import numpy as np

from tests.toy_world.policies import places
from world_models.evaluation.evaluator import Evaluator, Runs, Target, mean


class Places(NamedTuple):
    """Decoded from the real and the dreamed next frames, (N,) each."""

    walker: np.ndarray
    lamp: np.ndarray
    dreamed_walker: np.ndarray
    dreamed_lamp: np.ndarray


class CorridorEvaluator(Evaluator):
    """Decodes places from frames."""

    card = ("rules.walker_right", "rules.lamp_right")
    targets = (Target("rules.walker_right", "walker where it must be", least=0.99),)

    def decode_batch(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> Places:
        return Places(*places(real), *places(dreamed))

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict[str, Any]:
        decoded: Places = runs.one_step.decoded
        return {
            "walker_right": mean(decoded.walker == decoded.dreamed_walker),
            "lamp_right": mean(decoded.lamp == decoded.dreamed_lamp),
        }
