"""The types that everything shares; see each docstring for shapes.

B lanes, K context frames, H x W x C a frame, A actions.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from world_models.noise import Draws, NoiseStream

State = Any  # a NamedTuple of batch-first tensors; only the model that made it looks inside


class Context(NamedTuple):
    """What a dream starts from.

    Short histories repeat the first frame and use action 0 between the copies.
    """

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first, the last one is now
    actions: Tensor  # (B, K - 1) int64; actions[:, i] led from frame i to frame i + 1


class SamplingOptions(NamedTuple):
    """How a step draws its frame. None leaves an option to the model."""

    steps: int | None = None  # denoising steps, or passes of a token model
    guidance: float | None = None  # strength of guidance on the action; 1 is none
    temperature: float | None = None  # of categorical draws; 0 takes the likeliest


class Transition(NamedTuple):
    """All that one action produced."""

    state: State
    frame: Tensor  # (B, H, W, C) uint8
    reward: Tensor  # (B,) float32, one of spec.reward_values
    termination: Tensor  # (B,) bool
    trust: Tensor  # (B,) float32 in [0, 1], how far the model believes itself


class Features(NamedTuple):
    """What the dear half of a network hands to the cheap one."""

    tokens: Tensor  # (B, D, G, G) on the patch grid
    last: Tensor  # (B, C, H, W) in [-1, 1], the newest frame of the context, to copy from
    rest: tuple = ()  # what else a network wants to keep: batch-first tensors, or tuples of such


class Clips(NamedTuple):
    """B windows; steps past the end of an episode are not `valid` and hold its last frame."""

    frames: Tensor  # (B, K + S, H, W, C) uint8
    actions: Tensor  # (B, S) int64; actions[:, s] led to frames[:, K + s]
    reward_classes: Tensor  # (B, S) int64
    terminations: Tensor  # (B, S) bool
    valid: Tensor  # (B, S) bool
    sampling_weight: (
        Tensor  # (B,) float32: how much likelier than an ordinary one this clip is drawn
    )
    context_actions: Tensor | None = (
        None  # (B, K - 1) int64, as in `Context`, for models that read them
    )
    expert: Tensor | None = (
        None  # (B,) bool: whether an expert might take the first action; None: nobody has judged it
    )


class AugmentationOptions(NamedTuple):
    """How clips are made harder in training; a model in eval mode sees them as they are."""

    noise: float = 0.0  # largest standard deviation of context noise, of [-1, 1]
    damage: float = 0.0  # share of clips with a patch of their context replaced
    action_dropout: float = 0.0  # share of samples without their action
    rollout_gradient: bool = False  # a step's error also mends the steps before it
    progress: float = (
        1.0  # share of the training that is done, for models that learn one part after another
    )


@dataclass(frozen=True)
class WorldSpec:
    """What a game looks like from outside; equal for the real game and for its dreams."""

    world: str
    frame_shape: tuple[int, int, int]  # H, W, C
    action_names: tuple[str, ...]
    reward_values: tuple[float, ...]  # the distinct rewards, increasing; the reward head's classes
    fps: int
    max_episode_steps: int
    final_rewards: tuple[
        float, ...
    ] = ()  # those of reward_values after which a game is always over

    def patch_grid(self, patch: int) -> tuple[int, int]:
        """Rows and columns of square patches; raises ValueError that names the sizes near `patch`
        that fit.
        """
        height, width, _ = self.frame_shape
        if height % patch or width % patch:
            fit = [
                size
                for size in range(1, min(height, width) + 1)
                if height % size == width % size == 0
            ]
            near = sorted(sorted(fit, key=lambda size: abs(size - patch))[:3])
            raise ValueError(
                f"frames of {height}x{width} pixels do not divide into patches of {patch}; "
                f"patches of {', '.join(map(str, near))} fit"
            )
        return height // patch, width // patch

    def as_dict(self) -> dict:
        """JSON-safe form (tuples become lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> WorldSpec:
        """Inverse of `as_dict`; raises ValueError that names missing or unknown keys."""
        names = {f.name for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        if not needed <= set(values) <= names:
            missing, unknown = sorted(needed - set(values)), sorted(set(values) - names)
            raise ValueError(f"world spec: missing {missing}, unknown {unknown}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@runtime_checkable
class WorldModel(Protocol):
    """A batched simulator. `step` is pure: the state given to it is untouched."""

    spec: WorldSpec
    context_length: int

    def init(self, context: Context) -> State: ...

    def step(self, state: State, action: Tensor, noise: NoiseStream) -> Transition: ...


class NetworkConfig(Protocol):
    """What every network's settings, a frozen dataclass, have."""

    null_action: ClassVar[bool]  # whether the network knows "no action given", which guidance needs
    width: int  # channels of Features.tokens
    patch: int  # pixels along the side of a token
    pixel_features: (
        int  # features of single pixels that the outcome head counts; 0: it sees patches linearly
    )


class Network(Protocol):
    """A denoiser in two halves, because this decides the speed of everything.

    Built as Network(config, colours, context_channels, actions, grid_shape): C, K * C, A, (H /
    patch, W / patch).
    """

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """Dear half, once per environment step.

        frames (B, K * C, H, W) in [-1, 1]; action (B,) int64, A for none.
        """
        ...

    def __call__(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """Cheap half, once per denoising step.

        x (B, C, H, W), t (B,) as its objective tells it, in about [-1, 1].
        """
        ...


class Objective(Protocol):
    """x_t = alpha(t) x0 + sigma(t) noise; knows nothing of a network's insides."""

    def alpha(self, t: Tensor) -> Tensor: ...

    def sigma(self, t: Tensor) -> Tensor: ...

    def sample_t(self, shape, generator) -> Tensor: ...

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """Per-element loss, (B, C, H, W)."""
        ...

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """Estimate of x0, (B, C, H, W)."""
        ...

    def learn(
        self, network: Network, x0: Tensor, features: Features, generator
    ) -> tuple[Tensor, Tensor]:
        """Per-element loss at drawn levels, and a predicted frame; both (B, C, H, W)."""
        ...


class Sampler(Protocol):
    """From noise to a frame: a few numbers."""

    steps: int

    def __call__(
        self, objective: Objective, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        """A frame (B, *draws.shape)."""
        ...
