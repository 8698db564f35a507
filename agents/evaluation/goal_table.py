"""The figures of an evaluation beside what they should be, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from agents.results.scorecard import Given, Row, rows
from agents.results.tables import range_text

ELSEWHERE = ("game.", "hold.", "loop_closure.", "rules.counts", "trust.min_trust")  # `game_table`


def goal_table(world: str, figures: Mapping[str, Any]) -> str:
    """A line per goal of the world that was measured: figure, interval, samples, goal; "" of none.

    Those of whole games are left to `game_table`.
    """
    found = [
        row
        for row in rows(world, [Given("", figures)])
        if row.figure is not None and not row.target.path.startswith(ELSEWHERE)
    ]
    if not found:
        return ""
    head = f"{'':44s} {'value':>9s} {'95 % interval':>19s} {'samples':>8s}  goal; beside it"
    return "\n".join([head, *map(_line, found)])


def _line(row: Row) -> str:
    figure, target = row.figure, row.target
    assert figure is not None
    interval = "[{:.3g}, {:.3g}]".format(*figure.interval) if figure.interval else ""
    samples = "" if figure.samples is None else str(figure.samples)
    goal = "" if row.passed is None else range_text(target, ">=", "<=")
    goal += {True: ", met", False: ", missed", None: ""}[row.passed]
    title = f"{target.title} ({target.unit})" if target.unit else target.title
    beside = ", ".join(f"{name} {value:.4g}" for name, value in figure.beside.items())
    text = "; ".join(filter(None, (goal, beside)))
    return f"{title:44s} {figure.value:>9.4g} {interval:>19s} {samples:>8s}  {text}".rstrip()
