"""The types that everything shares; see each docstring for shapes.

B lanes, K context frames, H x W x C a frame, A actions.
"""

from __future__ import annotations

import copy
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from world_models.noise import Draws, NoiseStream

if TYPE_CHECKING:
    from world_models.models.trust_calibration import TrustScale

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


DEFAULT_OPTIONS = SamplingOptions()


def check_options(options: SamplingOptions, supported: Collection[str]) -> SamplingOptions:
    """The options with their values as int and float. `supported`: names that a caller may choose.

    Raises ValueError, a sentence, on an option that is not supported (one step always is) and on a
    value out of range.
    """
    steps, guidance, temperature = options
    if steps is not None:
        whole = isinstance(steps, numbers.Integral) and not isinstance(steps, bool)
        if not whole or steps < 1:
            raise ValueError(f"sampler_steps is a whole number of at least 1, got {steps!r}")
        if steps != 1 and "steps" not in supported:
            raise ValueError(
                f"this bundle's model makes a frame in one call; leave out sampler_steps={steps}"
            )
        steps = int(steps)
    if guidance is not None:
        guidance = _at_least_0(guidance, "guidance is a number of at least 0, and 1 for none")
        if "guidance" not in supported and guidance != 1:
            raise ValueError(
                "this bundle's model has no guidance on the action; leave out "
                f"guidance={guidance:g}"
            )
    if temperature is not None:
        temperature = _at_least_0(temperature, "temperature is a number of at least 0")
        if "temperature" not in supported:
            raise ValueError(
                f"this bundle's model has no temperature; leave out temperature={temperature:g}"
            )
    return SamplingOptions(steps, guidance, temperature)


def _at_least_0(value: float, rule: str) -> float:
    """The value as float; raises ValueError with the rule where it is no number of at least 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{rule}, got {value!r}")
    return float(value)


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


class WorldModel(nn.Module, ABC):
    """A batched simulator: what everybody else needs of a model, with defaults where there are any.

    A loaded model is never changed by those who dream with it: what a step depends on is handed to
    it.
    """

    kind: ClassVar[str]  # the family's name in a bundle's config.json
    spec: WorldSpec
    context_length: int
    patch: int = 4  # pixels along the side of the squares in which frames are compared
    trust_scale: TrustScale | None  # of a bundle whose trust was calibrated
    given_weights: str = ""  # prefix of weights that training needs from a bundle; "": none

    def __init__(self) -> None:
        super().__init__()
        self.trust_scale = None

    # ------------------------------------------------------------------ a dream

    @abstractmethod
    def init(self, context: Context) -> State:
        """The state after a context. Raises ValueError where its shape does not fit."""

    @abstractmethod
    def step(
        self,
        state: State,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One step of every lane; `state` is untouched. action (B,) int64.

        Raises ValueError on options that the model does not support.
        """

    @property
    def supported_options(self) -> frozenset[str]:
        """Names of the fields of `SamplingOptions` that a caller may choose."""
        return frozenset()

    @property
    def default_options(self) -> SamplingOptions:
        """What None stands for in the options of a step; None: the model has no such option."""
        return DEFAULT_OPTIONS

    def resolve_options(self, options: SamplingOptions) -> SamplingOptions:
        """The options with the model's defaults in place of None.

        Raises ValueError, a sentence, on an option that the model does not support or a value that
        it cannot take.
        """
        if options == DEFAULT_OPTIONS:
            return self.default_options
        checked = check_options(options, self.supported_options)
        pairs = zip(checked, self.default_options, strict=True)
        return SamplingOptions(*(default if own is None else own for own, default in pairs))

    @property
    def samples_from_noise(self) -> bool:
        """Whether there are frames between noise and frame, see `denoising`."""
        return False

    def denoising(
        self,
        state: State,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> list[Tensor]:
        """The frames (B, H, W, C) uint8 of a step, from noise to the frame itself.

        Empty for a model that makes a frame in one call.
        """
        return []

    # ------------------------------------------------------------------ evaluation

    @property
    def image_channels(self) -> int:
        """Channels of a frame that a step adds: fewer than C where frames are stacks of images."""
        return self.spec.frame_shape[2]

    @property
    def feature_width(self) -> int | None:
        """Channels of `context_features`; None: there are none, so trust cannot be calibrated."""
        return None

    def context_features(
        self, state: State, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        """(B, D, G, G): what a step from this state with action (B,) is computed from.

        Only for models with a `feature_width`.
        """
        raise NotImplementedError(f"a {self.kind} model has no features of its context")

    def outcome_probabilities(
        self, state: State, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Probabilities of the reward classes (B, R) and of termination (B,) for a dreamed frame
        (B, H, W, C) uint8; None where the model has none.
        """
        return None

    def trust_signals(self, state: State, action: Tensor, frame: Tensor) -> dict[str, Tensor]:
        """Numbers (B,) by name that are higher where a dreamed frame is less credible."""
        return {}

    def with_trust_scale(self, scale: TrustScale | None) -> Self:
        """The same model, sharing all weights, with another calibration of its trust."""
        other = copy.copy(self)
        other._modules = dict(self._modules)
        other.trust_scale = scale
        return other

    # ------------------------------------------------------------------ training

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Mean losses by name over the first `steps` steps of the clips; all are scalars."""
        raise NotImplementedError(f"a {self.kind} model is not trained on clips")

    def begin_update(self, average: Self, last_progress: float, progress: float) -> None:
        """Called before every update, `average` being the averaged weights, with the shares of the
        training that were done at the update before and are done now.
        """

    def training_state(self) -> dict[str, Tensor]:
        """What a run needs to go on, beside the weights."""
        return {}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `training_state`."""


@runtime_checkable
class ActionLogits(Protocol):
    """What a world model has that also says which action it would take."""

    def action_logits(self, frames: Tensor, noise: NoiseStream, starts: int) -> Tensor:
        """Logits (B, A) for frames (B, K, H, W, C) uint8, the mean of descents from `starts`
        starts.
        """
        ...


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
