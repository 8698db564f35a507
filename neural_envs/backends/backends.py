"""What runs a dream's steps: torch as it is, or one graph for the whole step.

The dream is the same, up to rounding: noise is drawn in torch, by the lanes' own streams.
"""

from __future__ import annotations

import warnings
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neural_envs.backends.agreement import (
    FEW_SAMPLES,
    SAMPLES,
    Dream,
    Step,
    agreement,
    eager_dreams,
)
from neural_envs.backends.errors import BackendError, ExportError, first_line
from neural_envs.backends.fastest import (
    best_of,
    choice_file,
    fastest,
    keep_choice,
    kept_choice,
    kept_refusals,
)
from neural_envs.backends.runtimes import RUNTIMES, Compute, lacks_package, require
from neural_envs.backends.step_function import StepFunction
from world_models.lanes import map_leaves, step_in_blocks
from world_models.models.table import FAMILIES
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, State, Transition, WorldModel

BACKENDS = ("eager", *RUNTIMES, "auto")
CANDIDATES = (
    "onnx",
    "openvino",
    "openvino-bf16",
    "cuda-graph",
)  # of auto: those that are ready in seconds


class Graph(NamedTuple):
    """The step of a number of lanes as one graph; called as `WorldModel.step`."""

    function: StepFunction
    compute: Compute

    def __call__(
        self, state: State, action: Tensor, noise: NoiseStream, options: SamplingOptions
    ) -> Transition:
        tensors = self.function.tensors(state, action, noise)
        return self.function.transition(self.compute(tensors))


class Steps:
    """The steps of a model by a backend. A graph is made at the first step of so many lanes with
    such options.
    """

    def __init__(self, model: WorldModel, contexts: Any, backend: str):
        self.model, self.contexts, self.backend = model, contexts, backend
        self.eager = partial(step_in_blocks, model)
        self.device = next(model.parameters()).device
        # (lanes, options) -> the name of what runs, and its step
        self._opened: dict[tuple[int, SamplingOptions], tuple[str, Step]] = {}
        self._refused: dict[tuple[int, SamplingOptions], dict[str, str]] = {}

    def __call__(
        self, state: State, action: Tensor, noise: NoiseStream, options: SamplingOptions
    ) -> Transition:
        """See `WorldModel.step`; without gradients."""
        name, step = self.opened(len(action), options)
        if name in RUNTIMES and not RUNTIMES[name].in_torch:
            return step(state, action, noise, options)
        with torch.inference_mode():
            return step(state, action, noise, options)

    def opened(self, lanes: int, options: SamplingOptions) -> tuple[str, Step]:
        """What runs the steps of so many lanes, by name, and its step.

        Raises ExportError where a graph cannot be made of them.
        """
        found = self._opened.get((lanes, options))
        if found is None:
            with torch.inference_mode():
                choose = self._fastest if self.backend == "auto" else self._agreeing
                found = self._opened[lanes, options] = choose(lanes, options)
        return found

    def line(self, lanes: int, options: SamplingOptions) -> str:
        """What runs the steps of so many lanes, which backends were refused and why, and of `auto`
        those that lack a package here. Raises ExportError as `opened`.
        """
        name, _ = self.opened(lanes, options)
        refused, auto = self._refused.get((lanes, options), {}), self.backend == "auto"
        parts = [
            f"dreams run by {name}",
            *(f"{one} refused: {why}" for one, why in refused.items()),
        ]
        absent = [one for one in CANDIDATES if auto and lacks_package(one, self.device)]
        return "; ".join([*parts, *([f"not installed: {', '.join(absent)}"] if absent else [])])

    def _agreeing(self, lanes: int, options: SamplingOptions) -> tuple[str, Step]:
        """The backend itself, or eager torch with a warning where it dreams something else."""
        dreams = eager_dreams(self.model, self.contexts, lanes, options, SAMPLES)
        graph, refusal = self._graph(self.backend, options, dreams)
        if graph is not None:
            return self.backend, graph
        self._refused[lanes, options] = {self.backend: refusal}
        warnings.warn(
            f"backend={self.backend!r} is refused for this bundle at {lanes} lanes: {refusal}; "
            "eager torch runs it",
            stacklevel=2,
        )
        return "eager", self.eager

    def _fastest(self, lanes: int, options: SamplingOptions) -> tuple[str, Step]:
        """The fastest backend that agrees, timed unless a choice is kept; eager torch for other
        sampling options than the model's own, of which there are too many to keep graphs of.
        """
        eager = self.eager
        if self.model.resolve_options(options) != self.model.default_options:
            return "eager", eager
        file = choice_file(self.model, lanes, options)
        chosen = kept_choice(file)
        names = [name for name in CANDIDATES if chosen in (None, name) and self._can(name)]
        if not names:
            return "eager", eager
        samples = SAMPLES if chosen is None else FEW_SAMPLES
        dreams = eager_dreams(self.model, self.contexts, lanes, options, samples)
        found, refusals = self._graphs(names, options, dreams)
        if chosen is None and (found or refusals):
            example = (dreams[0].state, *dreams[0].steps[0][:2], options)
            calls = {"eager": eager, **found}.items()
            timed = {name: lambda step=step: step(*example) for name, step in calls}
            ratios = fastest(timed) if found else {"eager": 1.0}
            chosen = best_of(ratios)
            keep_choice(file, chosen, {**refusals, **ratios})
        self._refused[lanes, options] = {**kept_refusals(file), **refusals}
        if chosen is None or chosen not in found:
            return "eager", eager
        return chosen, found[chosen]

    def _graphs(
        self, names: list[str], options: SamplingOptions, dreams: list[Dream]
    ) -> tuple[dict[str, Graph], dict[str, str]]:
        """The graphs that agree, and why the others do not run, by backend."""
        found, refusals = {}, {}
        for name in names:
            try:
                graph, refusal = self._graph(name, options, dreams)
            except ExportError as error:  # of memory there may be enough another time
                graph, refusal = None, "" if out_of_memory(error) else str(error)
            if graph is not None:
                found[name] = graph
            elif refusal:
                refusals[name] = refusal
        return found, refusals

    def _can(self, name: str) -> bool:
        try:
            require(name, self.device)
        except (BackendError, ExportError):
            return False
        return True

    def _graph(
        self, backend: str, options: SamplingOptions, dreams: list[Dream]
    ) -> tuple[Graph | None, str]:
        """A graph that dreams the same dreams, or None and why it is refused.

        Raises ExportError where the runtime cannot open it or cannot run it.
        """
        with torch.inference_mode(False), torch.no_grad():
            first = (dreams[0].state, *dreams[0].steps[0][:2])
            example = [map_leaves(part, torch.clone) for part in first]
            function = StepFunction(self.model, options, *example)
            tensors = function.tensors(*example)
        try:
            graph = Graph(function, RUNTIMES[backend].open(function, tensors))
            refusal = agreement(graph, dreams, options).refusal
        except (BackendError, ExportError):
            raise
        except Exception as error:  # each runtime has kinds of its own
            raise ExportError(
                f"backend={backend!r} cannot run a step of this {self.model.kind} model "
                f"({first_line(error)}); use backend='eager'"
            ) from error
        return (None, refusal) if refusal else (graph, "")


def out_of_memory(error: ExportError) -> bool:
    """Whether a graph could not be made because there was too little memory."""
    return isinstance(error.__cause__, (MemoryError, torch.cuda.OutOfMemoryError))


def checked_backend(backend: str) -> str:
    """The backend's name. Raises BackendError that lists what there is."""
    if backend not in BACKENDS:
        raise BackendError(f"backend is one of {', '.join(map(repr, BACKENDS))}; got {backend!r}")
    return backend


def steps_by(model: WorldModel, contexts: Any, backend: str) -> Steps | None:
    """The steps of a model by a backend, checked on contexts; None: the model steps by itself.

    The same model, contexts and backend give the same object. Raises BackendError where the kind of
    model, the device or this machine cannot do it, and ExportError, naming the extra, where a
    package is missing; `auto` takes the model's own steps then.
    """
    if checked_backend(backend) == "eager" or (backend == "auto" and not model.one_graph):
        return None
    if not model.one_graph:
        fits = ", ".join(sorted({row.kind for row in FAMILIES if row.one_graph}))
        raise BackendError(
            f"backend={backend!r} runs models of kind {fits}, not {model.kind!r}: leave it out"
        )
    if backend != "auto":
        require(backend, next(model.parameters()).device)
    return _steps(model, contexts, backend)


@lru_cache(maxsize=16)
def _steps(model: WorldModel, contexts: Any, backend: str) -> Steps:
    return Steps(model, contexts, backend)
