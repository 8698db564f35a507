"""The scorecard of a bundle: its goals, what was measured of each, and in which file."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.results.figures import Figure, as_number, find_figure
from agents.results.goals import targets_of
from agents.results.released import Source
from world_models.evaluation.evaluator import Target

CARD = "model card"


class Row(NamedTuple):
    """A goal, and one measurement of it.

    `figure` and `source` are None where nothing was measured, `passed` where there is no bound.
    """

    target: Target
    figure: Figure | None
    source: str | None
    passed: bool | None


class Given(NamedTuple):
    """Figures and the name that a reader knows their source by."""

    name: str
    figures: Mapping[str, Any]


def given(sources: Sequence[Source]) -> list[Given]:
    """Files of released figures as sources of a scorecard; speeds are not in it."""
    return [
        Given(source.name, source.figures)
        for source in sources
        if "one_step" in source.figures or "transfer" in source.figures
    ]


def rows(world: str, sources: Sequence[Given]) -> list[Row]:
    """The scorecard: every figure from the first source that has it, whole."""
    found = []
    for target in targets_of(world):
        found += [_row(one, sources) for one in _spelled_out(target, sources)]
    measured = {row.target.title for row in found if row.figure}
    titles: dict[str, Row] = {}
    for row in found:  # a figure that is measured under two names is shown once
        if row.figure or row.target.title not in measured:
            titles.setdefault(row.target.title, row)
    return list(titles.values())


def _row(target: Target, sources: Sequence[Given]) -> Row:
    for source in sources:
        find = _of_card if source.name == CARD else find_figure
        figure = find(source.figures, target.path)
        if figure is not None:
            return Row(target, figure, source.name, _passed(target, figure.value))
    return Row(target, None, None, None)


def _spelled_out(target: Target, sources: Sequence[Given]) -> list[Target]:
    """A goal with a `*` once for each key that any source has there; itself where none has."""
    before, star, after = target.path.partition("*")
    if not star:
        return [target]
    keys: dict[str, None] = {}
    for source in sources:
        below: Any = source.figures
        for key in before.strip(".").split("."):
            below = below.get(key) if isinstance(below, Mapping) else None
        if isinstance(below, Mapping):
            keys |= {k: None for k in below if find_figure(below, f"{k}{after}") is not None}
    named = [
        target._replace(path=f"{before}{key}{after}", title=target.title.format(_words(key)))
        for key in keys
    ]
    return named or [target._replace(title=target.title.partition(":")[0])]


def _words(key: str) -> str:
    """A key as a person reads it: policy names as they are, depths as steps."""
    if not key.isdigit():
        return key
    return f"{int(key):,} step{'s' * (key != '1')}".replace(",", " ")


def _of_card(card: Mapping, path: str) -> Figure | None:
    """A card has bare numbers, and calls the one-step classes `reward.f1[1]`, `termination.f1`."""
    short = re.sub(r"^reward\.one_step\.classes\.(.+)\.f1$", r"reward.f1[\1]", path)
    value = as_number(
        card.get(short, card.get(path.replace("termination.one_step", "termination")))
    )
    return None if value is None else Figure(value, None, None)


def _passed(target: Target, value: float) -> bool | None:
    if target.least is None and target.most is None:
        return None
    return (target.least is None or value >= target.least) and (
        target.most is None or value <= target.most
    )
