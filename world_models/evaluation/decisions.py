"""Does the dream choose well? The `decisions` figures of evaluation.json.

N states, S action sequences from each, T steps. The dream ranks the sequences by its return; what
counts is the real return of the one that it ranks first (as in model predictive control; compare
WorldModelGym's decision regret).
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from collectors.progress import progress
from world_models.evaluation.estimates import estimate, share_estimate
from world_models.evaluation.rollouts import device_of, on_cpu, to_model
from world_models.lanes import take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, Context, SamplingOptions, WorldModel

EQUAL = 1e-4  # returns that differ by less are equal
SEED = 3_000_017  # of the first sequence's noise
LANES = 128  # sequences dreamed at a time


class Choices(NamedTuple):
    """Real states, and what followed in the real game from S action sequences in each."""

    context: Context  # N of them
    actions: np.ndarray  # (N, S, T) int64; past `lengths` they mean nothing
    lengths: np.ndarray  # (N,) int64: steps of every sequence of that state, 1 to T
    returns: np.ndarray  # (N, S) float64: what they paid in the real game

    @property
    def matters(self) -> np.ndarray:
        """(N,) bool: the returns differ, so that there is something to choose."""
        return np.ptp(self.returns, 1) > EQUAL

    def take(self, rows: np.ndarray) -> "Choices":
        """Those of some states, (M,) int64."""
        context = Context(*take_lanes(self.context, torch.from_numpy(rows)))
        return Choices(context, self.actions[rows], self.lengths[rows], self.returns[rows])


@torch.inference_mode()
def dreamed_returns(
    model: WorldModel, choices: Choices, options: SamplingOptions = DEFAULT_OPTIONS
) -> np.ndarray:
    """(N, S) sums of the dreamed rewards, up to the dreamed end or the sequence's."""
    states, sequences, _ = choices.actions.shape
    actions = torch.from_numpy(choices.actions.reshape(states * sequences, -1))
    lengths = torch.from_numpy(np.repeat(choices.lengths, sequences))
    owner = torch.arange(states).repeat_interleave(sequences)
    found = torch.zeros(len(actions))
    order = lengths.argsort()  # those of one length together: no step is dreamed for nothing
    for lanes in progress(order.split(LANES), desc="decisions"):
        state = model.init(to_model(Context(*take_lanes(choices.context, owner[lanes])), model))
        noise = to_model(NoiseStream.from_seeds(lanes + SEED), model)
        running = torch.ones(len(lanes), dtype=torch.bool)
        for step in range(int(lengths[lanes].max())):
            running &= step < lengths[lanes]
            action = actions[lanes, step].to(device_of(model))
            dream = model.step(state, action, noise, options)
            state, noise, dream = dream.state, noise.next(), on_cpu(dream)
            found[lanes] += dream.reward * running
            running &= ~dream.termination
    return found.double().numpy().reshape(states, sequences)


def decision_figures(
    real: np.ndarray, dreamed: np.ndarray, generator: np.random.Generator
) -> dict[str, Any]:
    """{"hit_rate", "regret", ...} of real and dreamed returns (N, S), every real row varying.

    hit_rate: how often the sequence that the dream ranks first is one of the best; regret: what its
    real return lacks, 0 for the best of the state's sequences and 1 for the worst. Of sequences
    that the dream ranks first together each is taken with equal chance. `_by_chance`: what a choice
    without a dream gives.
    """
    best, worst = real.max(1, keepdims=True), real.min(1, keepdims=True)
    good = real >= best - EQUAL
    lack = (best - real) / np.maximum(best - worst, EQUAL)
    first = dreamed >= dreamed.max(1, keepdims=True) - EQUAL if len(real) else np.zeros(real.shape)
    share = first / np.maximum(first.sum(1, keepdims=True), 1)
    if not len(real):
        nothing = estimate(None, None, 0)
        return {"hit_rate": nothing, "regret": nothing}
    return {
        "hit_rate": share_estimate((share * good).sum(1), generator),
        "regret": share_estimate((share * lack).sum(1), generator),
        "hit_rate_by_chance": float(good.mean()),
        "regret_by_chance": float(lack.mean()),
    }
