"""The figures of whole games as a table for a terminal: dream beside real, each with interval."""

from collections.abc import Iterator, Mapping
from typing import Any

LABELS = {  # of a game's figures, in the order in which they are shown
    "return": "return",
    "length": "length of a game",
    "events_per_1000": "events per 1 000 steps",
    "final_score": "final score",
    "ends_by_the_rules": "games that end by the rules",
}
DEEP = {
    "sharpness": "sharpness",
    "kid": "KID to the game",
    "counts": "things counted right",
}
CUT = {"without": "not cut", "with": "cut at low trust"}


def game_table(figures: Mapping[str, Any]) -> str:
    """Lines of `game`, `rules.counts`, `hold`, `loop_closure` and `trust.min_trust` of
    evaluation.json; "" of none.
    """
    rows = list(_rows(figures))
    if not rows:
        return ""
    width = max(len(label) for label, _ in rows)
    head = (
        f"{'':{width}s} {'value':>9s} {'95 % interval':>19s} {'dream':>9s} {'real':>9s} "
        f"{'samples':>7s}"
    )
    lines = [_line(f"{label:{width}s}", figure) for label, figure in rows]
    lines += [
        f"{policy}: {found['omitted']}"
        for policy, found in _measured(figures.get("game")).items()
        if "omitted" in found
    ]
    return "\n".join([head, *lines])


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping]]:
    """(label, figure) of everything that was measured."""
    for policy, found in _measured(figures.get("game")).items():
        if "omitted" in found:
            continue
        for name, label in LABELS.items():
            yield f"{policy}: {label}", found[name]
        for name, figure in found["events"].items():
            yield f"{policy}: {name.replace('_', ' ')} per 1 000 steps", figure
    counts = _measured(figures.get("rules", {}).get("counts"))
    if counts:
        yield "things counted right, all frames", counts
    for depth, found in _measured(figures.get("hold")).items():
        for name, label in DEEP.items():
            if "value" in found.get(name, {}):
                yield f"{found['policy']}: {label}, {_steps(depth)} deep", found[name]
    for steps, figure in _measured(figures.get("loop_closure")).items():
        yield f"{_steps(steps)} there and back, PSNR (dB)", figure
        if _measured(figure.get("in_sight")):
            yield f"{_steps(steps)} there and back, what stayed in sight (dB)", figure["in_sight"]
    cut = _measured(figures.get("trust", {}).get("min_trust"))
    if cut:
        policy = cut["policy"]
        for side, words in CUT.items():
            for name, figure in cut[side].items():
                yield f"{policy}, {words}: {LABELS[name]}", figure
        yield f"{policy}, {CUT['with']}: cuts per 1 000 steps", cut["cuts_per_1000"]


def _steps(count: str) -> str:
    return f"{int(count):,} step{'s' * (count != '1')}".replace(",", " ")


def _measured(found: Any) -> Mapping[str, Any]:
    """The figures, {} where there are none or they were omitted."""
    return found if isinstance(found, Mapping) and "omitted" not in found else {}


def _line(label: str, figure: Mapping[str, Any]) -> str:
    low_high = figure.get("interval")
    interval = f"[{low_high[0]:.3g}, {low_high[1]:.3g}]" if low_high else ""
    means = [_number(figure.get(side)) for side in ("dream", "real")]
    value, samples = _number(figure.get("value")), figure.get("samples", "")
    return f"{label} {value:>9s} {interval:>19s} {means[0]:>9s} {means[1]:>9s} {samples!s:>7s}"


def _number(figure: Any) -> str:
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    return "" if value is None else f"{value:.4g}"
