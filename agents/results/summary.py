"""README.md's table: a row per world with the figures that say most of it, from the same files.

A figure has its 95 % interval in parentheses; where no file holds it, the cell says so.
"""

from collections.abc import Sequence

from agents.results.figures import number_text
from agents.results.scorecard import Row
from agents.results.tables import (
    OLDER,
    OLDER_NOTE,
    Bundle,
    all_rows,
    bounded,
    why_absent,
    without_value,
)
from collectors.worlds.table import WORLDS

ABSENT = "not measured"
NO_VALUE = "no value"  # measured, and nothing came of it, as where no frame was wrong
UNCERTAIN = "no ratio: too uncertain"  # agents of the game are not clearly above random play
FEW = 10  # samples, below which a figure without an interval says how many
HEAD = (
    "world",
    "next frame",
    "deep in a dream",
    "return, dream / game",
    "transfer",
    "trust, AUROC",
)
OWN = {  # world -> path and short name of what says most of one step, and of many
    "snake": (
        ("rules.transition_exact_rate", "exact:"),
        ("survival.astar.one_head_one_food", "one head, one food:"),
    ),
    "pong": (
        ("rules.rollout.ball_error.1", "ball off by"),
        ("rules.rollout.ball_error.32", "ball after 32 steps off by"),
    ),
    "worldmap": (
        ("rules.known_psnr", "terrain kept:"),
        ("rules.rollout.known_psnr.32", "terrain kept for 32 steps:"),
    ),
    "coinrun": (("one_step.psnr", "PSNR"), ("rollout.psnr.32", "PSNR after 32 steps")),
}


def summary(bundles: Sequence[Bundle]) -> str:
    """The table, with what it leaves out in a line below."""
    lines = [f"| {' | '.join((*HEAD, 'goals'))} |", "|---" * (len(HEAD) + 1) + "|"]
    older = False
    for bundle in bundles:
        cells = [_cell(bundle, path, name) for path, name in _columns(bundle.world)]
        older |= any(cell.endswith(OLDER) for cell in cells)
        lines.append(f"| `{bundle.name}` | {' | '.join([*cells, _goals(bundle)])} |")
    if older:
        lines += ["", f"{OLDER_NOTE}."]
    return "\n".join(lines) + "\n"


def _columns(world: str) -> list[tuple[str, str]]:
    best = WORLDS[world].best_policy
    return [
        *OWN[world],
        (f"game.{best}.return", ""),
        ("transfer", ""),
        ("trust.of_dreams.auroc", ""),
    ]


def _cell(bundle: Bundle, path: str, name: str) -> str:
    row = next((row for row in all_rows(bundle) if row.target.path == path), None)
    if row is None or row.figure is None:
        return ABSENT if row is None else _absent(bundle, row)
    value = " ".join(filter(None, (name, number_text(row.figure.value), row.target.unit)))
    if row.figure.interval is not None:
        value += " ({} to {})".format(*map(number_text, row.figure.interval))
    elif row.figure.samples is not None and row.figure.samples < FEW:
        value += f" (of {row.figure.samples} only)"
    return value + _older(bundle, row)


def _absent(bundle: Bundle, row: Row) -> str:
    """Why there is no number."""
    if without_value(bundle, row) is not None:
        return UNCERTAIN
    return ABSENT if why_absent(bundle, row) == ABSENT else NO_VALUE


def _older(bundle: Bundle, row: Row) -> str:
    source = next(source for source in bundle.sources if source.name == row.source)
    return "" if source.is_of(bundle.weights) else OLDER


def _goals(bundle: Bundle) -> str:
    rows = [row for row in all_rows(bundle) if bounded(row.target)]
    counts = [
        (sum(row.passed is True for row in rows), "met"),
        (sum(row.passed is False for row in rows), "missed"),
        (sum(row.figure is None for row in rows), "open"),
    ]
    return ", ".join(f"{count} {word}" for count, word in counts if count)
