"""The types that everything shares, and the contract of a world model.

`WorldModel` is all that dreams, training, evaluation, bundles, backends and planners need of a
model. A family of models is one subclass and one row in `models/table.py` (docs/add_a_model.md).

B lanes, K context frames, S steps, H x W x C a frame, A actions, D features on a G x G grid, R
reward classes. Actions are encoded: int64 without further axes where `row` is (), else (..., P) of
int64 or float32; see `collectors.action_space`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from world_models.network_protocols import Features, Network, NetworkConfig
from world_models.noise import NoiseStream
from world_models.sampling_options import DEFAULT_OPTIONS, SamplingOptions, check_options
from world_models.world_spec import WorldSpec

if TYPE_CHECKING:
    from world_models.models.trust_calibration import TrustScale

__all__ = [
    "DEFAULT_OPTIONS",
    "ActionLogits",
    "AugmentationOptions",
    "Clips",
    "Context",
    "Features",
    "LoadModel",
    "ModelConfig",
    "Network",
    "NetworkConfig",
    "SamplingOptions",
    "State",
    "TrainingFrames",
    "Transition",
    "WorldModel",
    "WorldSpec",
    "check_options",
]

State = Any  # a NamedTuple of batch-first tensors; only the model that made it reads its fields


class Context(NamedTuple):
    """What a dream starts from.

    Short histories repeat the first frame and use action 0 between the copies.
    """

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first, the last one is now
    # (B, K - 1, *row), encoded; actions[:, i] led from frame i to frame i + 1
    actions: Tensor


class Transition(NamedTuple):
    """All that one action produced."""

    state: State
    frame: Tensor  # (B, H, W, C) uint8
    reward: Tensor  # (B,) float32, one of spec.reward_values
    termination: Tensor  # (B,) bool
    trust: Tensor  # (B,) float32 in [0, 1], the model's probability that the frame is right


class Clips(NamedTuple):
    """B windows; steps past the end of an episode are not `valid` and hold its last frame."""

    frames: Tensor  # (B, K + S, H, W, C) uint8
    actions: Tensor  # (B, S, *row), encoded; actions[:, s] led to frames[:, K + s]
    reward_classes: Tensor  # (B, S) int64
    terminations: Tensor  # (B, S) bool
    valid: Tensor  # (B, S) bool
    # (B,) float32: how much likelier than an ordinary one this clip is drawn
    sampling_weight: Tensor
    # (B, K - 1, *row), as in `Context`, for models that read them
    context_actions: Tensor | None = None
    # (B,) bool: whether an expert might take the first action; None: it is not known
    expert: Tensor | None = None


class AugmentationOptions(NamedTuple):
    """How clips are made harder in training; a model in eval mode takes them as they are."""

    noise: float = 0.0  # largest standard deviation of context noise, of [-1, 1]
    damage: float = 0.0  # share of clips with a patch of their context replaced
    action_dropout: float = 0.0  # share of samples without their action
    rollout_gradient: bool = False  # a step's error also trains the steps before it
    # share of the posterior's draws of chance variables that are replaced by random ones: sharp
    # draws may settle before the decoder has learned what a place means, and stay unused
    random_chance: float = 0.0
    # share of the training that is done, for models that learn one part after another
    progress: float = 1.0


class ModelConfig:
    """Base of the settings of a family: a frozen dataclass that is stored in config.json."""

    def check_run(self, weights: str) -> None:
        """Raises ValueError, a sentence, where a run with these settings cannot begin so.

        `weights`: the bundle that it takes its first weights from; "": none.
        """


class WorldModel(nn.Module, ABC):
    """A batched simulator: what everybody else needs of a model, with defaults where there are any.

    A loaded model is never changed by those who dream with it: what a step depends on is an
    argument. Needed of a subclass: the attributes without a value, `init`, `step` and, to be
    trained, `clip_losses`.
    """

    kind: ClassVar[str]  # the family's name in a bundle's config.json
    config_class: ClassVar[type[ModelConfig]]
    context_length: int  # frames that a dream starts from

    def __init__(self, spec: WorldSpec, config: Any = None):
        """`config`: of `config_class`; None for a model that is not saved."""
        super().__init__()
        self.spec, self.config = spec, config
        # calibration that a bundle brought; only for a model with `feature_width`
        self.trust_scale: TrustScale | None = None

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
        """One step of every lane; `state` is untouched. action (B, *row), encoded.

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
        own, defaults = check_options(options, self.supported_options), self.default_options
        return SamplingOptions(
            defaults.steps if own.steps is None else own.steps,
            defaults.guidance if own.guidance is None else own.guidance,
            defaults.temperature if own.temperature is None else own.temperature,
        )

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

    def reconstruct(self, frames: Tensor) -> Tensor | None:
        """Frames (B, H, W, C) uint8 through the model's own encoder and decoder; None: none."""
        return None

    # ------------------------------------------------------------------ files and backends

    full_precision: ClassVar[str] = ""  # prefix of weights that bundles keep in float32; "": none
    # whether a step can be exported as one graph: for given lanes and options it does the same
    # whatever the numbers are, and all that is random comes from `noise.uniform` and `.normal`
    one_graph: ClassVar[bool] = False
    lanes_at_once: ClassVar[int] = 0  # that a processor steps fastest; 0: all, see `step_in_blocks`

    # ------------------------------------------------------------------ training

    given_weights: str = ""  # prefix of the weights that a run must be given; "": it learns all

    @classmethod
    def build(cls, spec: WorldSpec, config: Any, load: LoadModel) -> Self:
        """A model with fresh weights. `load` gives the model of a bundle that the config names.

        Raises ValueError where config and spec do not fit.
        """
        return cls(spec, config)

    @classmethod
    def build_for_training(
        cls, spec: WorldSpec, config: Any, load: LoadModel, frames: TrainingFrames
    ) -> Self:
        """The same for a run on these frames, for a model whose config leaves sizes to the data;
        its own `config` then has them.
        """
        return cls.build(spec, config, load)

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Mean losses by name, 0-dimensional, over `steps` steps of the clips; their sum is
        minimized, "frame" decides which weights are the best, "wrong" and "mse" are only
        reported.
        """
        raise NotImplementedError(f"a {self.kind} model is not trained on clips")

    def begin_update(self, average: Self, last_progress: float, progress: float) -> None:
        """Called before every update, `average` being the model of averaged weights, with the
        shares of the training that were done at the update before and are done now. What learns
        only in a part of the run is frozen and set free here, outside what is compiled.
        """

    def frame_encoder(self, progress: float) -> nn.Module | None:
        """The part that `encode_frames` depends on, where it is frozen from this share of the
        training on: frames are then encoded once, and training clips hold codes in place of frames.
        """
        return None

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Frames (T, H, W, C) uint8 as codes (T, ...); only for models with a `frame_encoder`."""
        raise NotImplementedError(f"a {self.kind} model learns from frames")

    def training_state(self) -> dict[str, Any]:
        """What a run needs beside the weights to go on, and a bundle does not."""
        return {}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Inverse of `training_state`."""

    # ------------------------------------------------------------------ evaluation

    patch: int = 4  # pixels along the side of the squares in which frames are compared

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


@runtime_checkable
class ActionLogits(Protocol):
    """What a world model has that also gives the action it would take."""

    def action_logits(self, frames: Tensor, noise: NoiseStream, starts: int) -> Tensor:
        """Logits (B, A) for frames (B, K, H, W, C) uint8,
        the mean of descents from `starts` starts.
        """
        ...


# all frames of the training episodes in parts (T, H, W, C) uint8, read at every call
TrainingFrames = Callable[[], Iterable[np.ndarray]]
LoadModel = Callable[[str], WorldModel]  # the model of the bundle of that name
