"""CoinRun's evaluator: the general one, with targets of its own and a count of players."""

import numpy as np

from world_models.evaluation.action_probe import ProbingEvaluator
from world_models.evaluation.evaluator import GameStep, Moved, Target
from world_models.evaluation.shape_counts import find_shapes

# The cream of the player's body, in the easy mode: warm and bright. Ground and saws are bluish,
# crates and the edges of the ground far redder, coins far yellower. Where a dream blurs the edge of
# the ground, brown and gray mix to cream as well, but never as bright as the body.
LEAST_RED, BLUE_GAP, GREEN_GAP = 205, (20, 65), (3, 25)
LEAST_AREA = 4  # pixels; a body has 9 to 12


class CoinRunEvaluator(ProbingEvaluator):
    """CoinRun's engine hides its state, so frames and outcomes are compared, and actions probed.

    Players are counted by color, as the easy mode draws them.
    """

    targets = (
        Target("one_step.psnr", "next frame, PSNR", 31, unit="dB"),
        Target("rollout.psnr.10", "10 steps deep, PSNR", 23, unit="dB"),
        Target("rollout.psnr.32", "32 steps deep, PSNR", 18, unit="dB"),
        Target("reward.one_step.classes.10.f1", "reward 10, F1", 0.9),
        Target("termination.one_step.f1", "game over, F1", 0.9),
    )
    things = {"players": 1}
    opposites = (("right", "left"),)

    def count_things(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Bodies of cream pixels, anywhere in the frame."""
        red, green, blue = np.moveaxis(state[..., -3:].astype(np.int16), -1, 0)
        gaps = ((red - blue, BLUE_GAP), (red - green, GREEN_GAP))
        cream = (red > LEAST_RED) & np.logical_and.reduce(
            [(gap >= low) & (gap <= high) for gap, (low, high) in gaps]
        )
        found = find_shapes(cream)
        return {"players": found.counts(len(state), found.area >= LEAST_AREA)}

    def game_step(self, before: np.ndarray, moved: Moved, after: np.ndarray) -> GameStep:
        return GameStep(
            {"coins": moved.reward > 0, "deaths": moved.termination & ~(moved.reward > 0)}
        )
