"""Settings of a training run, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from collectors.settings.parse import check_ranges
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
        ChanceConfig
        | DiffusionConfig
        | DistilledConfig
        | ForcingConfig
        | JointConfig
        | LatentConfig
        | PixelConfig
    ) = field(default_factory=ChanceConfig)
    data: Path = field(default=Path("data/snake"), metadata={"help": "dataset directory"})
    out: Path = field(
        default=Path("runs/snake"), metadata={"help": "run directory: checkpoints, metrics, bundle"}
    )
    seed: int = field(default=0, metadata={"help": "of weights, data order and noise", "least": 0})
    updates: int = field(default=8_000, metadata={"help": "optimizer steps", "least": 0})
    minutes: float = field(
        default=170.0, metadata={"help": "stop cleanly after this long; resume goes on", "least": 0}
    )
    pace: Literal["updates", "minutes"] = field(
        default="updates",
        metadata={
            "help": "what rates and stages go by and what ends the run; a resumed run's minutes "
            "count"
        },
    )
    batch_size: int = field(default=32, metadata={"help": "clips an update", "least": 1})
    rollout_steps: int = field(
        default=2, metadata={"help": "steps a clip, each on the model's own last frame", "least": 1}
    )
    rollout_from: float = field(
        default=0.7,
        metadata={"help": "share of updates with a single step first", "least": 0, "most": 1},
    )
    rollout_gradient: bool = field(
        default=False,
        metadata={
            "help": "a step's error also mends the steps before it, for worlds where speeds count"
        },
    )
    learning_rate: float = field(
        default=2e-3, metadata={"help": "peak of warm-up and cosine", "above": 0}
    )
    warmup: int = field(default=300, metadata={"help": "updates", "least": 0})
    optimizer: Literal["adamw", "muon"] = field(
        default="adamw",
        metadata={
            "help": "adamw, or muon for matrices of transformer blocks and adamw for the rest"
        },
    )
    weight_decay: float = field(default=1e-3, metadata={"help": "of the optimizer", "least": 0})
    clip: float = field(default=1.0, metadata={"help": "largest gradient norm", "above": 0})
    ema: float = field(
        default=0.998, metadata={"help": "decay of the averaged weights", "least": 0, "most": 1}
    )
    event_weight: float = field(
        default=5.0, metadata={"help": "how often a step with a reward is drawn", "above": 0}
    )
    end_weight: float = field(
        default=30.0, metadata={"help": "how often a step that ends the game is drawn", "above": 0}
    )
    noise: float = field(
        default=0.1,
        metadata={"help": "largest standard deviation of context noise, of [-1, 1]", "least": 0},
    )
    damage: float = field(
        default=0.2,
        metadata={
            "help": "share of clips with a patch of their context replaced",
            "least": 0,
            "most": 1,
        },
    )
    expert: bool = field(
        default=False,
        metadata={
            "help": "Snake: half the clips go on as A* would, boards are turned and mirrored"
        },
    )
    sampled: float = field(
        default=0.25,
        metadata={"help": "with expert: share of clips from sampled boards", "least": 0, "most": 1},
    )
    action_dropout: float = field(
        default=0.0,
        metadata={
            "help": "share of samples without their action (guidance)",
            "least": 0,
            "most": 1,
        },
    )
    entropy_until: float = field(
        default=0.7,
        metadata={"help": "share of updates over which chance's entropy pull fades", "above": 0},
    )
    reward_weight: float = field(
        default=0.02, metadata={"help": "of the reward head's loss", "least": 0}
    )
    termination_weight: float = field(
        default=0.02, metadata={"help": "of the termination head's loss", "least": 0}
    )
    trust_weight: float = field(
        default=0.002, metadata={"help": "of the trust head's loss", "least": 0}
    )
    validate_every: int = field(
        default=250, metadata={"help": "updates between validations and checkpoints", "least": 1}
    )
    validation_batches: int = field(
        default=8, metadata={"help": "of 64 held-out clips", "least": 1}
    )
    contexts: int = field(
        default=256, metadata={"help": "start contexts in the bundle", "least": 1}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    precision: Literal["auto", "float32", "bfloat16"] = field(
        default="auto",
        metadata={
            "help": "auto: bfloat16 where the hardware is good at it, which few processors are"
        },
    )
    gradient_accumulation: int = field(
        default=1,
        metadata={
            "help": "parts of an update's batch, one after another; processes share them",
            "least": 1,
        },
    )
    compile: bool = field(default=False, metadata={"help": "torch.compile the losses"})
    cuda_graphs: bool = field(
        default=False, metadata={"help": "compile, and replay the losses as CUDA graphs"}
    )
    prefetch: int = field(
        default=2,
        metadata={
            "help": "updates whose clips a thread draws ahead; 0: none, no thread",
            "least": 0,
        },
    )
    threads: int = field(
        default=0,
        metadata={"help": "CPU threads; 0: torch's choice. 1 on a shared machine", "least": 0},
    )
    init_from: str = field(
        default="", metadata={"help": "bundle whose weights to begin with, as far as they fit"}
    )
    tracker: Literal["none", "tensorboard", "wandb", "aim"] = field(
        default="none",
        metadata={
            "help": "where figures and films go besides metrics.csv and .jsonl (extra of that name)"
        },
    )
    wandb_mode: Literal["online", "offline", "disabled"] = field(
        default="online", metadata={"help": "with tracker=wandb"}
    )
    resume: bool = field(
        default=True, metadata={"help": "go on from the newest good checkpoint in out"}
    )

    def __post_init__(self):
        check_ranges(self)
        if isinstance(self.model, LatentConfig) and not (
            self.model.autoencoder_share or self.init_from
        ):
            raise ValueError(
                "a latent model needs its autoencoder: train it in the same run "
                "(model.autoencoder_share=0.4), or give "
                "a bundle that has one (init_from=runs/coinrun-latent/bundle)"
            )
