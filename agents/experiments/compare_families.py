"""What `neural-envs compare` compares: its settings, and the presets of the model families."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collectors.dataset.dataset import Dataset
from collectors.settings.parse import check_settings, setting
from collectors.worlds.table import WORLDS, UnknownNameError, find_world, unknown
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.pixel import PixelConfig
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS

# family -> how its presets' names end: WORLD-ENDING, or where there is none that of any game, or
# another world's, trained on this world's data
FAMILIES = {
    "chance": "chance",
    "edm": "edm",
    "unet": "unet",
    "ddpm": "ddpm",
    "flow": "flow",
    "eqm": "eqm",
    "forcing": "forcing",
    "pixel": "pixel",
    "latent": "latent",
    "tokens": "tokens",
    "sprites": "sprites",
    "scene": "scene",
}
# presets that are not named by their family
NAMED = {
    ("snake", "chance"): "snake",
    ("pong", "scene"): "pong",
    ("worldmap", "tokens"): "worldmap",
    ("worldmap", "edm"): "worldmap-diffusion",
    ("coinrun", "tokens"): "coinrun",
}
OF_ANY_GAME = {"chance": "any", "tokens": "any-tokens", "scene": "pong"}


@dataclass(frozen=True)
class CompareConfig:
    """Train the model families on one dataset for the same time, and compare them."""

    world: str = setting("snake", "the world: " + ", ".join(WORLDS))
    budget: float = setting(
        30.0, "minutes of wall-clock time in which each family is trained", above=0
    )
    families: tuple[str, ...] = setting(
        (), "which; none: all that have a preset, of " + ", ".join(FAMILIES)
    )
    data: str = setting("", "dataset; none: data/WORLD")
    out: str = setting(
        "", "directory; none: runs/compare-WORLD. Finished families in it are not repeated"
    )
    seed: int = setting(0, "of every training and measurement", least=0)
    device: str = setting("cpu", "where agents learn and bundles are measured, as cuda")
    threads: int = setting(0, "CPU threads, 0 for torch's choice", least=0)
    transitions: int = setting(2_000, "teacher-forced transitions", least=1)
    rollouts: int = setting(64, "open-loop rollouts", least=1)
    horizon: int = setting(64, "steps of a rollout", least=1)
    survival_steps: int = setting(300, "steps of dreams that policies play", least=1)
    game_steps: int = setting(
        0,
        "steps of games that random play and the best player play in each dream, for figures of "
        "deep dreams; 0: none",
        least=0,
    )
    ppo_steps: int = setting(
        100_000,
        "steps of PPO in each dream and, for comparison, in the real game; 0: no PPO",
        least=0,
    )
    ppo_minutes: float = setting(
        0.0,
        "at most this long for each PPO, so that a slow dream gives fewer steps; 0: no limit",
        least=0,
    )
    episodes: int = setting(64, "real episodes in which each agent is measured", least=1)
    real: bool = setting(True, "train the same PPO in the real game too")
    seconds: float = setting(1.0, "shortest time of one timing; 0: one step", least=0)
    rounds: int = setting(3, "times that everything is timed in turn", least=1)

    def __post_init__(self):
        check_settings(self)


class CompareError(ValueError):
    """The comparison cannot be made so; the message says what is wrong."""


def preset_of(world: str, family: str) -> str | None:
    """The name of the preset that trains a family on a world; None where there is none."""
    own = NAMED.get((world, family), f"{world}-{FAMILIES[family]}")
    if own in PRESETS:
        return own
    others = (name for name in PRESETS if name.endswith(f"-{FAMILIES[family]}"))
    return OF_ANY_GAME.get(family) or next(others, None)


def chosen(config: CompareConfig) -> dict[str, str]:
    """family -> preset. Raises UnknownNameError for a family that is unknown or has no preset."""
    presets = {family: preset_of(config.world, family) for family in FAMILIES}
    known = {family: preset for family, preset in presets.items() if preset}
    lacking = [family for family in config.families if family not in known]
    if lacking:
        raise UnknownNameError(unknown("family", lacking[0], known))
    return {family: known[family] for family in config.families or known}


def resolved(config: CompareConfig) -> CompareConfig:
    """The settings with what was left out filled in.

    Raises CompareError where there is nothing to compare on.
    """
    find_world(config.world)
    out, data = config.out or f"runs/compare-{config.world}", config.data or f"data/{config.world}"
    if not (Path(data) / "manifest.json").is_file():
        raise CompareError(
            f"there is no dataset in {data!r}; record one with: neural-envs collect {config.world}"
        )
    if not Dataset(data).split()["test"]:
        raise CompareError(f"the test split of {data} is empty: collect more frames")
    return replace(config, out=out, data=data)


def fitted(preset: TrainConfig, data: str) -> TrainConfig:
    """A preset of another world: one image per frame where the data stack none, and for
    diffusion forcing the next larger patch that frames divide into.
    """
    model = preset.model
    if isinstance(model, PixelConfig) and Dataset(data).spec["frame_shape"][2] % model.stack:
        return replace(preset, model=replace(model, stack=1))
    if isinstance(model, ForcingConfig):
        height, width, _ = Dataset(data).spec["frame_shape"]
        sizes = range(model.network.patch, min(height, width) + 1)
        patch = next(
            (size for size in sizes if not (height % size or width % size)), model.network.patch
        )
        return replace(preset, model=replace(model, network=replace(model.network, patch=patch)))
    return preset


def training(config: CompareConfig, family: str, preset: str) -> TrainConfig:
    """How a family is trained: its preset, fitted to the data and paced by the budget."""
    chosen, out = fitted(PRESETS[preset](), config.data), Path(config.out) / family / "train"
    paced: dict[str, Any] = {"minutes": config.budget, "schedule": "minutes", "seed": config.seed}
    return replace(chosen, data=Path(config.data), out=out, threads=config.threads, **paced)
