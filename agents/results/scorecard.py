"""The scorecard of a bundle: its goals, what was measured of each, and in which file."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.results.figures import Figure, as_number, find_figure, find_value
from agents.results.goals import keys_of, targets_of
from agents.results.released import SPREAD, Source
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
        if {"one_step", "transfer", SPREAD} & source.figures.keys()
    ]


def rows(world: str, sources: Sequence[Given]) -> list[Row]:
    """The scorecard: every figure from the first source that has it, whole."""
    found = []
    for target in targets_of(world):
        found += [_row(one, sources) for one in _spelled_out(target, world, sources)]
    measured = {row.target.title for row in found if row.figure}
    titles: dict[str, Row] = {}
    for row in found:  # a figure that is measured under two names is shown once
        if row.figure or row.target.title not in measured:
            titles.setdefault(row.target.title, row)
    return list(titles.values())


def _row(goal: Target, sources: Sequence[Given]) -> Row:
    for source in sources:
        target = _of_terminations(goal, source.figures)
        find = _of_card if source.name == CARD else find_figure
        figure = find(source.figures, target.path)
        if figure is not None:
            return Row(target, figure, source.name, _passed(target, figure.value))
    return Row(goal, None, None, None)


def _of_terminations(target: Target, figures: Mapping) -> Target:
    """Where no rules of a world say how a game ends, its share of terminated games is compared to
    the game's: some of both are cut by the limit of steps.
    """
    whole, _, kind = target.path.rpartition(".")
    if kind != "dream" or not whole.endswith("ends_by_the_rules"):
        return target
    measured_by = find_value(figures, f"{whole}.measured_by")
    if not str(measured_by).startswith("termination"):
        return target
    return target._replace(path=whole, least=None)


def _spelled_out(
    target: Target, world: str, sources: Sequence[Given], words: tuple[str, ...] = ()
) -> list[Target]:
    """A goal with a `*` once for each key that should be there or that any source has; as one where
    no source has any. Its title has the keys where `{}` or `{0}` is.
    """
    before, star, after = target.path.partition("*")
    if not star:
        return [target._replace(title=target.title.format(*words) if words else target.title)]
    keys = [key for source in sources for key in _keys(source.figures, before, after)]
    if not keys:
        return [] if words else [target._replace(title=_without_keys(target.title))]
    keys += keys_of(before.strip("."), world)
    spelled = [
        _spelled_out(
            target._replace(path=f"{before}{key}{after}"), world, sources, (*words, _words(key))
        )
        for key in dict.fromkeys(keys)
    ]
    return [one for several in spelled for one in several]


def _without_keys(title: str) -> str:
    """A title without the part that its keys would fill."""
    return title.replace("{1}", "each event").partition(":")[0]


def _keys(figures: Any, before: str, after: str) -> list[str]:
    """Keys at `before` under which the rest of a path leads to a figure, or to more keys."""
    below = figures
    for key in before.strip(".").split("."):
        below = below.get(key) if isinstance(below, Mapping) else None
    if not isinstance(below, Mapping):
        return []
    if "*" in after:
        return [key for key, inner in below.items() if isinstance(inner, Mapping)]
    return [key for key in below if find_figure(below, f"{key}{after}") is not None]


def _words(key: str) -> str:
    """A key as a person reads it: policy names as they are, depths as steps."""
    if not key.isdigit():
        return key.replace("_", " ")
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
