"""What `transfer` found: for JSON, as a table and as plots. Absolute returns first, the ratio last.

M world models, S PPO seeds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.evaluation.play import Episodes, summarise
from agents.evaluation.seed_intervals import mean_interval, ratio_interval, spread_shares
from agents.experiments.exploitation import RunExploitation, summarise_exploitation
from world_models.evaluation.plots import line_plot

PLAYERS = ("dream", "real", "random")
NOTHING = "the real game taught nothing in this budget"


class SeedRuns(NamedTuple):
    """What one PPO seed achieved."""

    dreams: list[Episodes]  # M, of the policies that learned in the dreams, in the real game
    real: Episodes
    random: Episodes
    exploited: list[RunExploitation]  # M, or none
    seconds: dict[str, float]
    cards: Sequence[str] = ()  # that its trainings computed on


def transfer_score(dream: float, real: float, random: float) -> float:
    """(dream - random) / (real - random): the dream's share of what the real game teaches.

    nan where real and random are equal.
    """
    learned = real - random
    return (dream - random) / learned if learned else float("nan")


def has_learned(real: Mapping[str, Any], random: Mapping[str, Any]) -> bool:
    """Whether the real-trained policy is above the random one, with separated 95 % intervals.

    Those over the runs, of a single run those over its games; those of random play over its games.
    """
    own = real["return_games_ci"] if real["return_ci"] is None else real["return_ci"]
    return own[0] > random["return_ci"][1]


def report(about: Mapping[str, Any], event: str, found: Mapping[int, SeedRuns]) -> dict[str, Any]:
    """What `transfer.json` says of these PPO seeds."""
    seeds = list(found.values())
    played = {
        "dream": [[one.dreams[m] for one in seeds] for m in range(len(seeds[0].dreams))],
        "real": [[one.real for one in seeds]],
        "random": [[one.random for one in seeds]],
    }
    rows = {name: player_row(runs, event, name != "random") for name, runs in played.items()}
    cards = sorted({card for one in seeds for card in one.cards})
    exploited = list(zip(*(one.exploited for one in seeds), strict=True))
    return {
        **about,
        **({"trained_on": cards} if cards else {}),  # `made` names the machine of the last process
        "seeds": list(found),
        **rows,
        "spread": spread_of(played["dream"]),
        **{key: round(sum(one.seconds[key] for one in seeds), 1) for key in seeds[0].seconds},
        **(
            summarise_exploitation(exploited, rows["random"]["return_mean"])
            if exploited
            else NOT_MEASURED
        ),
        **transfer_row(rows),
    }


NOT_MEASURED: dict[str, Any] = {"exploitation": None, "safe_horizon": None}


def player_row(runs: list[list[Episodes]], event: str, trained: bool = True) -> dict[str, Any]:
    """Means of (M, S) runs: their 95 % intervals over the runs, None for a single one.

    `return_games_ci` is the interval over all games, as if runs did not differ. A policy that was
    not `trained` has no runs: its intervals are over its games.
    """
    flat = [one for models in runs for one in models]
    games = summarise(Episodes.joined(flat))
    row: dict[str, Any] = {}
    columns = (("return", "returns", games.return_ci), (event, "events", games.events_ci))
    for name, column, games_ci in columns:
        means = np.array([[getattr(one, column).mean() for one in models] for models in runs])
        span = mean_interval(means) if trained else games_ci
        row |= {f"{name}_mean": float(means.mean()), f"{name}_ci": span and list(span)}
    returns = [[float(one.returns.mean()) for one in models] for models in runs]
    return {
        **row,
        "return_games_ci": list(games.return_ci),
        "length_mean": games.length_mean,
        "return_by_run": returns,
        "runs": len(flat) if trained else 0,
        "episodes": games.episodes,
    }


def spread_of(runs: list[list[Episodes]]) -> dict[str, float | None] | None:
    """Where the spread of the mean returns of (M, S) runs comes from, see `spread_shares`."""
    means = np.array([[one.returns.mean() for one in models] for models in runs])
    errors = [one.returns.var() / len(one.returns) for models in runs for one in models]
    return spread_shares(means, float(np.mean(errors)))


def transfer_row(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`learned`, `transfer` and `transfer_ci`; no ratio where the real game taught nothing."""
    dream, real, random = (np.array(rows[name]["return_by_run"]) for name in PLAYERS)
    if not has_learned(rows["real"], rows["random"]):
        return {"learned": False, "transfer": None, "transfer_ci": None}
    score = transfer_score(dream.mean(), real.mean(), random.mean())
    span = ratio_interval(dream - random, real - random)
    return {"learned": True, "transfer": float(score), "transfer_ci": span and list(span)}


def format_table(result: Mapping[str, Any]) -> str:
    """The result as lines for a terminal."""
    event = _event(result["random"])
    lines = [
        f"{'trained in':<12}{'return':>8}  {'95 %':<16}{event:>9}  "
        f"{'95 %':<16}{'steps':>7}{'games':>7}{'runs':>6}"
    ]
    for name in PLAYERS:
        row = result[name]
        lines.append(
            f"{name:<12}{row['return_mean']:>8.2f}  {span_text(row['return_ci']):<16}"
            f"{row[f'{event}_mean']:>9.2f}  {span_text(row[f'{event}_ci']):<16}"
            f"{row['length_mean']:>7.0f}{row['episodes']:>7}{row['runs'] or '-':>6}"
        )
    lines += [units_text(result), *_spread_lines(result["spread"])]
    return "\n".join([*lines, *exploitation_lines(result), transfer_line(result)])


def _event(row: Mapping[str, Any]) -> str:
    keys = [key.removesuffix("_mean") for key in row if key.endswith("_mean")]
    return next(key for key in keys if key not in ("return", "length"))


def span_text(bounds: list[float] | None) -> str:
    """An interval, or a dash."""
    return "-" if bounds is None else "{:.2f} to {:.2f}".format(*bounds)


def units_text(result: Mapping[str, Any]) -> str:
    """What the intervals are over."""
    models, seeds = len(result["world_models"]), len(result["seeds"])
    kinds = [f"{count} {name}" for count, name in _kinds(models, seeds) if count > 1]
    if not kinds:
        games = ", ".join(
            f"{name} {span_text(result[name]['return_games_ci'])}" for name in PLAYERS[:2]
        )
        return f"one run each: no interval over runs; over its games alone: {games}"
    alone = [f"one {name[:-1]}" for count, name in _kinds(models, seeds) if count == 1]
    words = " and ".join(kinds) + (
        f" ({', '.join(alone)}, whose spread is not in it)" if alone else ""
    )
    return f"95 % intervals are over {words}, those of random play over games"


def _kinds(models: int, seeds: int) -> list[tuple[int, str]]:
    return [(models, "world models"), (seeds, "PPO seeds")]


def _spread_lines(shares: Mapping[str, float | None] | None) -> list[str]:
    if shares is None:
        return []
    alone = " and the luck of PPO in each" if shares["ppo_seeds"] is None else ""
    names = {"world_models": f"world models{alone}", "ppo_seeds": "PPO seeds", "games": "games"}
    parts = [
        f"{names[key]} {100 * share:.0f} %" for key, share in shares.items() if share is not None
    ]
    return [f"spread between dream-trained runs: {', '.join(parts)}"]


def exploitation_lines(result: Mapping[str, Any]) -> list[str]:
    """Dreamed and real return by training step and by horizon."""
    found = result["exploitation"]
    if found is None:
        return []
    lines = []
    titles = {"by_step": "after steps of PPO", "by_horizon": "within steps of play"}
    for key, title in titles.items():
        lines.append(
            f"{title:<22}{'in its dream':>13}  {'95 %':<16}{'real game':>10}  {'95 %':<16}"
            f"{'ratio':>6}  {'95 %':<14}{'games':>6}"
        )
        for row in found[key]:
            ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
            lines.append(
                f"{row['steps']:<22}{row['dreamed']:>13.2f}  {span_text(row['dreamed_ci']):<16}"
                f"{row['real']:>10.2f}  {span_text(row['real_ci']):<16}{ratio:>6}  "
                f"{span_text(row['ratio_ci']):<14}{row['games']:>6}"
            )
    safe = result["safe_horizon"]
    steps = "none of these" if safe is None else f"{safe} steps"
    return [*lines, f"safe horizon (both within 20 % from the same starts): {steps}"]


def only_seeds_differ(real: Mapping[str, Any], random: Mapping[str, Any]) -> bool:
    """Where nothing was learned with certainty: whether every run is better than random play."""
    runs, by_chance = (np.array(row["return_by_run"]) for row in (real, random))
    return bool(runs.min() > by_chance.max()) and runs.size > 1


def why_none(real: Mapping[str, Any], random: Mapping[str, Any]) -> str:
    """Why there is no ratio where nothing was learned with certainty, and what to do."""
    if not only_seeds_differ(real, random):
        return f"{NOTHING}; give more --steps, or more --seeds"
    runs = np.array(real["return_by_run"])
    return (
        f"the real game's returns of {runs.size} PPO seeds, {runs.min():.2f} to {runs.max():.2f}, "
        "lie too far apart to tell what it taught; give more --seeds"
    )


def transfer_line(result: Mapping[str, Any]) -> str:
    """The ratio, or why there is none."""
    if not result["learned"]:
        return f"transfer: none, for {why_none(result['real'], result['random'])}"
    if result["transfer_ci"] is None:
        one = result["dream"]["runs"] == 1
        why = "one run, no interval" if one else "its interval has no end: give more --seeds"
        return f"transfer {result['transfer']:.3f} ({why})"
    low, high = result["transfer_ci"]
    return f"transfer {result['transfer']:.3f} (95 %: {low:.3f} to {high:.3f})"


def write_plots(folder: Path, result: Mapping[str, Any]) -> None:
    """Write `exploitation.png` and `horizon.png`: dreamed and real return; nothing unmeasured."""
    found = result["exploitation"]
    if found is None:
        return
    world, budget, safe = result["world"], result["budget_steps"], result["safe_horizon"]
    files = {
        "by_step": ("exploitation.png", f"return along {budget} steps of PPO", "moments"),
        "by_horizon": (
            "horizon.png",
            f"return from the same starts; safe: {safe} steps",
            "horizons",
        ),
    }
    for key, (file, title, along) in files.items():
        curves = {
            words: [row[name] for row in found[key]]
            for name, words in (("dreamed", "in its dream"), ("real", "real game"))
        }
        bands = {
            words: [row[f"{name}_ci"] for row in found[key]]
            for name, words in (("dreamed", "in its dream"), ("real", "real game"))
        }
        line_plot(folder / file, curves, f"{world}: {title}", "", along, bands)
