"""What models, objectives and samplers need of a network.

B lanes, K context frames, H x W x C a frame, A actions, D features on a G x G grid.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor


class Features(NamedTuple):
    """What the context encoder of a network hands to its denoising decoder."""

    tokens: Tensor  # (B, D, G, G) on the patch grid
    last: Tensor  # (B, C, H, W) in [-1, 1], the newest frame of the context, to copy from
    rest: Any = ()  # what else a network keeps: a tuple of batch-first tensors, or of such tuples


class NetworkConfig(Protocol):
    """What every network's settings, a frozen dataclass, have."""

    null_action: ClassVar[bool]  # whether the network has a null action, which guidance needs

    @property
    def width(self) -> int:
        """Channels of Features.tokens."""
        ...

    @property
    def patch(self) -> int:
        """Pixels along the side of a token."""
        ...

    @property
    def copies(self) -> bool:
        """Whether the network copies from the last frame, so that its output is a frame."""
        ...

    @property
    def pixel_features(self) -> int:
        """Features of single pixels that the outcome head counts; 0: it reads patches linearly."""
        ...


class Network(Protocol):
    """A denoiser in two halves: what is read once per step, and what runs at every denoising step.

    Built as Network(config, colors, context_channels, actions, grid_shape): C, K * C, A or the
    space (`networks.actions.Actions`), (H / patch, W / patch).
    """

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """The context encoder, once per environment step.

        frames (B, K * C, H, W) in [-1, 1]; encoded actions (B, *row).
        """
        ...

    def __call__(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """The denoising decoder, once per denoising step.

        x (B, C, H, W); t (B,) as its objective scales it, in about [-1, 1].
        """
        ...
