"""`neural-envs bench --out bench.json`: the speed of dreams and of what they are compared with.

Everything that is compared is timed in turn, round after round, in this process with the same
threads, so that a busy machine slows all of it alike; a ratio is taken within a round, and the
median over rounds is reported. Own dreams are timed as users get them, through NeuralVectorEnv with
numpy frames; the comparison networks run bare (no environment).
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import gymnasium
import numpy as np
import torch

from agents.benchmarks import reference_models as reference
from agents.benchmarks.backends import backend_report, backend_subjects
from agents.benchmarks.bench_config import BenchConfig
from agents.benchmarks.bench_lines import lines
from agents.benchmarks.peaks import peak_for, peak_subjects, peaks_of
from agents.benchmarks.timing import (
    Advance,
    Dream,
    Rates,
    dream,
    macs,
    network_dream,
    rates_in_turn,
    ratios,
    real_env,
    startup,
)
from agents.envs import env_id, weights_fingerprint
from agents.evaluation.how_made import how_made
from agents.ppo.presets import STEPS_PER_SECOND
from collectors.dataset.dataset import recorded_dataset
from collectors.extras import optional
from collectors.files import check_free, check_writable, write_atomically
from collectors.progress import OverallProgress, counted, duration, note, progress
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs import bundles
from world_models.networks.actions import numbered
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, WorldModel
from world_models.training.clips import ClipReader
from world_models.training.distributed import find_device
from world_models.training.presets.table import find_preset
from world_models.training.trainer import Trainer

Module = TypeVar("Module", bound=torch.nn.Module)


def own_subjects(names: list[str], config: BenchConfig) -> dict[tuple, Dream]:
    """(bundle, lanes, sampler steps) -> how to dream so.

    A bundle without a sampler takes one call per frame.
    """
    subjects: dict[tuple, Dream] = {}
    for name in progress(names, desc="opening bundles"):
        steps = own_steps(bundles.load(name).model, config.sampler_steps)
        subjects |= {
            (name, n, s or 1): dream(name, n, s, config.backend, config.device)
            for n in config.lanes
            for s in steps
        }
    return subjects


def own_steps(model: WorldModel, numbers: tuple[int, ...]) -> tuple[int | None, ...]:
    """The numbers of sampler steps that a model is timed with; None: it takes one call."""
    return numbers if "steps" in model.supported_options else (None,)


def reference_subjects(config: BenchConfig) -> dict[tuple, Advance]:
    """(model, lanes, 3) -> how to dream so, with untrained weights; both take three steps."""
    subjects = {}
    if config.diamond_lanes:
        denoiser = _ready(reference.DiamondDenoiser(), config.device)
        outcome = _ready(reference.DiamondRewardEnd(), config.device)
        subjects |= {
            ("diamond", n, 3): network_dream(
                reference.diamond_dreams(n, denoiser, outcome, config.device)
            )
            for n in config.diamond_lanes
        }
    if config.snake_unet_lanes:
        unet = _ready(reference.SnakePixelUNet(), config.device)
        lanes = config.snake_unet_lanes
        subjects |= {
            ("snake_pixel_unet", n, 3): network_dream(
                reference.snake_dreams(n, unet, device=config.device)
            )
            for n in lanes
        }
    return subjects


def _ready(network: Module, device: str) -> Module:
    moved = network.eval().to(device)
    return moved.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub lacks this overload


def bundle_macs(name: str, steps: int | None) -> int:
    """Multiply-adds of one dreamed frame."""
    loaded, zero = bundles.load(name), torch.zeros(1, dtype=torch.int64)
    model, options = loaded.model, SamplingOptions(steps)
    state, noise = model.init(loaded.contexts.choose(zero)), NoiseStream.from_seeds(zero)
    action = numbered(model.spec.actions, zero)  # of several parts, or numbers, in some games
    return macs(lambda: model.step(state, action, noise, options))


def data_subjects(config: BenchConfig) -> dict[str, Advance]:
    """Reading clips of one context and one next frame, and training on clips."""
    dataset, preset = recorded_dataset(config.data), find_preset(config.preset)
    trainer = Trainer(replace(preset, rollout_from=1.0, device=config.device), dataset)
    context = trainer.model.context_length
    reader = ClipReader(dataset, dataset.split()["train"], context, 1, preset.event_weight)
    order = np.random.default_rng(0)

    def train() -> int:
        trainer.step()
        return preset.batch_size

    return {
        "dataset_read_samples": lambda: len(reader.draw(256, order).actions),
        "training_samples": train,
    }


def real_subjects(names: list[str]) -> dict[str, Advance]:
    """The installed real games of the bundles' worlds, without Snake, which is timed anyway."""
    worlds = {bundles.load(name).model.spec.world for name in names} & set(WORLDS) - {"snake"}
    subjects = {}
    for world in sorted(worlds):
        try:
            subjects[f"real_env_steps_{world}"] = real_env(env_id(world, "real"))
        except (ImportError, gymnasium.error.Error) as error:
            print(f"the real {world} is not timed: {error}")
    return subjects


def rates_of_games_and_data(config: BenchConfig, names: list[str]) -> dict[str, float | None]:
    """Medians per second; those of data are None where there is no dataset."""
    subjects = {
        f"real_env_steps_{kind}": real_env(config.real, observation=kind)
        for kind in ("rgb", "grid")
    }
    subjects |= real_subjects(names)
    recorded = (Path(config.data) / "manifest.json").is_file()
    subjects |= data_subjects(config) if recorded else {}
    rates = rates_in_turn(subjects, config.rounds, config.seconds)
    missing = {} if recorded else {"dataset_read_samples": None, "training_samples": None}
    return {name: statistics.median(values) for name, values in rates.items()} | missing


def bundle_report(
    name: str, rates: Rates, peaks: Mapping[str, float], runs: Mapping[tuple, str], asked: str
) -> dict:
    """The figures of one bundle but for its start-up; those of its dreams are
    [lanes][sampler steps]. `runs`: the backend of each dream, which is not always the `asked` one.
    """
    model = bundles.load(name).model
    own = {key[1:]: statistics.median(values) for key, values in rates.items() if key[0] == name}
    work = {s: bundle_macs(name, s) for _, s in own}
    ran = {key: runs[name, *key] for key in own}
    peak = {key: peak_for(asked if asked == "auto" else by, peaks) for key, by in ran.items()}
    shares = {key: v * work[key[1]] / most for key, v in own.items() if (most := peak[key])}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "default_sampler_steps": model.default_options.steps or 1,
        "macs_per_frame": work,
        "frames_per_second": by_lanes(own),
        "runs": by_lanes(ran),
        "share_of_convolution_peak": by_lanes(shares),
    }


def by_lanes(values: Mapping[tuple, Any]) -> dict:
    """(lanes, sampler steps) -> value as [lanes][sampler steps]."""
    found: dict = {}
    for (lanes, steps), value in values.items():
        found.setdefault(lanes, {})[steps] = value
    return found


def reference_report(rates: Rates) -> dict:
    """Sizes and rates of the comparison networks."""
    denoiser, outcome = reference.DiamondDenoiser(), reference.DiamondRewardEnd()
    unet = reference.SnakePixelUNet()
    networks = {"diamond": (denoiser, outcome), "snake_pixel_unet": (unet,)}
    frames = {
        "diamond": reference.diamond_dreams(1, denoiser, outcome),
        "snake_pixel_unet": reference.snake_dreams(1, unet),
    }
    report: dict = {}
    for (name, lanes, steps), values in rates.items():
        if name not in report and name in networks:
            report[name] = {
                "parameters": sum(
                    p.numel() for network in networks[name] for p in network.parameters()
                ),
                "macs_per_frame": macs(lambda name=name: next(frames[name])),
                "denoising_steps": steps,
                "weights": "untrained: only the arithmetic is timed",
                "frames_per_second": {},
            }
        if name in networks:
            report[name]["frames_per_second"][lanes] = statistics.median(values)
    return report


def bench(config: BenchConfig) -> dict:
    """All figures of bench.json; see the module. Raises BundleError for an unknown bundle."""
    if config.threads:
        torch.set_num_threads(config.threads)
    find_device(config.device)
    names = list(config.bundles) or bundles.released_names()
    weights = bench_phases(config, len(names))
    note(
        f"timing {counted(len(names), 'bundle')}, {counted(config.rounds, 'round')} of "
        f"{config.seconds:g} s for each, with {counted(torch.get_num_threads(), 'thread')} on "
        f"{config.device}: about {duration(sum(weights.values()))}"
    )
    with OverallProgress(weights) as overall:
        return _bench(config, names, overall)


def bench_phases(config: BenchConfig, names: int) -> dict[str, float]:
    """About how many seconds each phase takes."""
    backends = names * len(config.backends) * len(config.backend_lanes)
    own = 1.5 * names * len(config.lanes) + 4
    turn = config.seconds * (config.rounds + 0.5)
    weights = {"opening bundles": 0.2 * own + 8.0 * backends, "dreams": turn * (own + backends)}
    weights |= {"games and data": 7 * turn, "start-up and sizes": 6.0 * names}
    trainings = 2 * names * config.rounds
    return weights | (
        {"PPO": trainings * config.ppo_steps / STEPS_PER_SECOND} if config.ppo else {}
    )


def _bench(config: BenchConfig, names: list[str], overall: OverallProgress) -> dict:
    overall.phase("opening bundles", loops=2)
    backends = backend_subjects(names, config.backends, config.backend_lanes, config.device)
    own = own_subjects(names, config)
    runs = {key: one.backend for key, one in {**own, **backends}.items()}
    subjects = own | reference_subjects(config) | peak_subjects(config.device)
    overall.phase("dreams")
    rates = rates_in_turn({**subjects, **backends}, config.rounds, config.seconds)
    peaks, backend_rates = peaks_of(rates), {key: rates.pop(key) for key in backends}
    work = {name: bundle_macs(name, None) for name in names if backends}
    others = {lanes: values for (name, lanes, *_), values in rates.items() if name == "diamond"}
    overall.phase("games and data")
    throughput = rates_of_games_and_data(config, names)
    overall.phase("start-up and sizes")
    reports = {
        name: bundle_report(name, rates, peaks, runs, config.backend)
        | {"startup": startup(name, config.memory_lanes)}
        for name in progress(names, desc="start-up and sizes")
    }
    if config.ppo:
        overall.phase("PPO", loops=len(names) * (2 * config.rounds + 1))
    return {
        "made": how_made("bench", config, BenchConfig),
        "weights": {name: weights_fingerprint(name, name) for name in names},
        "machine": {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": config.device,
        },
        "rounds": config.rounds,
        "convolution_peak_gmac_per_second": {name: peak / 1e9 for name, peak in peaks.items()},
        "bundles": reports,
        "references": reference_report(rates),
        "ratios": ratios(names, rates),
        "backends": backend_report(backend_rates, work, peaks, others, runs),
        "per_second": throughput,
        "ppo": ppo_times(names, config) if config.ppo else {},
    }


def ppo_times(names: list[str], config: BenchConfig) -> dict:
    """`ppo_report` of these bundles; what learns is imported for it alone."""
    from agents.benchmarks.ppo import ppo_report

    return ppo_report(names, config.ppo_steps, config.rounds, config.backend, config.device)


def run(config: BenchConfig) -> str:
    """Measure, write the figures to `config.out`; return them as lines."""
    check_free(config.out, config.overwrite)
    check_writable(Path(config.out).parent)  # before minutes of measuring
    if config.ppo:
        optional("stable_baselines3", instead="leave out --ppo")
    figures = bench(config)
    write_atomically(config.out, json.dumps(figures, indent=1) + "\n")
    return "\n".join([*lines(figures), f"written: {config.out}"])


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(BenchConfig, run, argv, "neural-envs bench")


if __name__ == "__main__":
    raise SystemExit(main())
