"""The model families side by side: `neural-envs compare --world snake --budget 30`.

Each family's preset is trained on the same dataset for the same wall-clock time, one after another,
with rates and stages paced by that time; then it is evaluated (as `neural-envs evaluate`
does, with small counts), timed, and the same PPO is trained in its dream and measured in the real
game. Writes OUT/compare.json and OUT/compare.md. Finished families are not repeated.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agents.benchmarks.bench import bundle_macs
from agents.benchmarks.timing import dream, rates_in_turn
from agents.envs import Kind, env_id, find_twins, game_actions
from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from agents.evaluation.how_made import how_made
from agents.evaluation.play import play_policy, summarise
from agents.experiments.compare_families import CompareConfig, chosen, resolved, training
from agents.experiments.compare_records import check_family, check_reference
from agents.experiments.compare_table import markdown
from agents.experiments.stages import Settings, StageError, Stages, settings_of, write_json
from agents.ppo.presets import ppo_settings
from agents.ppo.train import PPOConfig, load_policy, train_ppo
from collectors.files import write_atomically
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.progress import OverallProgress, duration, note
from collectors.settings.run_command import command
from neural_envs import bundles
from neural_envs.bundles import checked_device, load_model
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.run import train
from world_models.training.run_info import machine_class

FREE = ("families", "out", "seconds", "rounds", "real", "device")  # decide no row
LANES = (1, 64)  # at which dreams are timed
GAME_LANES = 16  # games of each player at a time
PPO_PER_MINUTE = 20_000  # steps, about, for the bar


def decided_by(config: CompareConfig, training: Any, **more: str) -> Settings:
    """What decides a row of the table: the shared settings, and those of its own `training`."""
    shared, own = settings_of(config, FREE, **more), settings_of(training, ("out",))
    values, defaults = (
        shared_texts | {f"training.{name}": text for name, text in own_texts.items()}
        for shared_texts, own_texts in zip(shared, own, strict=True)
    )
    return Settings(values, defaults)


def run_family(
    config: CompareConfig, family: str, preset: str, stages: Stages, overall: OverallProgress
) -> dict:
    """Train and measure a family, unless that is done; both are phases of `overall`.

    One that cannot be trained is a row that says why, and is tried again by the next call.
    """
    folder, plan = Path(config.out) / family, training(config, family, preset)
    name = {"family": family, "preset": preset}

    def work() -> dict:
        overall.phase(f"{family}: training")
        bundle, effort = trained(plan)
        overall.phase(f"{family}: measuring", loops=2 + 1)  # evaluation, PPO and its games
        return {**name, **effort, **figures(config, bundle, folder)}

    try:
        settings = decided_by(config, plan, preset=preset)
        check = partial(check_family, name)
        return stages.run(f"family/{family}", work, settings, plan.out / "bundle", check=check)
    except StageError:
        raise
    except (ValueError, TrainingError) as error:
        return {**name, "failed": str(error)}


def trained(config: TrainConfig) -> tuple[Path, dict]:
    """The bundle, on what it was trained, and what this process spent on it; a resumed run has
    spent more before.
    """
    load, begun, busy = os.getloadavg()[0], time.monotonic(), time.process_time()
    bundle = train(config, load_model)
    seconds = time.monotonic() - begun
    share = (time.process_time() - busy) / max(seconds, 1e-9)
    effort = {"train_seconds": round(seconds, 1), "cpu_seconds_per_second": round(share, 2)}
    effort["load_average_before"] = round(load, 2)
    return bundle, {**effort, "trained_on": machine_class(config.device)}


def figures(config: CompareConfig, path: Path, folder: Path) -> dict:
    """Size, fidelity and usefulness of a bundle; speed is measured later, of all together."""
    bundle = bundles.load(path)
    return {
        "updates": bundle.config["provenance"]["updates"],
        "parameters": sum(p.numel() for p in bundle.model.parameters()),
        "macs_per_frame": bundle_macs(str(path), None),
        "scores": fidelity(config, path, folder),
        "ppo": taught(config, "dream", str(path), folder) if config.ppo_steps else None,
    }


def fidelity(config: CompareConfig, bundle: Path, folder: Path) -> dict:
    """The card's figures of a bundle; all figures go to evaluation.json in the family's folder."""
    counts = {
        name: getattr(config, name)
        for name in ("transitions", "rollouts", "horizon", "survival_steps", "seed")
    }
    counts |= {
        "random_actions": max(1, config.transitions // 4),
        "kid_depth": min(32, config.horizon),
    }
    # the same counts for every family, however fast it dreams
    counts |= {"minutes": 0, "control_clips": 0, "decision_states": 0}
    counts |= {"game": config.game_steps > 0, "game_steps": max(1, config.game_steps)}
    counts |= {"game_lanes": GAME_LANES, "all_players": False, "min_trust": 0.0}
    out = str(folder / "evaluation")
    report = evaluate_bundle(
        EvaluateConfig(
            bundle=str(bundle),
            data=config.data,
            out=out,
            ranking=False,
            device=config.device,
            overwrite=True,
            **counts,
        )
    )
    figures = json.loads(report.path.read_text()) if config.game_steps else {}
    return {**report.scores, **deep_figures(figures)}


def deep_figures(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """What the best player's dreams keep, by depth, and what happens in games of each player."""
    kept = {
        f"hold.{depth}.{name}": row[name]["value"]
        for depth, row in evaluation.get("hold", {}).items()
        for name in ("sharpness", "kid")
        if isinstance(row, Mapping) and "value" in row.get(name, {})
    }
    return kept | {
        f"game.{policy}.events_per_1000": row["events_per_1000"]["value"]
        for policy, row in evaluation.get("game", {}).items()
        if isinstance(row, Mapping) and "events_per_1000" in row
    }


def taught(config: CompareConfig, kind: Kind, bundle: str | None, folder: Path) -> dict:
    """PPO trained in a dream or in the real game: its steps and how it plays the real game."""
    settings = ppo_settings(config.world)
    out = str(folder / "ppo")
    run = PPOConfig(config.world, kind, config.ppo_steps, out, config.seed, bundle)
    run = replace(run, device=config.device, ppo=settings)
    policy = load_policy(train_ppo(run, config.ppo_minutes * 60 or None))
    return {**measured(config, policy), "steps": policy.num_timesteps}


def measured(config: CompareConfig, policy) -> dict:
    """How a policy plays the real game: means with 95 % intervals."""
    played = play_policy(
        policy, env_id(config.world, "real"), config.episodes, config.seed + 1_000_000
    )
    return summarise(played, config.seed).as_dict(find_twins(config.world).event)


def references(config: CompareConfig, stages: Stages) -> dict[str, dict]:
    """The random policy and, if `config.real`, PPO of the real game, measured alike."""
    settings = decided_by(config, ppo_settings(config.world))

    def random() -> dict:
        actions = game_actions(env_id(config.world, "real"))
        return {"ppo": measured(config, make_policy("random", actions))}

    def real() -> dict:
        return {"ppo": taught(config, "real", None, Path(config.out) / "real")}

    if not config.ppo_steps:
        return {}
    works = {"random": random, "real": real} if config.real else {"random": random}
    return {
        name: stages.run(f"reference/{name}", work, settings, check=check_reference)["ppo"]
        for name, work in works.items()
    }


def speeds(config: CompareConfig, rows: list[dict]) -> dict[str, dict[str, float]]:
    """family -> lanes -> frames per second, timed in turn: other work slows them all alike."""
    subjects = {
        (row["family"], lanes): dream(
            str(Path(config.out) / row["family"] / "train" / "bundle"), lanes, None
        )
        for row in rows
        for lanes in LANES
    }
    rates = rates_in_turn(subjects, config.rounds, config.seconds)
    medians = {key: round(statistics.median(values), 1) for key, values in rates.items()}
    return {
        row["family"]: {str(lanes): medians[row["family"], lanes] for lanes in LANES}
        for row in rows
    }


def machine() -> dict:
    """What all of it ran on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": (names or [platform.processor() or platform.machine()])[0],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def compare(config: CompareConfig) -> dict:
    """Does what is not done yet; writes and returns what is in compare.json.

    Raises CompareError, and LockError where another process writes the folder.
    """
    config = resolved(config)
    checked_device(config.device)  # before minutes of training
    with locked(config.out):
        return _compare(config)


def _compare(config: CompareConfig) -> dict:
    if config.threads:
        torch.set_num_threads(config.threads)
    stages = Stages(Path(config.out))
    weights = phases(config)
    note(start_line(config, stages, sum(weights.values())))
    with OverallProgress(weights) as overall:
        rows = [
            run_family(config, family, preset, stages, overall)
            for family, preset in chosen(config).items()
        ]
        done = [row for row in rows if "failed" not in row]
        overall.phase("speed")
        rates = speeds(config, done) if done else {}
        overall.phase("references", loops=2 + config.real)  # random games; PPO and its games
        played = references(config, stages)
    return _written(config, rows, rates, played)


def phases(config: CompareConfig) -> dict[str, float]:
    """About how many minutes each phase takes."""
    families, learning = chosen(config), config.ppo_minutes or config.ppo_steps / PPO_PER_MINUTE
    learning *= config.ppo_steps > 0
    weights = {}
    for family in families:
        weights[f"{family}: training"] = config.budget
        weights[f"{family}: measuring"] = 2 + learning
    timings = len(families) * len(LANES) * (config.rounds + 1)
    weights["speed"] = timings * config.seconds / 60
    return weights | {"references": 1 + learning * config.real}


def start_line(config: CompareConfig, stages: Stages, minutes: float) -> str:
    """What is about to be compared, and about how long it takes."""
    families = chosen(config)
    done = [family for family in families if f"family/{family}" in stages.finished()]
    again = f"; finished already: {', '.join(done)}" if done else ""
    return (
        f"comparing {', '.join(families)} on {config.data}: {config.budget:g} minutes of training "
        f"each with {torch.get_num_threads()} threads, about {duration(60 * minutes)} in all, into "
        f"{config.out}{again}"
    )


def _written(config: CompareConfig, rows: list[dict], rates: dict, played: dict) -> dict:
    """Writes what was found; returns what is in compare.json."""
    rows = [{**row, "frames_per_second": rates.get(row["family"])} for row in rows]
    limits = {name: getattr(config, name) for name in ("ppo_steps", "ppo_minutes", "episodes")}
    about = {
        "made": how_made("compare", config, CompareConfig, ("world",)),
        "world": config.world,
        "data": config.data,
        "seed": config.seed,
        "budget": {"minutes": config.budget, **limits},
        "machine": machine(),
    }
    result = {**about, "families": rows, "references": played}
    write_json(Path(config.out) / "compare.json", result)
    write_atomically(Path(config.out) / "compare.md", markdown(result))
    return result


def run(config: CompareConfig) -> str:
    """Compare; return the tables and where they are written."""
    tables = markdown(compare(config))
    return f"{tables}\nwritten: {Path(resolved(config).out) / 'compare.json'}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(CompareConfig, run, argv, "neural-envs compare", ("world",))
