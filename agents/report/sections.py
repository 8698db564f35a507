"""The sections of the page: horizon, outcomes, calibration, training, provenance.

Each function returns the HTML of one section. What is missing is named, with its command.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from agents.report.charts import Axis, Line, dot_chart, line_chart, number
from agents.report.from_dataset import Measured, Reliability
from agents.results.figures import Figure, find_figure

STYLES = ("c0", "c1", "c2", "c3")


def section(anchor: str, title: str, body: str, lead: str = "") -> str:
    """A titled part of the page; `lead` is HTML, a sentence on what it shows."""
    return (
        f'<section id="{anchor}"><h2>{escape(title)}</h2><p class="lead">{lead}</p>{body}</section>'
    )


def missing(sentence: str, command: str) -> str:
    """What is not there, and what makes it."""
    return (
        f'<div class="card missing"><p>{escape(sentence)}</p><code>{escape(command)}</code></div>'
    )


def horizon(curves: dict | None, command: str) -> str:
    """PSNR and SSIM against the depth of the dream, beside copying the start frame."""
    if not curves:
        return missing("There is no recording here to compare long dreams with.", command)
    cards = []
    for metric, title, unit in (("psnr", "PSNR", "dB"), ("ssim", "SSIM", "")):
        lines = [
            Line(name, list(enumerate(curves[key][metric], 1)), style)
            for key, name, style in (
                ("dream", "dream", "c0"),
                ("copy_last_frame", "copying the start", "c3"),
            )
        ]
        values = [v for line in lines for _, v in line.points if v is not None and math.isfinite(v)]
        last = max(len(line.points) for line in lines)
        if not values or last < 2:
            continue
        y = Axis(min(values), max(max(values), min(values) + 1e-6), unit)
        cards.append(
            f'<div class="card"><h3>{title}</h3>'
            f"{line_chart(lines, Axis(1, last, 'steps deep'), y)}</div>"
        )
    broken = broken_even(curves)
    known = sum(value is not None for value in curves["dream"]["psnr"])
    note = f"The dream is better throughout the {known} steps that recordings here are long."
    if broken:
        note = f"From step {broken} on, copying the start frame is better."
    if not known:
        note = "No recording here is a step long."
    return f'<div class="pair">{"".join(cards)}</div><p class="note">{note}</p>'


def broken_even(curves: dict) -> int | None:
    """The first step in which copying the start frame is better than the dream."""
    pairs = zip(curves["dream"]["psnr"], curves["copy_last_frame"]["psnr"], strict=True)
    return next(
        (h for h, (d, c) in enumerate(pairs, 1) if d is not None and c is not None and c > d), None
    )


def outcomes(
    measured: Measured | None, figures: Mapping, rewards: Sequence[float], command: str
) -> str:
    """Confusion of rewards and terminations; precision and recall of one step and of rollouts."""
    cards = []
    if measured is not None:
        names = [f"{value:+g}" if value else "0" for value in rewards]
        cards.append(_confusion("Reward", measured.reward_confusion, names))
        cards.append(_confusion("Game over", measured.termination_confusion, ["goes on", "over"]))
    for key, title in (
        ("one_step", "One step"),
        ("rollout", "In rollouts"),
        ("closed_loop", "In played dreams"),
    ):
        if key in figures.get("reward", {}):
            cards.append(
                _scores(title, figures["reward"][key]["classes"], figures["termination"][key])
            )
    if not cards:
        return missing("Rewards and terminations were not measured against a recording.", command)
    return f'<div class="pair">{"".join(cards)}</div>'


def _confusion(title: str, counts: np.ndarray, names: Sequence[str]) -> str:
    """Rows are what was real; a cell is as dark as its share of the row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = ""
    for name, row in zip(names, counts, strict=True):
        total = max(int(row.sum()), 1)
        cells = "".join(
            f'<td class="{"hit" if names[column] == name else "miss"}" '
            f'style="--share:{100 * count / total:.0f}%">'
            f"<b>{_percent(count / total) if row.sum() else '–'}</b><small>{count}</small></td>"
            for column, count in enumerate(row)
        )
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    table = (
        '<table class="confusion"><tr><td class="corner">real ↓ dreamed '
        f"→</td>{head}</tr>{body}</table>"
    )
    return f'<div class="card"><h3>{escape(title)}</h3><div class="scroll">{table}</div></div>'


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 or share == 1 else "99.9 %"


def _scores(title: str, rewards: dict, termination: dict) -> str:
    named = [(f"reward {name}", score) for name, score in rewards.items()] + [
        ("game over", termination)
    ]
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        f"{''.join(_bar(score.get(key)) for key in ('precision', 'recall', 'f1'))}"
        f"<td>{score.get('support', '')}</td></tr>"
        for name, score in named
    )
    head = "<tr><th></th><th>precision</th><th>recall</th><th>F1</th><th>real</th></tr>"
    return (
        f'<div class="card"><h3>{title}</h3><div class="scroll"><table '
        f'class="scores">{head}{rows}</table></div></div>'
    )


def _bar(value: float | None) -> str:
    if value is None:
        return "<td>–</td>"
    return f'<td><span class="bar" style="--share:{100 * value:.1f}%">{value:.3f}</span></td>'


def calibration(reliabilities: dict[str, Reliability], figures: Mapping, command: str) -> str:
    """How often a claim of some confidence is true."""
    note = _calibration_figures(figures)
    if not reliabilities:
        reason = "The confidence of the model was not compared with what is true."
        return missing(reason, command) + note
    cards = []
    for style, (name, found) in zip(STYLES, reliabilities.items(), strict=False):
        points = [
            (float(claimed), float(so), 2 + math.log10(count))
            for claimed, so, count in zip(found.claimed, found.found, found.samples, strict=True)
        ]
        chart = dot_chart(
            [(f"{name}, {int(found.samples.sum())} samples", points, style)],
            Axis(0, 1, "claimed"),
            Axis(0, 1, "true"),
        )
        error = float(
            (np.abs(found.claimed - found.found) * found.samples).sum() / found.samples.sum()
        )
        cards.append(
            f'<div class="card"><h3>{escape(name.capitalize())}</h3>{chart}<p '
            'class="note">'
            f"calibration error {number(error)}</p></div>"
        )
    return f'<div class="three">{"".join(cards)}</div>{note}'


def _calibration_figures(figures: Mapping) -> str:
    trust = figures.get("trust", {})
    shown = {
        k: v
        for k, v in trust.items()
        if k.startswith(("auroc", "calibration_error")) and isinstance(v, float)
    }
    if not shown:
        return ""
    text = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in shown.items())
    return (
        f'<p class="note">Trust, measured by evaluate on {trust.get("samples", "?")} '
        f"transitions: {text}.</p>{_risk_coverage(trust)}{_min_trust(trust.get('min_trust'))}"
    )


def _risk_coverage(trust: Mapping) -> str:
    """The share of wrong frames among the most trusted ones, by how many of them are kept."""
    curve, any_frame = trust.get("risk_coverage"), trust.get("aurc_uninformed")
    if not curve or not any_frame:
        return ""
    points = sorted((float(share), risk) for share, risk in curve.items())
    lines = [
        Line("the most trusted", points, "c0"),
        Line("any", [(share, any_frame) for share, _ in points], "c3"),
    ]
    top = max(any_frame, *(risk for _, risk in points))
    area = find_figure(trust, "aurc")
    note = "" if area is None else f'<p class="note">Area (AURC) {_ratio(area)}.</p>'
    chart = line_chart(lines, Axis(points[0][0], 1, "share of frames kept"), Axis(0, top, "wrong"))
    title = "Wrong frames among those kept, by the head's trust"
    return f'<div class="three"><div class="card"><h3>{title}</h3>{chart}{note}</div></div>'


def _min_trust(found: Any) -> str:
    """What cutting dreams of low trust does to whole games, in a sentence; "" of nothing."""
    figures = {side: find_figure(found or {}, f"{side}.return") for side in ("without", "with")}
    cuts = find_figure(found or {}, "cuts_per_1000")
    if cuts is None:
        return ""
    ratios = [
        f"{'no ratio' if one is None else _ratio(one)} {side} it" for side, one in figures.items()
    ]
    return (
        f'<p class="note">Cut where trust is below {number(found["threshold"])} '
        f"(<code>min_trust</code>), dreams that {escape(found['policy'])} plays end early "
        f"{number(cuts.value)} times per 1 000 steps; their return, dream / game: "
        f"{', '.join(ratios)}.</p>"
    )


def _ratio(figure: Figure) -> str:
    if figure.interval is None:
        return number(figure.value)
    return f"{number(figure.value)} ({' to '.join(map(number, figure.interval))})"


def training(run: Path | None) -> str:
    """Curves of metrics.csv, a card for each loss."""
    file = run / "metrics.csv" if run else None
    if file is None or not file.is_file():
        sentence = "The curves lie in the run directory, and this bundle does not lie in one."
        return missing(
            sentence, "neural-envs report RUN/bundle, or: neural-envs report BUNDLE --run RUN"
        )
    with file.open(newline="") as lines:
        table = list(csv.DictReader(lines))
    names = [
        name.removeprefix("train_")
        for name in (table[0] if table else {})
        if name.startswith("train_")
    ]
    cards = "".join(_loss(name, table) for name in names)
    return (
        f'<div class="three">{cards}</div>'
        if cards
        else missing("metrics.csv is empty.", "neural-envs train NAME")
    )


def _loss(name: str, table: list[dict]) -> str:
    lines = []
    for part, style in (("train", "c3 thin"), ("validation", "c0")):
        points = [(float(row["update"]), _value(row.get(f"{part}_{name}"))) for row in table]
        if any(value is not None for _, value in points):
            lines.append(Line(part, points, style))
    values = [value for line in lines for _, value in line.points if value is not None]
    if not values:
        return ""
    log = min(values) > 0 and max(values) / min(values) > 20
    low, high = (min(values), max(values)) if log else (min(0.0, *values), max(values))
    x = Axis(0, max(float(row["update"]) for row in table), "updates")
    chart = line_chart(lines, x, Axis(low, high if high > low else low + 1, log=log))
    return f'<div class="card"><h3>{escape(name)}</h3>{chart}</div>'


def _value(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def provenance(tables: dict[str, dict]) -> str:
    """What the bundle is and where it comes from: a table for each title."""
    cards = ""
    for title, rows in tables.items():
        body = "".join(
            f"<tr><th>{escape(k)}</th><td>{escape(_text(v))}</td></tr>" for k, v in rows.items()
        )
        table = f'<summary>{escape(title)}</summary><table class="facts">{body}</table>'
        cards += f'<details class="card" open>{table}</details>'
    return f'<div class="pair">{cards}</div>'


def _text(value) -> str:
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value)
