"""What runs a dream's networks: torch as it is, torch.compile, or ONNX Runtime.

The dream is the same, up to rounding.

Only the deterministic networks of a model are replaced, in a shallow copy of it: its noise, its
draws and its rounding stay what they were.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import nn

from neural_envs.backends.onnx import Exported, Standin, require
from world_models.models.table import FAMILIES
from world_models.protocols import WorldModel

Module = TypeVar("Module", bound=nn.Module)

BACKENDS = ("eager", "compile", "onnx")


class BackendError(ValueError):
    """A backend that cannot be used here; the message names the remedy."""


class Compiled(Standin):
    """A network whose calls are compiled by torch: for each batch size, later for any."""

    def __init__(self, original: nn.Module):
        super().__init__(original)
        self._calls: dict[str, Any] = {}

    def run_call(self, method: str, arguments: tuple) -> Any:
        if method not in self._calls:
            self._calls[method] = torch.compile(getattr(self.original, method))
        try:
            return self._calls[method](*arguments)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise  # of the network itself, not of its compilation
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise BackendError(
                f"backend='compile' does not work here ({reason}): torch.compile needs a C++ "
                "compiler on the CPU and Triton on a GPU; use backend='eager'"
            ) from error


def checked_backend(backend: str) -> str:
    """The backend's name. Raises BackendError that lists what there is."""
    if backend not in BACKENDS:
        raise BackendError(f"backend is one of {', '.join(map(repr, BACKENDS))}; got {backend!r}")
    return backend


def run_by(model: WorldModel, backend: str) -> WorldModel:
    """The model with its networks run by a backend; the model itself is not changed.

    The same model and backend give the same object. Raises BackendError where the kind of model,
    the device or this machine cannot do it, and `onnx.ExportError`, naming the extra, where a
    package is missing.
    """
    return model if checked_backend(backend) == "eager" else _run_by(model, backend)


@lru_cache(maxsize=16)
def _run_by(model: WorldModel, backend: str) -> WorldModel:
    if not model.backend_networks:
        fits = ", ".join(sorted({row.kind for row in FAMILIES if row.backend_networks}))
        raise BackendError(
            f"backend={backend!r} runs models of kind {fits}, not {model.kind!r}: leave it out"
        )
    if backend == "onnx":
        require()
        if (device := next(model.parameters()).device).type != "cpu":
            raise BackendError(
                f"backend='onnx' runs on the CPU, not on {device}: there use backend='compile'"
            )
    wrap = Exported if backend == "onnx" else Compiled
    twin = _shallow(model)
    for name in model.backend_networks:
        _replace(twin, name.split("."), wrap)
    return twin


def _shallow(module: Module) -> Module:
    """A copy that shares all weights, and whose parts can be exchanged."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _replace(module: nn.Module, path: list[str], wrap: type[Standin]) -> None:
    """Wraps the part at a path, if there is one, in copies of the modules on the way."""
    name, *rest = path
    part = module._modules.get(name)
    if part is None:
        return
    if rest:
        part = _shallow(part)
        _replace(part, rest, wrap)
    module._modules[name] = part if rest else wrap(part)
