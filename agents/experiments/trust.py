"""Does it help to leave a dream where it stops believing itself? `neural-envs trust WORLD`.

A small world model learns from a few random games only, so a policy soon gets where it has never
been. Its trust is calibrated on games held out from it, and the same PPO is trained in it with
`min_trust` and without. Both, and a random policy, are measured in the real game. What is done is
not repeated: a killed run goes on.
"""

import csv
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.envs import action_count, env_id, env_settings, named_world
from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from agents.evaluation.play import Episodes, play_policy, summarise
from agents.ppo.presets import PPOSettings, ppo_settings
from agents.ppo.train import POLICY_FILE, PPOConfig, load_policy, train_ppo
from collectors.policies.policies import make_policy
from collectors.recording.collect import collect, read_options
from collectors.settings.command import command
from collectors.settings.parse import setting
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS
from world_models.training.run import train


@dataclass(frozen=True)
class TrustConfig:
    """PPO in a dream of too little data, with and without min_trust, measured in the real game."""

    name: str = setting("snake", "the world")
    frames: int = setting(2_000, "of random play, all that the dream learns from")
    steps: int = setting(80_000, "of each PPO, all lanes together")
    min_trust: float = setting(0.5, "trust below which a dream is truncated")
    seeds: tuple[int, ...] = setting((0, 1), "of the PPO runs")
    episodes: int = setting(64, "real episodes for each policy")
    out: str = setting("runs/trust", "folder for data, model, policies and trust.json")
    real_options: tuple[str, ...] = setting((), "of the real game, as grid_size=8")
    ppo: PPOSettings = field(default_factory=PPOSettings)
    world_model: TrainConfig = field(
        default_factory=lambda: few_updates("snake")
    )  # data and out are ours


def few_updates(name: str) -> TrainConfig:
    """The training preset of a world, cut to what little data bear.

    Raises ValueError if there is none.
    """
    if name not in PRESETS:
        raise ValueError(
            f"there is no training preset for {name!r}; there are {', '.join(PRESETS)}"
        )
    return replace(PRESETS[name](), updates=500, warmup=101, validate_every=250)


def scarce_bundle(config: TrustConfig) -> Path:
    """A world model trained on `frames` of random play, its trust calibrated; made once.

    Returns its bundle.
    """
    root = Path(config.out)
    data, run = root / "data", root / "model"
    options = read_options(config.real_options)
    collect(
        env_id(config.name, "real"),
        data,
        config.frames,
        "random",
        env_options=options,
        resume=data.exists(),
    )
    bundle = train(replace(config.world_model, data=data, out=run))
    if not (root / "evaluation" / "evaluation.json").is_file():
        evaluate_bundle(evaluation_of(config, bundle, data))
    return bundle


def evaluation_of(config: TrustConfig, bundle: Path, data: Path) -> EvaluateConfig:
    """A short evaluation: it measures trust and writes the calibration into the bundle."""
    places = {"bundle": str(bundle), "data": str(data), "out": str(Path(config.out) / "evaluation")}
    counts = {
        "transitions": 1_000,
        "random_actions": 1_000,
        "rollouts": 16,
        "horizon": 8,
        "kid_frames": 0,
    }
    counts |= {"survival_steps": 50, "survival_lanes": 4}
    return EvaluateConfig(**places, **counts, update_card=True, ranking=False)


def trained(config: TrustConfig, bundle: Path, min_trust: float | None, seed: int) -> Path:
    """The folder of a PPO run in the dream, trained unless it is there."""
    out = (
        Path(config.out)
        / f"ppo_{'without' if min_trust is None else f'trust_{min_trust:g}'}_seed_{seed}"
    )
    if not (out / POLICY_FILE).is_file():
        train_ppo(
            PPOConfig(
                config.name,
                "dream",
                config.steps,
                str(out),
                seed,
                str(bundle),
                min_trust=min_trust,
                ppo=config.ppo,
            )
        )
    return out


def dreamed_return(run: Path) -> float | None:
    """The mean return that a run's policy got in its dream at the end, from the last row of its
    table that tells.
    """
    tables = sorted(run.glob("progress*.csv"), key=lambda path: path.stat().st_mtime)
    rows = [
        row
        for table in tables
        for row in csv.DictReader(open(table))
        if row.get("rollout/ep_rew_mean")
    ]
    return float(rows[-1]["rollout/ep_rew_mean"]) if rows else None


def run_trust(config: TrustConfig) -> dict:
    """Does what is not done yet; writes `trust.json` and returns what is in it."""
    game, options = (
        env_id(config.name, "real"),
        env_settings(config.name, "real", options=config.real_options),
    )
    bundle, found = scarce_bundle(config), {}
    for name, least in (("without", None), ("with_min_trust", config.min_trust)):
        runs = [trained(config, bundle, least, seed) for seed in config.seeds]
        played = [
            play_policy(
                load_policy(run / POLICY_FILE), game, config.episodes, seed + 1_000_000, **options
            )
            for run, seed in zip(runs, config.seeds, strict=True)
        ]
        found[name] = {
            **summarise(Episodes.joined(played)).as_dict(),
            "by_seed": [float(one.returns.mean()) for one in played],
            "dreamed_return": [dreamed_return(run) for run in runs],
        }
    random = make_policy("random", action_count(game, **options), world=config.name)
    found["random"] = summarise(
        play_policy(random, game, config.episodes, 1_000_000, **options)
    ).as_dict()
    figures = json.loads((Path(config.out) / "evaluation" / "evaluation.json").read_text())
    result = {
        **found,
        "trust": figures["trust"],
        "frames": config.frames,
        "min_trust": config.min_trust,
    }
    (Path(config.out) / "trust.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def format_table(result: dict) -> str:
    """The result as lines for a terminal."""
    lines = [f"{'PPO in the dream':<18}{'real return':>12}  {'95 %':<16}{'in its dream':>13}"]
    for name in ("without", "with_min_trust", "random"):
        row = result[name]
        dreamed = [value for value in row.get("dreamed_return", []) if value is not None]
        shown = f"{sum(dreamed) / len(dreamed):.2f}" if dreamed else "-"
        span = "{:.2f} to {:.2f}".format(*row["return_ci"])
        lines.append(f"{name:<18}{row['return_mean']:>12.2f}  {span:<16}{shown:>13}")
    return "\n".join(lines)


def run(config: TrustConfig) -> str:
    """Run the experiment; return its table and where it is written."""
    table = format_table(run_trust(config))
    return f"{table}\nwritten to {Path(config.out) / 'trust.json'}"


def preset(words: list[str]) -> TrustConfig:
    """The settings of the world that the command line is about."""
    name = named_world(words, TrustConfig.name)
    return TrustConfig(name, ppo=ppo_settings(name), world_model=few_updates(name))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs trust", ("name",))
