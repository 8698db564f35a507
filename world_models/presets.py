"""Presets: functions that return a training configuration. The table reads top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from world_models.models.chance import ChanceConfig, ChanceSettings
from world_models.models.diffusion import DiffusionConfig
from world_models.models.pixel import PixelConfig
from world_models.networks.dit import TransformerConfig
from world_models.networks.film import FilmConfig
from world_models.networks.grid import GridConfig
from world_models.networks.unet import UNetConfig
from world_models.objectives import DDPM, EDM, FlowMatching
from world_models.samplers import Ancestral, Euler


@dataclass(frozen=True)
class TrainConfig:
    """Train a world model on a dataset and write it as a bundle."""

    model: ChanceConfig | DiffusionConfig | PixelConfig = field(default_factory=ChanceConfig)
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
        model=DiffusionConfig(network=grid, chance=ChanceSettings()),
        out=Path("runs/snake-edm"),
        learning_rate=1e-3,
        updates=4_500,
        rollout_steps=1,
    )


def pong() -> TrainConfig:
    """Pong: eight frames tell the speeds well, and in clips of eight steps a wrong speed costs what it will cost."""
    model = ChanceConfig(grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2), context_length=8)
    return TrainConfig(
        model=model,
        data=Path("data/pong"),
        out=Path("runs/pong"),
        validation_batches=3,
        updates=6_000,
        rollout_steps=8,
        rollout_from=0.7,
        rollout_gradient=True,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
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
        model=DiffusionConfig(network=grid, objective=objective),
        data=Path("data/worldmap"),
        out=Path("runs/worldmap"),
        updates=8_000,
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
        rollout_from=0.85,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
    )


def snake_unet() -> TrainConfig:
    """Snake by the pixel U-Net, small: pixels are folded two by two, so it starts at 32 x 32; two Euler steps."""
    network = UNetConfig(
        width=32, base=24, multipliers=(1, 2), condition=64, groups=8, heads=4, stem=2, pixel_features=8
    )
    return TrainConfig(
        model=DiffusionConfig(network=network, sampler=Euler(2), context_length=4),
        out=Path("runs/snake-unet"),
        learning_rate=1e-3,
        updates=8_000,
        rollout_steps=1,
    )


def snake_unet_reference() -> TrainConfig:
    """The pixel U-Net as it was published, 53 M parameters, with its noise levels and guidance: for a large GPU."""
    objective = EDM(log_mean=-1.2, log_std=1.2, sigma_min=0.002, sigma_max=80.0)
    return TrainConfig(
        model=DiffusionConfig(network=UNetConfig(), objective=objective, context_length=4, guidance=2.0),
        out=Path("runs/snake-unet-reference"),
        batch_size=512,
        learning_rate=1e-4,
        weight_decay=1e-4,
        updates=13_800,
        rollout_steps=1,
        ema=0.9999,
        action_dropout=0.3,
        end_weight=5.0,
        damage=0.0,
        noise=0.0,
    )


def snake_unet_diamond() -> TrainConfig:
    """A U-Net as wide as DIAMOND's for Atari (Alonso et al. 2024, arXiv:2405.12399), with its noise levels: for a GPU.

    Its blocks and its offset noise are not rebuilt.
    """
    network = UNetConfig(base=64, multipliers=(1, 1, 1), blocks=2, condition=256)
    objective = EDM(log_mean=-0.4, log_std=1.2, sigma_min=0.002, sigma_max=5.0)
    return TrainConfig(
        model=DiffusionConfig(network=network, objective=objective, context_length=4),
        out=Path("runs/snake-unet-diamond"),
        learning_rate=1e-4,
        weight_decay=1e-2,
        updates=40_000,
        rollout_steps=2,
        rollout_from=0.0,
    )


def coinrun_pixel() -> TrainConfig:
    """CoinRun by regression: grey frames of 84 x 84, stacked by four; four pictures ahead are learned in one pass.

    Its data: neural-envs collect coinrun --options observation=grey84,levels=split --out data/coinrun-grey
    """
    network = FilmConfig(width=64, ahead=4)
    return TrainConfig(
        model=PixelConfig(network=network, stack=4),
        data=Path("data/coinrun-grey"),
        out=Path("runs/coinrun-pixel"),
        updates=5_000,
        learning_rate=1e-3,
        rollout_steps=4,
        rollout_from=0.85,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
        contexts=128,
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


def worldmap_flow() -> TrainConfig:
    """The world map by a diffusion transformer and flow matching, four steps a frame; guidance may be set."""
    network = TransformerConfig(width=96, patch=8, depth=3, copy=(0, 8), pixel_features=8)
    model = DiffusionConfig(network=network, objective=FlowMatching(prediction="frame"), sampler=Euler(4))
    return replace(worldmap(), model=model, out=Path("runs/worldmap-flow"), action_dropout=0.1)


def worldmap_ddpm() -> TrainConfig:
    """The same network by DDPM, with ten times the steps."""
    flow = worldmap_flow()
    model = replace(flow.model, objective=DDPM(prediction="frame"), sampler=Ancestral(40))
    return replace(flow, model=model, out=Path("runs/worldmap-ddpm"))


def worldmap_unconditional() -> TrainConfig:
    """Windows of the map from nothing; `train worldmap-flow init_from=runs/worldmap-unconditional/bundle` goes on."""
    flow = worldmap_flow()
    model = replace(flow.model, network=replace(flow.model.network, copy=(), unconditional=True))
    return replace(flow, model=model, out=Path("runs/worldmap-unconditional"), action_dropout=0.0)


def worldmap_transformer() -> TrainConfig:
    """The reference system's size and training: 5.7 M parameters, the start image as one vector. For a GPU."""
    network = TransformerConfig(width=256, patch=4, depth=3, heads=1, start="film", drop="both")
    model = DiffusionConfig(network=network, objective=FlowMatching(), sampler=Euler(10), guidance=2.0)
    sizes = {"batch_size": 16, "learning_rate": 1e-4, "updates": 1_875_000, "validate_every": 5_000}
    return replace(worldmap(), model=model, out=Path("runs/worldmap-transformer"), action_dropout=0.1, **sizes)


def worldmap_transformer_unconditional() -> TrainConfig:
    """The reference system's larger, unconditional transformer: DDPM to the noise, 100 steps. For a GPU."""
    conditional = worldmap_transformer()
    network = replace(conditional.model.network, depth=6, unconditional=True)
    model = DiffusionConfig(network=network, objective=DDPM(prediction="noise"), sampler=Euler(100))
    return replace(conditional, model=model, out=Path("runs/worldmap-transformer-unconditional"), action_dropout=0.0)


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "snake": snake,
    "snake-edm": snake_edm,
    "pong": pong,
    "worldmap": worldmap,
    "coinrun": coinrun,
    "any": any_game,
    "worldmap-flow": worldmap_flow,
    "worldmap-ddpm": worldmap_ddpm,
    "worldmap-unconditional": worldmap_unconditional,
    "worldmap-transformer": worldmap_transformer,
    "worldmap-transformer-unconditional": worldmap_transformer_unconditional,
    "snake-unet": snake_unet,
    "snake-unet-reference": snake_unet_reference,
    "snake-unet-diamond": snake_unet_diamond,
    "coinrun-pixel": coinrun_pixel,
}
