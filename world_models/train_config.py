"""Settings of a training run, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from world_models.models.chance import ChanceConfig
from world_models.models.diffusion import DiffusionConfig
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.distilled import DistilledConfig
from world_models.models.joint import JointConfig
from world_models.models.latent import LatentConfig
from world_models.models.pixel import PixelConfig


@dataclass(frozen=True)
class TrainConfig:
    """Train a world model on a dataset and write it as a bundle."""

    model: (
        ChanceConfig | DiffusionConfig | DistilledConfig | ForcingConfig | JointConfig | LatentConfig | PixelConfig
    ) = field(default_factory=ChanceConfig)
    data: Path = field(default=Path("data/snake"), metadata={"help": "dataset directory"})
    out: Path = field(default=Path("runs/snake"), metadata={"help": "run directory: checkpoints, metrics, bundle"})
    seed: int = field(default=0, metadata={"help": "of weights, data order and noise"})
    updates: int = field(default=8_000, metadata={"help": "optimizer steps"})
    minutes: float = field(default=170.0, metadata={"help": "stop cleanly after this long; resume goes on"})
    pace: Literal["updates", "minutes"] = field(
        default="updates",
        metadata={"help": "what rates and stages go by and what ends the run; a resumed run's minutes count"},
    )
    batch_size: int = field(default=32, metadata={"help": "clips an update"})
    rollout_steps: int = field(default=2, metadata={"help": "steps a clip, each on the model's own last frame"})
    rollout_from: float = field(default=0.7, metadata={"help": "share of updates with a single step first"})
    rollout_gradient: bool = field(
        default=False, metadata={"help": "a step's error also mends the steps before it, for worlds where speeds count"}
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "peak of warm-up and cosine"})
    warmup: int = field(default=300, metadata={"help": "updates"})
    optimizer: str = field(
        default="adamw", metadata={"help": "adamw, or muon for matrices of transformer blocks and adamw for the rest"}
    )
    weight_decay: float = field(default=1e-3, metadata={"help": "of the optimizer"})
    clip: float = field(default=1.0, metadata={"help": "largest gradient norm"})
    ema: float = field(default=0.998, metadata={"help": "decay of the averaged weights"})
    event_weight: float = field(default=5.0, metadata={"help": "how often a step with a reward is drawn"})
    end_weight: float = field(default=30.0, metadata={"help": "how often a step that ends the game is drawn"})
    noise: float = field(default=0.1, metadata={"help": "largest standard deviation of context noise, of [-1, 1]"})
    damage: float = field(default=0.2, metadata={"help": "share of clips with a patch of their context replaced"})
    expert: bool = field(
        default=False, metadata={"help": "Snake: half the clips go on as A* would, boards are turned and mirrored"}
    )
    sampled: float = field(default=0.25, metadata={"help": "with expert: share of clips from sampled boards"})
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

    def __post_init__(self):
        if isinstance(self.model, LatentConfig) and not (self.model.autoencoder_share or self.init_from):
            raise ValueError(
                "a latent model needs its autoencoder: train it in the same run (model.autoencoder_share=0.4), or give "
                "a bundle that has one (init_from=runs/coinrun-latent/bundle)"
            )
