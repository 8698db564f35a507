"""A bundle as two ONNX graphs for one lane: from a context to a state, and one step of the dream.

The draws are inputs of the step, so a page that makes them by the same generator dreams the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neural_envs.backends.agreement import SAMPLES, agreement, eager_dreams
from neural_envs.backends.backends import Graph
from neural_envs.backends.errors import ExportError
from neural_envs.backends.graph_files import graph_file, write_graph
from neural_envs.backends.runtimes import onnx_session, open_onnx
from neural_envs.backends.step_function import Layout, StepFunction
from world_models.lanes import map_leaves
from world_models.models.table import FAMILIES
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, Context, WorldModel

STARTS = 16  # contexts after which a state by the graph is compared with one by torch
OUTCOMES = ("frame", "reward", "termination", "trust")  # what follows the state in a transition


class SmallSolve(TorchFunctionMode):
    """Two equations, as the scene model's, solved in closed form: ONNX has no solver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.linalg.solve or args[0].shape[-2:] != (2, 2) or args[1].ndim < 2:
            return func(*args, **(kwargs or {}))
        upper, lower = args[0].unbind(-2)
        (a, b), (c, d), (x, y) = upper.unbind(-1), lower.unbind(-1), args[1].unbind(-1)
        return torch.stack((d * x - b * y, a * y - c * x), -1) / (a * d - b * c)[..., None]


class StartFunction(nn.Module):
    """`model.init` on the frames (1, K, H, W, C) and encoded actions (1, K - 1, *row) of one
    context; the state's tensors come out.
    """

    def __init__(self, model: WorldModel, actions: Tensor, layout: Layout):
        super().__init__()
        self.model, self.actions, self.layout = model, actions, layout

    def forward(self, frames: Tensor, actions: Tensor | None = None) -> tuple[Tensor, ...]:
        context = Context(frames, self.actions if actions is None else actions)
        with SmallSolve():
            return tuple(self.layout.leaves(self.model.init(context)))


class DreamGraphs(NamedTuple):
    """A bundle's step for one lane as a graph, and what a page must know to call it."""

    step: Path
    draws: list[dict[str, Any]]  # normal, shape and salt of each, in the order of the inputs
    states: list[Tensor]  # the tensors of the states after every start context, (N, ...) each
    start: Path | None  # the graph of `model.init`; None where that cannot be one


def dream_graphs(bundle: Any, name: str, start: Path) -> DreamGraphs:
    """The graphs of a bundle: that of the step in the cache of the backends, that of `model.init`,
    where it can be exported, in `start`. Raises ExportError, about `name`, with what is in the way.
    """
    model: WorldModel = bundle.model
    if not model.one_graph:
        fits = ", ".join(sorted({row.kind for row in FAMILIES if row.one_graph}))
        raise ExportError(
            f"{name} cannot be exported: a step of a {model.kind} model is not one graph; models "
            f"of kind {fits} are"
        )
    try:
        with torch.inference_mode(False), torch.no_grad():
            return _graphs(bundle, start)
    except ExportError as error:
        raise ExportError(f"{name} cannot be exported: {error}") from error


def _graphs(bundle: Any, start: Path) -> DreamGraphs:
    model = bundle.model
    context = map_leaves(bundle.contexts.choose(torch.tensor([0])), torch.clone)
    state, action = model.init(context), torch.from_numpy(model.spec.actions.encoded_zeros((1,)))
    noise = NoiseStream.from_seeds(torch.tensor([0])).next()
    function = StepFunction(model, DEFAULT_OPTIONS, state, action, noise)
    before = function.before.leaves(state)
    after = function.after.leaves(model.step(state, action, noise, DEFAULT_OPTIONS))
    forms = [[(x.dtype, tuple(x.shape)) for x in leaves] for leaves in (before, after)]
    if forms[0] != forms[1][: -len(OUTCOMES)]:
        raise ExportError("its state has another form after a step than before it")
    tensors = function.tensors(state, action, noise)
    step = graph_file(function, tensors)
    _check(bundle, function, tensors)
    draws = [draw._asdict() for draw in function.draws]
    states = _states(bundle, function.before)
    starts = _write_start(bundle, StartFunction(model, context.actions, function.before), start)
    return DreamGraphs(step, draws, states, start if starts else None)


def _write_start(bundle: Any, function: StartFunction, file: Path) -> bool:
    """Write the graph of `model.init`; False where there is none that makes the same states. The
    states after the bundle's own contexts are in the folder anyway.
    """
    contexts = bundle.contexts.choose(torch.arange(min(STARTS, len(bundle.contexts))))
    rows = [[part[row : row + 1].clone() for part in contexts] for row in range(len(contexts[0]))]
    given = [[part for part in row if part.numel()] for row in rows]
    try:
        write_graph(function, given[0], file)
    except ExportError:
        file.unlink(missing_ok=True)
        return False
    graph = onnx_session(file)
    for inputs, row in zip(given, rows, strict=True):
        expected = function.layout.leaves(bundle.model.init(Context(*row)))
        found = graph(inputs)
        if not all(
            torch.allclose(a.float(), b.float(), atol=1e-3)
            for a, b in zip(expected, found, strict=True)
        ):
            file.unlink()
            return False
    return True


def _states(bundle: Any, layout: Layout) -> list[Tensor]:
    """What `model.init` makes of every context: the tensors of the states, (N, ...) each. One
    context at a time, as a dream starts.
    """
    rows = [
        layout.leaves(bundle.model.init(bundle.contexts.choose(torch.tensor([row]))))
        for row in range(len(bundle.contexts))
    ]
    return [torch.cat(leaves) for leaves in zip(*rows, strict=True)]


def _check(bundle: Any, function: StepFunction, tensors: list[Tensor]) -> None:
    """Raises ExportError where the graph dreams something else than torch."""
    graph = Graph(function, open_onnx(function, tensors))
    with torch.inference_mode():
        dreams = eager_dreams(bundle.model, bundle.contexts, 1, DEFAULT_OPTIONS, SAMPLES)
        refusal = agreement(graph, dreams, DEFAULT_OPTIONS).refusal
    if refusal:
        raise ExportError(refusal)
