"""What `dyna` found, round by round: for JSON, as a table and as a plot."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.envs import find_twins
from agents.evaluation.how_made import how_made
from agents.evaluation.play import Episodes
from agents.experiments.transfer_report import player_row, span_text, transfer_row, why_none
from world_models.evaluation.plots import line_plot

if TYPE_CHECKING:
    from agents.experiments.dyna import DynaConfig

CURVES = {"real": "real game", "dream": "its dream", "reference": "learned in real"}
NONE = "-"


class LoopRun(NamedTuple):
    """What the stages of one loop found; each round is a dictionary by stage."""

    random: dict[str, Any]
    rounds: list[dict[str, dict]]


def report(config: "DynaConfig", loops: list[LoopRun], preset: "DynaConfig") -> dict:
    """What `dyna.json` says of one loop per seed; `preset` has the settings of the world."""
    random = _player(config, [loop.random["real"] for loop in loops], trained=False)
    rounds = zip(*(loop.rounds for loop in loops), strict=True)
    return {
        "made": how_made("dyna", config, preset, ("name",)),
        "world": config.name,
        "seeds": list(config.seeds),
        "random": random,
        "rounds": [_row(config, number, random, one) for number, one in enumerate(rounds, 1)],
    }


def _row(config: "DynaConfig", number: int, random: dict, found: tuple[dict, ...]) -> dict:
    """One round of all loops."""
    rows = {}
    for name, stage, key in (
        ("real", "measure", "real"),
        ("dream", "measure", "dream"),
        ("policy_before_in_this_dream", "measure", "before"),
        ("reference", "refer", "played"),
    ):
        if key in found[0].get(stage, {}):
            rows[name] = _player(config, [one[stage][key] for one in found])
    return {
        "round": number,
        "real_frames": round(np.mean([one["collect"]["frames"] for one in found])),
        "policy_steps": number * config.steps,
        **rows,
        **_transfer(random, rows),
        "seconds": {
            stage: round(sum(one[stage]["seconds"] for one in found), 1) for stage in found[0]
        },
    }


def _player(config: "DynaConfig", played: list[dict[str, list]], trained: bool = True) -> dict:
    """Means, and intervals over the loops; of random play over its games."""
    runs = [[Episodes.from_dict(one) for one in played]]
    return player_row(runs, find_twins(config.name).event, trained)


def _transfer(random: dict, rows: dict[str, dict]) -> dict:
    """The score against the policy that learned as long in the real game; None without one."""
    if "reference" not in rows:
        return {"learned": None, "transfer": None, "transfer_ci": None}
    return transfer_row({"dream": rows["real"], "real": rows["reference"], "random": random})


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
            span_text(row["real"]["return_ci"]),
            *means,
        )
        cells += (score, span_text(row["transfer_ci"]))
        lines.append("".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    random, loops = result["random"], len(result["seeds"])
    span = span_text(random["return_ci"])
    lines.append(f"random policy in the real game: {_number(random)} ({span}, over its games)")
    lines.append("* the policy of the round before, in this round's dream")
    one = "one loop: no interval over loops; give more --seeds"
    lines.append(f"95 % intervals are over {loops} loops" if loops > 1 else one)
    return "\n".join([*lines, *_untaught(result)])


def _untaught(result: dict) -> list[str]:
    """Why rounds have no transfer, a line per reason."""
    rounds: dict[str, list[str]] = {}
    for row in result["rounds"]:
        if row["learned"] is False:
            reason = why_none(row["reference"], result["random"])
            rounds.setdefault(reason, []).append(str(row["round"]))
    return [f"no transfer after round {', '.join(those)}: {why}" for why, those in rounds.items()]


def _number(summary: dict | None) -> str:
    return NONE if summary is None else f"{summary['return_mean']:.2f}"


def write_plot(path: Path, result: dict) -> None:
    """Write a PNG of the mean returns by round; an exploited dream gives more than the game."""
    rows = result["rounds"]
    curves = {title: [_mean(row.get(name)) for row in rows] for name, title in CURVES.items()}
    curves = {title: values for title, values in curves.items() if np.isfinite(values).any()}
    line_plot(path, curves, f"dyna {result['world']}: mean return by round", "", along="rounds")


def _mean(summary: dict | None) -> float:
    return float("nan") if summary is None else summary["return_mean"]
