"""Presets: functions that return a training configuration. The table reads top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from world_models.models.chance import ChanceConfig, ChanceSettings
from world_models.models.diffusion import DiffusionConfig
from world_models.networks.grid import GridConfig
from world_models.objectives import EDM


@dataclass(frozen=True)
class TrainConfig:
    """Train a world model on a dataset and write it as a bundle."""

    model: ChanceConfig | DiffusionConfig = field(default_factory=ChanceConfig)
    data: Path = field(default=Path("data/snake"), metadata={"help": "dataset directory"})
    out: Path = field(default=Path("runs/snake"), metadata={"help": "run directory: checkpoints, metrics, bundle"})
    seed: int = field(default=0, metadata={"help": "of weights, data order and noise"})
    updates: int = field(default=8_000, metadata={"help": "optimizer steps"})
    minutes: float = field(default=170.0, metadata={"help": "stop cleanly after this long; resume goes on"})
    batch_size: int = field(default=32, metadata={"help": "clips an update"})
    rollout_steps: int = field(default=2, metadata={"help": "steps a clip, each on the model's own last frame"})
    rollout_from: float = field(default=0.7, metadata={"help": "share of updates with a single step first"})
    rollout_gradient: bool = field(
        default=False, metadata={"help": "a step's error also mends the steps before it, for worlds where speeds count"}
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "peak of warm-up and cosine"})
    warmup: int = field(default=300, metadata={"help": "updates"})
    weight_decay: float = field(default=1e-3, metadata={"help": "of AdamW"})
    clip: float = field(default=1.0, metadata={"help": "largest gradient norm"})
    ema: float = field(default=0.998, metadata={"help": "decay of the averaged weights"})
    event_weight: float = field(default=5.0, metadata={"help": "how often a step with a reward is drawn"})
    end_weight: float = field(default=30.0, metadata={"help": "how often a step that ends the game is drawn"})
    noise: float = field(default=0.1, metadata={"help": "largest standard deviation of context noise, of [-1, 1]"})
    damage: float = field(default=0.2, metadata={"help": "share of clips with a patch of their context replaced"})
    action_dropout: float = field(default=0.0, metadata={"help": "share of samples without their action (guidance)"})
    entropy_until: float = field(
        default=0.7, metadata={"help": "share of updates over which chance's entropy pull fades"}
    )
    reward_weight: float = field(default=0.02, metadata={"help": "of the reward head's loss"})
    termination_weight: float = field(default=0.02, metadata={"help": "of the termination head's loss"})
    trust_weight: float = field(default=0.002, metadata={"help": "of the trust head's loss"})
    validate_every: int = field(default=250, metadata={"help": "updates between validations and checkpoints"})
    validation_batches: int = field(default=8, metadata={"help": "of 64 held-out clips"})
    contexts: int = field(default=256, metadata={"help": "start contexts in the bundle"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    precision: str = field(default="auto", metadata={"help": "auto, float32 or bfloat16 (slow on most processors)"})
    threads: int = field(default=0, metadata={"help": "CPU threads; 0: torch's choice. 1 on a shared machine"})
    init_from: str = field(default="", metadata={"help": "bundle whose weights to begin with, as far as they fit"})
    resume: bool = field(default=True, metadata={"help": "go on from the newest good checkpoint in out"})


def snake() -> TrainConfig:
    """The default Snake bundle: chance variable, one decoding call a step."""
    return TrainConfig(model=ChanceConfig(grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2)))


def snake_edm() -> TrainConfig:
    """Snake by diffusion: EDM, three Euler steps, attention in both halves; the place of new food is drawn first."""
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=3, attention=True)
    return TrainConfig(
        model=DiffusionConfig(grid=grid, chance=ChanceSettings()),
        out=Path("runs/snake-edm"),
        learning_rate=1e-3,
        updates=4_500,
        rollout_steps=1,
    )


def pong() -> TrainConfig:
    """Pong: four frames show the speeds; most of the run sees single steps, for precision is what counts."""
    model = ChanceConfig(grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2), context_length=4)
    return TrainConfig(
        model=model,
        data=Path("data/pong"),
        out=Path("runs/pong"),
        updates=8_000,
        rollout_steps=3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.05,
    )


def worldmap() -> TrainConfig:
    """The world map: what was in sight is copied, what comes into sight is dreamed by diffusion.

    A move is 8 pixels, and so is a patch: what is new is one row or column of patches, each dreamed as a whole.
    """
    grid = GridConfig(
        width=96,
        patch=8,
        encoder_depth=2,
        decoder_depth=3,
        attention=True,
        positions=True,
        copy=(0, 8),
        pixel_features=8,
    )
    objective = EDM(log_mean=-0.2, log_std=1.2, sigma_min=0.1, precondition=False)
    return TrainConfig(
        model=DiffusionConfig(grid=grid, objective=objective),
        data=Path("data/worldmap"),
        out=Path("runs/worldmap"),
        updates=7_000,
        learning_rate=1.5e-3,
        rollout_steps=1,
        end_weight=10.0,
        reward_weight=0.1,
        termination_weight=0.1,
        damage=0.0,
        noise=0.02,
    )


def coinrun() -> TrainConfig:
    """CoinRun: the camera moves by parts of a pixel, so patches are warped copies; four frames show the speeds."""
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=2, copy=(0,), flow=8.0)
    return TrainConfig(
        model=ChanceConfig(grid=grid, context_length=4, change_weight=0.0),
        data=Path("data/coinrun"),
        out=Path("runs/coinrun"),
        updates=14_000,
        learning_rate=1e-3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
    )


def any_game() -> TrainConfig:
    """Any Gymnasium game: a small chance model that sees four frames and may copy patches. `data` is the user's."""
    model = ChanceConfig(grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2, copy=(0,)), context_length=4)
    return TrainConfig(
        model=model,
        data=Path("data/any"),
        out=Path("runs/any"),
        updates=5_000,
        rollout_from=0.6,
        event_weight=10.0,
        noise=0.05,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "snake": snake,
    "snake-edm": snake_edm,
    "pong": pong,
    "worldmap": worldmap,
    "coinrun": coinrun,
    "any": any_game,
}
