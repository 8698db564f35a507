"""Dreams without Gymnasium: a bundle's model and start contexts as functions of one value, the
`DreamState`.

B lanes, H x W x C a frame. Nothing here changes in place: a step gives a new value, lanes start
anew by `put_lanes`, and random numbers are a stream per lane, so no lane ever feels its neighbours.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_envs import bundles
from neural_envs.backends.backends import run_by
from neural_envs.rendering import keys_to_action
from world_models.diffusion.trajectory import draws_from_noise, watched_step
from world_models.lanes import put_lanes, take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import Context, State, Transition
from world_models.training.clips import Anywhere

CONTEXT_SALT = 0x5EED


class DreamState(NamedTuple):
    """All that B dreams carry; `world_models.lanes.take_lanes` picks or repeats lanes of it."""

    model: State
    noise: NoiseStream
    frame: Tensor  # (B, H, W, C) uint8, what is seen now
    elapsed: Tensor  # (B,) int64, steps in this episode
    finished: Tensor  # (B,) bool, the last step ended the episode


class Outcome(NamedTuple):
    """What a step tells apart from the frame; (B,) each."""

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    trust: Tensor
    low_trust: Tensor

    @classmethod
    def of_reset(cls, lanes: int, device: torch.device) -> Outcome:
        """Reward 0, not done, full trust."""
        zero, no = (
            torch.zeros(lanes, device=device),
            torch.zeros(lanes, dtype=torch.bool, device=device),
        )
        return cls(zero, no, no, zero + 1, no)


class Simulator:
    """A bundle on a device. source: released name, directory, Hub repository (pickled as such), or
    a loaded Bundle.

    backend: what runs its networks, see `backends`. starts: a recording whose training episodes
    dreams start from, at any of their steps; None: the bundle's contexts.
    """

    def __init__(
        self, source: Any, device: str, backend: str = "eager", starts: str | Path | None = None
    ) -> None:
        self.source, self.device, self.backend = source, bundles.checked_device(device), backend
        self.starts = starts
        self._sampler_steps: int | None = None
        self._guidance: float | None = None
        self._load()

    def _load(self) -> None:
        named = isinstance(self.source, str | Path)
        loaded = bundles.load(self.source, str(self.device)) if named else self.source
        if not hasattr(loaded, "contexts"):
            kind = type(loaded).__name__
            raise TypeError(
                f"a dream starts from a bundle (a model with start contexts), got a {kind}"
            )
        self.config, self.contexts = loaded.config, loaded.contexts
        if self.starts is not None:
            self.contexts = Anywhere(self.starts, loaded.model.spec, loaded.model.context_length)
        self.model = run_by(loaded.model if named else loaded.model.to(self.device), self.backend)

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be loaded again: by its bundle's name, from a recording, or for a
        backend not pickled.
        """
        named = isinstance(self.source, str | Path)
        loaded = (
            ("model", "contexts", "config")
            if named
            else ()
            if self.backend == "eager"
            else ("model",)
        )
        loaded += () if self.starts is None else ("model", "contexts")
        return {name: value for name, value in self.__dict__.items() if name not in loaded}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "model" not in state:
            self._load()

    @property
    def name(self) -> str:
        """What its bundle is called."""
        return (
            str(self.source)
            if isinstance(self.source, str | Path)
            else str(getattr(self.source, "path", "unnamed"))
        )

    @property
    def sampler_steps(self) -> int | None:
        """Denoising steps a frame; None is the bundle's default."""
        return self._sampler_steps

    @sampler_steps.setter
    def sampler_steps(self, steps: int | None) -> None:
        if steps not in (None, 1) and not hasattr(self.model, "sampler_steps"):
            raise ValueError(
                f"this bundle's model makes a frame in one call; leave out sampler_steps={steps}"
            )
        steps = steps if steps is None else positive(steps, "sampler_steps")
        if steps is not None and hasattr(self.model, "sampler_steps"):
            copy.copy(
                self.model
            ).sampler_steps = steps  # a model may refuse, and better now than in a step
        self._sampler_steps = steps

    @property
    def guidance(self) -> float | None:
        """Strength of guidance on the action, 1 for none; None is the bundle's default."""
        return self._guidance

    @guidance.setter
    def guidance(self, scale: float | None) -> None:
        if scale is not None:
            scale = _strength(scale)
            if not hasattr(self.model, "guidance"):
                raise ValueError(
                    "this bundle's model has no guidance on the action; leave out "
                    f"guidance={scale:g}"
                )
            copy.copy(self.model).guidance = scale
        self._guidance = scale

    def start(self, noise: NoiseStream, context: Context | None = None) -> DreamState:
        """Fresh dreams, one for each lane of `noise`, from a given context or one drawn by the
        lane's stream.
        """
        if context is None:
            context = self.contexts.choose(noise.integers(len(self.contexts), CONTEXT_SALT))
        context = Context(*(part.to(self.device) for part in context))
        zero = torch.zeros(len(noise.seeds), dtype=torch.int64, device=self.device)
        return DreamState(
            self.model.init(context), noise.next(), context.frames[:, -1].clone(), zero, zero.bool()
        )

    def step(self, state: DreamState, action: Tensor) -> Transition:
        """The model's step under our own settings."""
        return self._as_set().step(state.model, action, state.noise)

    def denoising(self, state: DreamState, action: Tensor) -> list[Tensor]:
        """That step's frames (B, H, W, C) uint8 from noise to the picture; none where the model
        draws in one call.
        """
        return watched_step(self._as_set(), state.model, action, state.noise)

    def _as_set(self) -> Any:
        """The model, or a shallow copy of it with our settings: others may share the model, in
        other threads too.
        """
        settings = {"sampler_steps": self._sampler_steps, "guidance": self._guidance}
        settings = {
            name: value
            for name, value in settings.items()
            if value is not None and hasattr(self.model, name)
        }
        model = copy.copy(self.model) if settings else self.model
        for name, value in settings.items():
            setattr(model, name, value)
        return model


class DreamSettings:
    """What the environments have in common: how a dream is drawn, told to and asked of `_tuned`."""

    _tuned: Any  # another one, or in the end a Dreamer

    @property
    def simulator(self) -> Simulator:
        """The bundle, and how it is drawn."""
        return self._tuned if isinstance(self._tuned, Simulator) else self._tuned.simulator

    @property
    def context_length(self) -> int:
        """Frames that a dream starts from."""
        return self.simulator.model.context_length

    @property
    def idle_action(self) -> int | None:
        """What it means to press no key; None: the last action goes on."""
        return keys_to_action(self.simulator.model.spec.action_names).get(())

    @property
    def guides(self) -> bool:
        """Whether the model has guidance on the action."""
        return hasattr(self.simulator.model, "guidance")

    @property
    def denoises(self) -> bool:
        """Whether there are frames between noise and picture, see `denoising`."""
        return draws_from_noise(self.simulator.model)

    @property
    def sampler_steps(self) -> int | None:
        """Denoising steps a frame; None is the bundle's default."""
        return self._tuned.sampler_steps

    @sampler_steps.setter
    def sampler_steps(self, steps: int | None) -> None:
        self._tuned.sampler_steps = steps

    @property
    def guidance(self) -> float | None:
        """Strength of guidance on the action, 1 for none; None is the bundle's default."""
        return self._tuned.guidance

    @guidance.setter
    def guidance(self, scale: float | None) -> None:
        self._tuned.guidance = scale


def streams(
    seed: int | list[int | None], old: NoiseStream | None, lanes: int, device: torch.device
) -> NoiseStream:
    """A stream for every lane: of seed + i, or of a list's seeds, where None keeps the lane's old
    stream.
    """
    seeds = [seed + i for i in range(lanes)] if isinstance(seed, int | np.integer) else list(seed)
    if len(seeds) != lanes:
        raise ValueError(
            f"{len(seeds)} seeds for {lanes} lanes: give one int, or one for each lane"
        )
    if None in seeds and old is None:
        raise ValueError(
            "a lane without a seed goes on with its stream, but this is the first reset: seed "
            "every lane"
        )
    wrapped = np.array([int(s or 0) % 2**64 for s in seeds], np.uint64).view(
        np.int64
    )  # torch has no uint64 sums
    fresh = NoiseStream.from_seeds(torch.from_numpy(wrapped).to(device))
    if None not in seeds:
        return fresh
    kept = torch.tensor([s is None for s in seeds], device=device)
    return put_lanes(fresh, kept, take_lanes(old, kept))


def map_leaves(state: Any, function) -> Any:
    """A state with every tensor replaced by function(tensor)."""
    if isinstance(state, Tensor):
        return function(state)
    return type(state)(*(map_leaves(leaf, function) for leaf in state))


def positive(value: int, name: str) -> int:
    """The value as int; raises ValueError where it is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is a whole number of at least 1, got {value!r}")
    return int(value)


def _strength(scale: float) -> float:
    """The value as float; raises ValueError where it is not a number of at least 0."""
    number = not isinstance(scale, bool) and isinstance(
        scale, int | float | np.integer | np.floating
    )
    if not number or not math.isfinite(scale) or scale < 0:
        raise ValueError(f"guidance is a number of at least 0, and 1 for none, got {scale!r}")
    return float(scale)
