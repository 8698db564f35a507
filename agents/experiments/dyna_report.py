"""What `dyna` found, round by round: for JSON, as a table and as a plot."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.envs import find_twins
from agents.evaluation.play import Episodes, summarise
from agents.experiments.transfer import transfer_interval, transfer_score
from world_models.evaluation.plots import line_plot

if TYPE_CHECKING:
    from agents.experiments.dyna import DynaConfig

CURVES = {"real": "real game", "dream": "its dream", "reference": "learned in real"}
NONE = "-"


def report(config: "DynaConfig", random: dict, rounds: list[dict]) -> dict:
    """What `dyna.json` says; `random` and `rounds` are what the stages found."""
    rows = [_row(config, number, random, found) for number, found in enumerate(rounds, 1)]
    return {"world": config.name, "random": _summary(config, random["real"]), "rounds": rows}


def _row(config: "DynaConfig", number: int, random: dict, found: dict) -> dict:
    measured = dict(found["measure"])
    seconds = {stage: values["seconds"] for stage, values in found.items()}
    measured.pop("seconds")
    if "refer" in found:
        measured["reference"] = found["refer"]["played"]
    names = {
        "real": "real",
        "dream": "dream",
        "before": "policy_before_in_this_dream",
        "reference": "reference",
    }
    rows = {names[name]: _summary(config, played) for name, played in measured.items()}
    return {
        "round": number,
        "real_frames": found["collect"]["frames"],
        "policy_steps": number * config.steps,
        **rows,
        **_transfer(random["real"], measured),
        "seconds": seconds,
    }


def _summary(config: "DynaConfig", played: dict[str, list]) -> dict:
    """Means and 95 % intervals."""
    return summarise(Episodes.from_dict(played), config.seed).as_dict(find_twins(config.name).event)


def _transfer(random: dict, measured: dict) -> dict:
    """The score against the policy that learned as long in the real game; None without one."""
    if "reference" not in measured:
        return {"transfer": None, "transfer_ci": None}
    played = {"dream": measured["real"], "real": measured["reference"], "random": random}
    returns = {name: Episodes.from_dict(values).returns for name, values in played.items()}
    score = transfer_score(**{name: float(values.mean()) for name, values in returns.items()})
    bounds = transfer_interval(returns) if np.isfinite(score) else (score, score)
    if not np.isfinite(bounds).all():
        return {"transfer": None, "transfer_ci": None}
    return {"transfer": score, "transfer_ci": list(bounds)}


def format_table(result: dict) -> str:
    """The rounds as lines for a terminal; all are mean returns per game."""
    titles = (
        "round",
        "real steps",
        "real game",
        "95 %",
        "its dream",
        "before*",
        "learned in real",
        "transfer",
        "95 %",
    )
    widths = (5, 11, 10, 16, 10, 8, 16, 9, 16)
    lines = ["".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))]
    for row in result["rounds"]:
        means = [
            _number(row.get(name)) for name in ("dream", "policy_before_in_this_dream", "reference")
        ]
        score = NONE if row["transfer"] is None else f"{row['transfer']:.2f}"
        cells = (
            row["round"],
            row["real_frames"],
            _number(row["real"]),
            _span(row["real"]["return_ci"]),
            *means,
        )
        cells += (score, _span(row["transfer_ci"]))
        lines.append("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    random = result["random"]
    lines.append(
        f"random policy in the real game: {_number(random)} ({_span(random['return_ci'])})"
    )
    return "\n".join([*lines, "* the policy of the round before, in this round's dream"])


def _number(summary: dict | None) -> str:
    return NONE if summary is None else f"{summary['return_mean']:.2f}"


def _span(bounds: list[float] | None) -> str:
    return NONE if bounds is None else "{:.2f} to {:.2f}".format(*bounds)


def write_plot(path: Path, result: dict) -> None:
    """Write a PNG of the mean returns by round; an exploited dream gives more than the game."""
    rows = result["rounds"]
    curves = {title: [_mean(row.get(name)) for row in rows] for name, title in CURVES.items()}
    curves = {title: values for title, values in curves.items() if np.isfinite(values).any()}
    line_plot(path, curves, f"dyna {result['world']}: mean return by round", "", along="rounds")


def _mean(summary: dict | None) -> float:
    return float("nan") if summary is None else summary["return_mean"]
