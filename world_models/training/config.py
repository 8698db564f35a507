"""Settings of a training run, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from collectors.settings.parse import check_settings, setting
from world_models.models.chance import ChanceConfig
from world_models.protocols import ModelConfig


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and what is kept."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a world model on a dataset and write it as a bundle."""

    model: ModelConfig = field(default_factory=ChanceConfig)
    data: Path = setting(Path("data/snake"), "dataset directory")
    out: Path = setting(Path("runs/snake"), "run directory: checkpoints, metrics, bundle")
    seed: int = setting(0, "of weights, data order and noise", least=0)
    updates: int = setting(8_000, "optimizer steps", least=0)
    minutes: float = setting(170.0, "stop cleanly after this long; resume goes on", least=0)
    schedule: Literal["updates", "minutes"] = setting(
        "updates",
        "what schedules go by and what ends the run; the minutes of resumed runs add up",
    )
    batch_size: int = setting(32, "clips per update", least=1)
    rollout_steps: int = setting(2, "steps per clip, each on the model's own last frame", least=1)
    rollout_from: float = setting(0.7, "share of updates with a single step first", least=0, most=1)
    rollout_gradient: bool = setting(
        False, "a step's error also trains the steps before it, for worlds where speeds count"
    )
    learning_rate: float = setting(2e-3, "peak of warm-up and cosine", above=0)
    warmup: int = setting(300, "updates", least=0)
    optimizer: Literal["adamw", "muon"] = setting(
        "adamw", "adamw, or muon for matrices of transformer blocks and adamw for the rest"
    )
    weight_decay: float = setting(1e-3, "of the optimizer", least=0)
    clip: float = setting(1.0, "largest gradient norm", above=0)
    ema: float = setting(0.998, "decay of the averaged weights", least=0, most=1)
    event_weight: float = setting(5.0, "how often a step with a reward is drawn", above=0)
    termination_event_weight: float = setting(
        30.0, "how often a step that ends the game is drawn", above=0
    )
    unique_steps: bool = setting(
        False, "equal frames with equal actions are drawn as often as one, however many there are"
    )
    noise: float = setting(0.1, "largest standard deviation of context noise, of [-1, 1]", least=0)
    damage: float = setting(
        0.2, "share of clips with a patch of their context replaced", least=0, most=1
    )
    expert: bool = setting(
        False, "Snake: half the clips go on as A* would, boards are turned and mirrored"
    )
    sampled: float = setting(
        0.25, "with expert: share of clips from sampled boards", least=0, most=1
    )
    action_dropout: float = setting(
        0.0, "share of samples without their action (guidance)", least=0, most=1
    )
    entropy_until: float = setting(
        0.7, "share of updates over which the entropy loss of chance fades", above=0
    )
    random_chance: float = setting(
        0.0,
        "share of the draws of chance that are random at first, falling to none near the end",
        least=0,
        most=1,
    )
    reward_weight: float = setting(0.02, "of the reward head's loss", least=0)
    termination_weight: float = setting(0.02, "of the termination head's loss", least=0)
    trust_weight: float = setting(0.002, "of the trust head's loss", least=0)
    validate_every: int = setting(250, "updates between validations and checkpoints", least=1)
    validation_batches: int = setting(8, "of 64 held-out clips", least=1)
    contexts: int = setting(256, "start contexts in the bundle", least=1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "auto: bfloat16 where the hardware is good at it, which few processors are"
    )
    gradient_accumulation: int = setting(
        1, "parts of an update's batch, one after another; processes share them", least=1
    )
    compile: bool = setting(False, "torch.compile the losses")
    cuda_graphs: bool = setting(False, "compile, and replay the losses as CUDA graphs")
    prefetch: int = setting(
        2, "updates whose clips a thread draws ahead; 0: none, no thread", least=0
    )
    threads: int = setting(0, "CPU threads; 0: torch's choice. 1 on a shared machine", least=0)
    init_from: str = setting("", "bundle whose weights to begin with, as far as they fit")
    tracker: Literal["none", "tensorboard", "wandb", "aim"] = setting(
        "none", "where figures and films go besides metrics.csv and .jsonl (extra of that name)"
    )
    wandb_mode: Literal["online", "offline", "disabled"] = setting("online", "with tracker=wandb")
    resume: bool = setting(True, "go on from the newest good checkpoint in out")
    allow_changes: bool = setting(
        False, "go on although settings or data differ from those of that checkpoint"
    )

    def __post_init__(self):
        check_settings(self)
        self.model.check_run(self.init_from)
