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
from agents.results.figures import Figure, as_number, count_text, find_figure, number_text
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
    """What each policy earns in the dream and in the game, from `game` or the old ranking."""
    played: Any = figures.get("game")
    if isinstance(played, Mapping):
        rows = [_policy_rows(policy, found) for policy, found in played.items()]
    else:
        ranking = figures.get("policy_ranking", {}).get("policies", [])
        rows = [_game_row(f"{row['policy']}: mean return", row) for row in ranking]
    body = "".join(rows)
    if not body:
        return ""
    head = "<tr><th></th><th>dream</th><th>game</th><th>dream / game</th></tr>"
    return f'<div class="card scroll"><table class="scores">{head}{body}</table></div>'


def _policy_rows(policy: str, found: Any) -> str:
    """A line with the name of a policy and how long it played, then one per figure and event."""
    if not isinstance(found, Mapping):
        return ""
    if "omitted" in found:
        return _heading(policy, str(found["omitted"]))
    named = [(label, _as_ratio(key, found[key])) for key, label in LABELS.items() if key in found]
    events = found.get("events", {}).items()
    named += [(f"{name.replace('_', ' ')} per 1 000 steps", one) for name, one in events]
    steps, lanes = (find_figure(found, f"{name}.dream") for name in ("steps", "lanes"))
    played = (
        "" if not (steps and lanes) else f"{lanes.value:.0f} × {count_text(int(steps.value))} steps"
    )
    return _heading(policy, played) + "".join(_game_row(label, one) for label, one in named)


def _as_ratio(key: str, found: Any) -> Any:
    """The figure without a value where that is no ratio: how games end is held against 1."""
    return {**found, "value": None} if key == "ends_by_the_rules" else found


def _heading(policy: str, about: str) -> str:
    text = f"{escape(policy)} <small>{escape(about)}</small>"
    return f'<tr class="group"><th colspan="4">{text}</th></tr>'


def _game_row(label: str, found: Any) -> str:
    """The value of each side and their ratio, each with its interval; "" where neither has one."""
    if not isinstance(found, Mapping):
        return ""
    cells = [_cell(find_figure(found, side)) for side in ("dream", "real")]
    if cells == ["–", "–"]:
        return ""
    has_ratio = as_number(found.get("value")) is not None
    cells.append(_cell(find_figure({"ratio": found}, "ratio") if has_ratio else None))
    columns = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr><td>{escape(label)}</td>{columns}</tr>"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    span = "" if figure.interval is None else " to ".join(map(number_text, figure.interval))
    return f"{number_text(figure.value)}" + (f" <small>{span}</small>" if span else "")
