"""What the page shows by depth: a strip of a dream above its game, and figures of whole games."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agents.evaluation.game_table import LABELS
from agents.report.charts import Axis, Line, line_chart
from agents.report.film_player import data_uri
from agents.results.figures import as_number, find_figure, number_text
from agents.results.strips import Strip, write_depths

WORDS = {
    "ball_error": "ball, error in pixels",
    "ball_error_median": "ball, median error in pixels",
    "ball_missing": "dreams without a ball",
    "paddle_error": "paddles, error in pixels",
    "known_psnr": "what was in sight, PSNR in dB",
    "shift_error": "shift, error in pixels",
    "sharpness": "sharpness, dream / game",
    "kid": "KID to the game",
}


def strip_card(strip: Strip | None, folder: Path) -> str:
    """The strip, which is also written as depths.png; "" where none was dreamed."""
    if strip is None:
        return ""
    image = np.asarray(Image.open(write_depths(folder / "depths.png", strip)).convert("RGB"))
    over = (
        "" if strip.longest >= strip.depths[-1] else f" All were over by step {strip.longest + 1}."
    )
    game = "" if strip.real else " The real game is not installed here."
    return (
        f'<div class="card"><h3>Step {", ".join(map(str, strip.depths))}</h3>'
        f'<div class="scroll"><img class="strip" alt="steps of a dream above the game" '
        f'src="{data_uri(image)}"></div><p class="note">The longest of a few dreams that '
        f"{escape(strip.policy)} plays, above the real game.{over}{game}</p></div>"
    )


def own_charts(figures: Mapping[str, Any]) -> str:
    """A card for each figure of the rules, and of what is held, that the file has by depth."""
    found = {
        name: values
        for name, values in figures.get("rules", {}).get("rollout", {}).items()
        if isinstance(values, Mapping) and not name.startswith("samples")
    }
    hold = {d: row for d, row in figures.get("hold", {}).items() if isinstance(row, Mapping)}
    for name in ("sharpness", "kid"):
        kept = {d: f.value for d in hold if (f := find_figure(hold, f"{d}.{name}"))}
        found |= {name: kept} if kept else {}
    return "".join(_chart(name, values) for name, values in found.items())


def _chart(name: str, values: Mapping[str, Any]) -> str:
    points = [(float(d), as_number(v)) for d, v in values.items() if d.isdigit()]
    known = [value for _, value in points if value is not None]
    if len(known) < 2:
        return ""
    last = max(depth for depth, _ in points)
    y = Axis(min(0.0, *known), max(known) if any(known) else 1.0)
    chart = line_chart([Line(WORDS.get(name, name), points)], Axis(1, last, "steps deep"), y)
    return (
        f'<div class="card"><h3>{escape(WORDS.get(name, name.replace("_", " ")))}</h3>{chart}</div>'
    )


def game_table(figures: Mapping[str, Any]) -> str:
    """Policies and what they earn in the dream and in the game, from `game` or the old ranking."""
    played: Any = figures.get("game")
    rows = []
    if isinstance(played, Mapping):
        for policy, found in played.items():
            rows += (
                [_game_row(policy, key, one) for key, one in found.items()]
                if isinstance(found, Mapping)
                else []
            )
    else:
        ranking = figures.get("policy_ranking", {}).get("policies", [])
        rows = [_game_row(row["policy"], "mean return", row) for row in ranking]
    body = "".join(row for row in rows if row)
    if not body:
        return ""
    head = "<tr><th>policy</th><th></th><th>dream</th><th>game</th></tr>"
    return f'<div class="card scroll"><table class="scores">{head}{body}</table></div>'


def _game_row(policy: str, key: str, found: Any) -> str:
    if key == "omitted":
        return f'<tr><th>{escape(policy)}</th><td colspan="3">{escape(str(found))}</td></tr>'
    if not isinstance(found, Mapping):
        return ""
    cells = []
    for side in ("dream", "real"):
        figure = find_figure(found, side)
        span = (
            ""
            if figure is None or figure.interval is None
            else (f" <small>{' to '.join(map(number_text, figure.interval))}</small>")
        )
        cells.append("–" if figure is None else f"{number_text(figure.value)}{span}")
    if cells == ["–", "–"]:
        return ""
    name = escape(LABELS.get(key, key.replace("_", " ")))
    return (
        f"<tr><th>{escape(policy)}</th><td>{name}</td><td>{cells[0]}</td><td>{cells[1]}</td></tr>"
    )
