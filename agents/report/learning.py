"""What agents earn that learn in the dream: along their training, and by the length of a dream."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from agents.report.charts import Axis, Line, line_chart
from agents.results.figures import as_number
from agents.results.scorecard import Given

CURVES = (  # key of `exploitation`, title, what is along
    ("by_step", "Return along training", "steps of training"),
    ("by_horizon", "Return from the same starts", "steps of a game"),
)


def exploitation_cards(sources: Sequence[Given]) -> str:
    """A chart per curve of the first source that has any: dreamed returns beside real ones."""
    for source in sources:
        found = source.figures.get("exploitation")
        if isinstance(found, Mapping):
            cards = [_card(found.get(key), *words) for key, *words in CURVES]
            return "".join(cards) and f'{"".join(cards)}<p class="note">{_from(source)}</p>'
    return ""


def _from(source: Given) -> str:
    about = "An agent that exploits its dream earns more there than in the game."
    return f"{about} {escape(source.name)}."


def _card(rows: Any, title: str, along: str) -> str:
    if not isinstance(rows, list) or len(rows) < 2:
        return ""
    lines = [
        Line(word, [(float(row["steps"]), as_number(row[key])) for row in rows], style)
        for key, word, style in (("dreamed", "in the dream", "c0"), ("real", "in the game", "c1"))
    ]
    values = [value for line in lines for _, value in line.points if value is not None]
    if not values:
        return ""
    x = Axis(0.0, float(rows[-1]["steps"]), along)
    chart = line_chart(lines, x, Axis(min(0.0, *values), max(0.0, *values) or 1.0))
    return f'<div class="card"><h3>{title}</h3>{chart}</div>'
