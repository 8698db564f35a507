"""The types that everything shares; see each docstring for shapes.

B lanes, K context frames, H x W x C a frame, A actions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from world_models.noise import NoiseStream

State = Any  # a NamedTuple of batch-first tensors; only the model that made it looks inside


class Context(NamedTuple):
    """What a dream starts from. Short histories repeat the first frame and use action 0 between the copies."""

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first, the last one is now
    actions: Tensor  # (B, K - 1) int64; actions[:, i] led from frame i to frame i + 1


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


@dataclass(frozen=True)
class WorldSpec:
    """What a game looks like from outside; equal for the real game and for its dreams."""

    world: str
    frame_shape: tuple[int, int, int]  # H, W, C
    action_names: tuple[str, ...]
    reward_values: tuple[float, ...]  # the distinct rewards, increasing; the reward head's classes
    fps: int
    max_episode_steps: int

    def as_dict(self) -> dict:
        """JSON-safe form (tuples become lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> WorldSpec:
        """Inverse of `as_dict`; raises ValueError that names missing or unknown keys."""
        names = {f.name for f in fields(cls)}
        if names != set(values):
            missing, unknown = sorted(names - set(values)), sorted(set(values) - names)
            raise ValueError(f"world spec: missing {missing}, unknown {unknown}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@runtime_checkable
class WorldModel(Protocol):
    """A batched simulator. `step` is pure: the state given to it is untouched."""

    spec: WorldSpec
    context_length: int

    def init(self, context: Context) -> State: ...

    def step(self, state: State, action: Tensor, noise: NoiseStream) -> Transition: ...


class Network(Protocol):
    """A denoiser in two halves, because this decides the speed of everything."""

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """Dear half, once per environment step. frames (B, K*C, H, W) float in [-1, 1]; action (B,)."""
        ...

    def __call__(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """Cheap half, once per denoising step. x (B, C, H, W), t (B,)."""
        ...


class Objective(Protocol):
    """x_t = alpha(t) x0 + sigma(t) noise; knows nothing of a network's insides."""

    def sample_t(self, shape, generator) -> Tensor: ...

    def levels(self, steps: int) -> Tensor:
        """(steps + 1,) decreasing, the last one clean."""
        ...

    def loss(self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features) -> Tensor:
        """Per-element loss, (B, C, H, W)."""
        ...

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """Estimate of x0, (B, C, H, W)."""
        ...


class Sampler(Protocol):
    """From noise to a frame: an objective and a few numbers."""

    def __call__(self, network: Network, noise: Tensor, features: Features) -> Tensor: ...
