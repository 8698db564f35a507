"""The figures of whole games as a table for a terminal: dream beside real, each with interval."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = ("return", "length", "events_per_1000", "final_score", "ends_by_the_rules")


def game_table(figures: Mapping[str, Any]) -> str:
    """Lines of `game`, `rules.counts`, `hold`, `loop_closure` and `trust.min_trust` of
    evaluation.json; "" of none.
    """
    rows = list(_rows(figures))
    if not rows:
        return ""
    head = (
        f"{'':44s} {'value':>9s} {'95 % interval':>19s} {'dream':>9s} {'real':>9s} {'samples':>7s}"
    )
    lines = [_line(name, figure) for name, figure in rows]
    lines += [
        f"game.{policy}: {found['omitted']}"
        for policy, found in _measured(figures.get("game")).items()
        if "omitted" in found
    ]
    return "\n".join([head, *lines])


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping]]:
    """(name, figure) of everything that was measured."""
    for policy, found in _measured(figures.get("game")).items():
        if "omitted" in found:
            continue
        for name in SHOWN:
            yield f"game.{policy}.{name}", found[name]
        for name, figure in found["events"].items():
            yield f"game.{policy}.events.{name}", figure
    counts = _measured(figures.get("rules", {}).get("counts"))
    if counts:
        yield "rules.counts", counts
    for depth, found in _measured(figures.get("hold")).items():
        for name in ("sharpness", "kid", "counts"):
            if "value" in found.get(name, {}):
                yield f"hold.{depth}.{name} ({found['policy']})", found[name]
    for steps, figure in _measured(figures.get("loop_closure")).items():
        yield f"loop_closure.{steps}", figure
        if _measured(figure.get("in_sight")):
            yield f"loop_closure.{steps}.in_sight", figure["in_sight"]
    cut = _measured(figures.get("trust", {}).get("min_trust"))
    if cut:
        for side in ("without", "with"):
            for name, figure in cut[side].items():
                yield f"trust.min_trust.{side}.{name} ({cut['policy']})", figure
        yield f"trust.min_trust.cuts_per_1000 ({cut['policy']})", cut["cuts_per_1000"]


def _measured(found: Any) -> Mapping[str, Any]:
    """The figures, {} where there are none or they were omitted."""
    return found if isinstance(found, Mapping) and "omitted" not in found else {}


def _line(name: str, figure: Mapping[str, Any]) -> str:
    low_high = figure.get("interval")
    interval = f"[{low_high[0]:.3g}, {low_high[1]:.3g}]" if low_high else ""
    means = [_number(figure.get(side)) for side in ("dream", "real")]
    value, samples = _number(figure.get("value")), figure.get("samples", "")
    return f"{name:44s} {value:>9s} {interval:>19s} {means[0]:>9s} {means[1]:>9s} {samples!s:>7s}"


def _number(figure: Any) -> str:
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    return "" if value is None else f"{value:.4g}"
