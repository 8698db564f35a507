"""The scorecard of a world: the targets of its evaluator, and what was measured of each."""

import re
from typing import Any, NamedTuple

from world_models.evaluation.evaluator import Evaluator, Target
from world_models.evaluation.worlds.table import find_evaluator


class Row(NamedTuple):
    """A target and what was measured of it.

    `value` is None where nothing was, `passed` where the target has no bound.
    """

    target: Target
    value: float | None
    passed: bool | None


def rows(world: str, figures: dict, card: dict) -> list[Row]:
    """The scorecard: figures of evaluation.json, else those of the model card."""
    own = find_evaluator(world).targets
    paths = {target.path for target in own}
    shown = [*own, *(target for target in Evaluator.targets if target.path not in paths)]
    found = []
    for target in shown:
        value = at(figures, target.path)
        value = _of_card(card, target.path) if value is None else value
        found.append(Row(target, value, _passed(target, value)))
    return found


def at(figures: Any, path: str) -> float | None:
    """The number at a dotted path, None where there is none."""
    for key in path.split("."):
        figures = figures.get(key) if isinstance(figures, dict) else None
    is_number = isinstance(figures, int | float) and not isinstance(figures, bool)
    return float(figures) if is_number else None


def _of_card(card: dict, path: str) -> float | None:
    """A card calls the one-step classes `reward.f1[1]` and `termination.f1`."""
    short = re.sub(r"^reward\.one_step\.classes\.(.+)\.f1$", r"reward.f1[\1]", path)
    value = card.get(short, card.get(path.replace("termination.one_step", "termination")))
    return float(value) if isinstance(value, int | float) else None


def _passed(target: Target, value: float | None) -> bool | None:
    if value is None or (target.least is None and target.most is None):
        return None
    return (target.least is None or value >= target.least) and (
        target.most is None or value <= target.most
    )
