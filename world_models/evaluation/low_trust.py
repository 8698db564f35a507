"""What `min_trust` does to a game: dreams that are cut where trust is low, beside whole ones.

`trust.min_trust` of evaluation.json. T steps, L lanes.
"""

from typing import Any

import numpy as np

from world_models.evaluation.estimates import mean_estimate
from world_models.evaluation.game_figures import WHOLE, game_figures
from world_models.evaluation.game_play import GamePlay

COMPARED = ("return", "length", "events_per_1000")


def min_trust_figures(
    cut: GamePlay,
    whole: GamePlay,
    real: GamePlay,
    limit: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """{"cuts_per_1000", "with", "without"}: how often dreams were cut, per 1 000 steps, and
    `COMPARED`, each as `compared` gives it, of dreams that are `cut` and of `whole` ones of the
    same policy, beside the real game; `limit` is the game's own, in steps.

    A cut ends a dream as a truncation does: its return is what was earned until then, and the lane
    goes on in another dream.
    """
    plays = {"with": cut, "without": whole}
    figures = {name: game_figures(play, real, limit, generator) for name, play in plays.items()}
    return {
        "cuts_per_1000": mean_estimate(WHOLE * cut.truncations.mean(0), generator),
        **{name: {key: found[key] for key in COMPARED} for name, found in figures.items()},
    }
