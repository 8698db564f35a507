"""Dreams without Gymnasium: a bundle's model and start contexts as functions of a `DreamState`.

B lanes, H x W x C per frame. Nothing changes in place: a step returns a new state, lanes start anew
by `put_lanes`, and every lane has a random stream of its own, so no lane depends on its neighbours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from collectors.worlds.lane_arguments import lane_seeds
from neural_envs import bundles
from neural_envs.backends.backends import Steps, steps_by
from world_models.lanes import put_lanes, step_in_blocks, take_lanes
from world_models.noise import NoiseStream, plus_one
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Context,
    SamplingOptions,
    State,
    Transition,
    check_options,
)

CONTEXT_SALT = 0x5EED

if hasattr(os, "register_at_fork"):
    # A child made by fork has none of the threads that its parent's torch computed with, and would
    # wait for them for ever, as in Gymnasium's AsyncVectorEnv.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class DreamState(NamedTuple):
    """All that B dreams carry; `world_models.lanes.take_lanes` picks or repeats lanes of it."""

    model: State
    noise: NoiseStream
    frame: Tensor  # (B, H, W, C) uint8, the newest frame
    elapsed: Tensor  # (B,) int64, steps in this episode
    finished: Tensor  # (B,) bool, the last step ended the episode


class Outcome(NamedTuple):
    """What a step returns beside the frame; (B,) each."""

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


class Limits(NamedTuple):
    """What cuts dreams short."""

    steps: int  # of an episode
    trust: float | None  # below which a dream is truncated

    def cut(self, elapsed: Tensor, trust: Tensor, none: Tensor) -> tuple[Tensor, Tensor]:
        """Which lanes are truncated, and which for low trust; (B,) each, as all arguments.

        `none`, all False, where nobody is: on the host a look at the counts is quicker than torch.
        """
        if elapsed.is_cpu and max(elapsed.tolist()) < self.steps:
            truncated = none
        else:
            truncated = elapsed >= self.steps
        if self.trust is None:
            return truncated, none
        low = trust < self.trust
        return truncated | low, low


@runtime_checkable
class StartsDreams(Protocol):
    """What is needed of a loaded bundle."""

    @property
    def model(self) -> Any: ...
    @property
    def contexts(self) -> Any: ...
    @property
    def config(self) -> dict[str, Any]: ...


class Simulator:
    """A bundle on a device.

    source: released name, directory, Hub repository (pickled as such), or a loaded Bundle. backend:
    what runs its steps, see `backends`. starts: a recording; dreams start from any step of its
    training episodes. None: from the bundle's contexts.
    """

    def __init__(
        self, source: Any, device: str, backend: str = "eager", starts: str | Path | None = None
    ) -> None:
        self.source, self.device, self.backend = source, bundles.checked_device(device), backend
        self.starts = starts
        self._load()

    def _load(self) -> None:
        named = isinstance(self.source, str | Path)
        loaded = bundles.load(self.source, str(self.device)) if named else self.source
        if not isinstance(loaded, StartsDreams):
            plain = loaded is None or isinstance(loaded, int | float)
            raise TypeError(
                "a dream starts from a bundle: its name, its directory, or what "
                "`neural_envs.bundles.load` returns (a model with start contexts); got "
                f"{repr(loaded) if plain else f'a {type(loaded).__name__}'}"
            )
        self.config: dict[str, Any] = loaded.config
        self.contexts: Any = loaded.contexts
        if self.starts is not None:
            from world_models.training.start_contexts import RecordedStarts  # reads a dataset

            self.contexts = RecordedStarts(
                self.starts, loaded.model.spec, loaded.model.context_length
            )
        self.model: Any = loaded.model if named else loaded.model.to(self.device)
        self.steps: Steps | None = steps_by(self.model, loaded.contexts, self.backend)

    def __getstate__(self) -> dict[str, Any]:
        """Without what `_load` brings back: from a named bundle, a recording, for a backend."""
        loaded: set[str] = set()
        if isinstance(self.source, str | Path):
            loaded |= {"model", "contexts", "config"}
        if self.backend != "eager":
            loaded |= {"steps"}
        if self.starts is not None:
            loaded |= {"model", "steps", "contexts"}
        return {name: value for name, value in self.__dict__.items() if name not in loaded}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "model" not in state or "steps" not in state:
            self._load()

    @property
    def name(self) -> str:
        """The bundle's name, directory or repository as given; the folder of a loaded one."""
        if isinstance(self.source, str | Path):
            return str(self.source)
        return str(getattr(self.source, "path", "unnamed"))

    def checked_options(self, options: SamplingOptions) -> SamplingOptions:
        """The options as given. Raises ValueError for what the model does not support."""
        return check_options(options, self.model.supported_options)

    @torch.inference_mode()
    def start(self, noise: NoiseStream, context: Context | None = None) -> DreamState:
        """New dreams, one per lane of `noise`, from `context` or from one drawn by the stream."""
        found = context
        if found is None:
            found = self.contexts.choose(noise.integers(len(self.contexts), CONTEXT_SALT))
        context = Context(found.frames.to(self.device), found.actions.to(self.device))
        zero = torch.zeros(len(noise.seeds), dtype=torch.int64, device=self.device)
        return DreamState(
            self.model.init(context), noise.next(), context.frames[:, -1].clone(), zero, zero.bool()
        )

    def step(
        self, state: DreamState, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Transition:
        """The model's step, drawn as the options say; without gradients."""
        if self.steps is not None:
            return self.steps(state.model, action, state.noise, options)
        with torch.inference_mode():
            return step_in_blocks(self.model, state.model, action, state.noise, options)

    def advance(
        self,
        before: DreamState,
        action: Tensor,
        options: SamplingOptions,
        limits: Limits,
        none: Tensor,
    ) -> tuple[DreamState, Outcome]:
        """One step of every dream, counted and cut short by `limits`. `none`: (B,) False."""
        # counted first: right after a network the caches are its own
        elapsed, noise = plus_one(before.elapsed), before.noise.next()
        moved = self.step(before, action, options)
        truncated, low = limits.cut(elapsed, moved.trust, none)
        finished = moved.termination if truncated is none else moved.termination | truncated
        after = DreamState(moved.state, noise, moved.frame, elapsed, finished)
        return after, Outcome(moved.reward, moved.termination, truncated, moved.trust, low)

    def running_backend(self, lanes: int, options: SamplingOptions = DEFAULT_OPTIONS) -> str:
        """What runs the steps of so many lanes; its graph is made now where it is not there yet."""
        return "eager" if self.steps is None else self.steps.opened(lanes, options)[0]

    def backend_line(self, lanes: int, options: SamplingOptions = DEFAULT_OPTIONS) -> str:
        """That as a line, with what was refused and why; its graph is made as above."""
        if self.steps is not None:
            return self.steps.line(lanes, options)
        why = f": no other steps models of kind {self.model.kind}"
        return f"dreams run by eager{why if self.backend == 'auto' else ''}"

    def backend_info(self, lanes: int, options: SamplingOptions) -> dict[str, np.ndarray]:
        """That as a vector environment's info; empty where no backend was asked for."""
        if self.backend == "eager":
            return {}
        name = self.running_backend(lanes, options)
        return {"backend": np.full(lanes, name), "_backend": np.ones(lanes, bool)}

    def denoising(
        self, state: DreamState, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[Tensor]:
        """That step's frames (B, H, W, C) uint8 from noise to the frame itself; none where the
        model makes a frame in one call.
        """
        return self.model.denoising(state.model, action, state.noise, options)


def streams(
    seed: int | list[int | None], old: NoiseStream | None, lanes: int, device: torch.device
) -> NoiseStream:
    """A stream per lane: of seed + i, or of a list of seeds, where None keeps the lane's stream."""
    seeds = lane_seeds(seed, lanes)
    if None in seeds and old is None:
        raise ValueError(
            "a lane without a seed goes on with its stream, but this is the first reset: seed "
            "every lane"
        )
    unsigned = np.array([int(s or 0) % 2**64 for s in seeds], np.uint64)
    wrapped = unsigned.view(np.int64)  # torch has no uint64 sums
    fresh = NoiseStream.from_seeds(torch.from_numpy(wrapped).to(device))
    if None not in seeds:
        return fresh
    kept = torch.tensor([s is None for s in seeds], device=device)
    return put_lanes(fresh, kept, take_lanes(old, kept))


def positive(value: int, name: str) -> int:
    """The value as int; raises ValueError where it is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is a whole number of at least 1, got {value!r}")
    return int(value)
