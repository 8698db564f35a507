"""What runs a dream's networks: torch as it is, torch.compile, or ONNX Runtime. The dream is the
same, up to rounding.

Only the deterministic networks of a model are replaced, in a shallow copy of it: its noise, its
draws and its rounding stay what they were.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from neural_envs.backends.onnx import Exported, Standin, require

BACKENDS = ("eager", "compile", "onnx")
CHANCE = ("chance.prior", "chance.code_prior")
# kind of model -> the networks that it calls, as attributes; those that a config leaves out are
# passed over
PARTS = {
    "chance": ("encoder", *CHANCE, "decoder", "head"),
    "diffusion": ("network", *CHANCE, "head"),
    "joint": ("context_encoder", "frame_codec", "field", *CHANCE, "head"),
    "latent": ("autoencoder", "network", *CHANCE, "head"),
    "pixel": ("network", "head"),
}


class BackendError(ValueError):
    """A backend that cannot be used here; the message says what to do."""


class Compiled(Standin):
    """A network whose calls are compiled by torch, for each size of batch until it gives up and
    makes it a variable.
    """

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
                "compiler on the CPU and "
                "Triton on a GPU; use backend='eager'"
            ) from error


def checked_backend(backend: str) -> str:
    """The backend's name. Raises BackendError that lists what there is."""
    if backend not in BACKENDS:
        raise BackendError(f"backend is one of {', '.join(map(repr, BACKENDS))}; got {backend!r}")
    return backend


def run_by(model: nn.Module, backend: str) -> nn.Module:
    """The model with its networks run by a backend, the same object for the same model; the model
    stays as it is.

    Raises BackendError where a kind of model, a device or this machine does not do, and
    exported.ExportError, naming the extra, where a package is missing.
    """
    return model if checked_backend(backend) == "eager" else _run_by(model, backend)


@lru_cache(maxsize=16)
def _run_by(model: nn.Module, backend: str) -> nn.Module:
    kind = getattr(model, "kind", type(model).__name__)
    if kind not in PARTS:
        raise BackendError(
            f"backend={backend!r} runs models of kind {', '.join(PARTS)}, not {kind!r}: leave it "
            "out"
        )
    if backend == "onnx":
        require()
        if (device := next(model.parameters()).device).type != "cpu":
            raise BackendError(
                f"backend='onnx' runs on the CPU, not on {device}: there use backend='compile'"
            )
    wrap = Exported if backend == "onnx" else Compiled
    twin = _shallow(model)
    for path in PARTS[kind]:
        _replace(twin, path.split("."), wrap)
    return twin


def _shallow(module: nn.Module) -> nn.Module:
    """A copy that shares all weights, and whose parts can be exchanged."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _replace(module: nn.Module, path: list[str], wrap) -> None:
    """Wraps the part at a path, if there is one, in copies of the modules on the way."""
    name, *rest = path
    part = module._modules.get(name)
    if part is None:
        return
    if rest:
        part = _shallow(part)
        _replace(part, rest, wrap)
    module._modules[name] = part if rest else wrap(part)
