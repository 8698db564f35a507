"""How long PPO takes in a dream and in its real game: the same short training, timed in turn."""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium

from agents.envs import KINDS, Kind
from agents.ppo.presets import ppo_settings
from agents.ppo.train import PPOConfig, train_ppo
from collectors.worlds.table import WORLDS
from neural_envs import bundles


def ppo_report(
    names: list[str], steps: int, rounds: int, backend: str, device: str = "cpu"
) -> dict:
    """{bundle: {dream_seconds, real_seconds, ratio}}, medians over rounds; the ratio is dream /
    real of the same round. A bundle whose real game is missing, or is none of the table of worlds,
    is left out, and a line says so.
    """
    report: dict = {}
    for name in names:
        world = bundles.load(name).model.spec.world
        if world not in WORLDS:
            print(
                f"PPO of {name} is not timed: it dreams {world!r}, and no game is imported because "
                "a file says so"
            )
            continue
        try:
            seconds(name, "dream", 1, backend, device)  # graphs are made before anything is timed
            pairs = [
                [seconds(name, kind, steps, backend, device) for kind in KINDS]
                for _ in range(rounds)
            ]
        except (ImportError, gymnasium.error.Error) as error:
            print(f"PPO of {name} is not timed: {error}")
            continue
        dream, real = zip(*pairs, strict=True)
        report[name] = {
            "steps": steps,
            "dream_seconds": statistics.median(dream),
            "real_seconds": statistics.median(real),
            "ratio": statistics.median(d / r for d, r in pairs),
        }
    return report


def seconds(name: str, kind: Kind, steps: int, backend: str, device: str) -> float:
    """The wall time of a training with the settings of the bundle's world."""
    world = bundles.load(name).model.spec.world
    with TemporaryDirectory() as folder:
        config = PPOConfig(
            world,
            kind,
            steps,
            str(Path(folder) / "ppo"),
            bundle=name,
            backend=backend,  # pyright: ignore[reportArgumentType]  # checked where it is set
            device=device,
            ppo=ppo_settings(world),
        )
        begun = time.perf_counter()
        train_ppo(config)
        return time.perf_counter() - begun
