"""Graphs of steps on disk: exported to ONNX once per bundle, lanes and sampling options, then read
from a cache under a name made from the weights.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from collectors.files import write_atomically
from neural_envs import __version__
from neural_envs.backends.errors import ExportError, first_line
from neural_envs.backends.step_function import StepFunction
from world_models import models, networks
from world_models.protocols import WorldModel

Opened = TypeVar("Opened")  # a graph in a runtime
EXPORT_VERSION = 3  # counts up when what is written changes; old files are then no longer found


def cache_folder() -> Path:
    """Where graphs are kept.

    $NEURAL_ENVS_CACHE, else $XDG_CACHE_HOME/neural-envs, else ~/.cache/neural-envs.
    """
    own, shared = os.environ.get("NEURAL_ENVS_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    return (Path(shared) if shared else Path.home() / ".cache") / "neural-envs"


def fingerprint(model: WorldModel) -> str:
    """sha256 of what a step follows from: code, settings, weights, calibration; and of the versions
    that export it.
    """
    versions = (EXPORT_VERSION, __version__, torch.__version__, source_digest())
    facts = (*versions, model, model.spec, model.config)
    digest = hashlib.sha256(" ".join(map(str, facts)).encode())
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


@cache
def source_digest() -> str:
    """sha256 of the source that a step is computed by: who changes a network has a new graph."""
    folders = [Path(str(part.__file__)).parent for part in (models, networks)]
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    digest = hashlib.sha256()
    for file in (*files, Path(__file__).with_name("step_function.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def graph_file(function: StepFunction, tensors: list[Tensor]) -> Path:
    """The ONNX file of a step on tensors of these shapes, exported where it is not there yet.

    Its inputs are x0, x1, ...; those that it does not need are missing. Raises ExportError where
    torch cannot express it.
    """
    file = _place(function, tensors)
    if not file.exists():
        export(function, tensors, file)
    return file


def open_graph(
    function: StepFunction, tensors: list[Tensor], open_file: Callable[[Path], Opened]
) -> Opened:
    """What `open_file` makes of that file. One that was there and does not open is damaged: it is
    deleted and exported once more. Raises ExportError, and what `open_file` raises of a new file.
    """
    kept = _place(function, tensors).exists()
    file = graph_file(function, tensors)
    try:
        return open_file(file)
    except Exception:  # each runtime has kinds of its own
        if not kept:
            raise
    file.unlink(missing_ok=True)
    return open_file(graph_file(function, tensors))


def _place(function: StepFunction, tensors: list[Tensor]) -> Path:
    model, form = function.model, [(str(x.dtype), tuple(x.shape)) for x in tensors]
    facts = f"{fingerprint(model)} {model.resolve_options(function.options)} {form}"
    digest = hashlib.sha256(facts.encode()).hexdigest()[:32]
    return cache_folder() / "steps" / f"{model.kind}_{len(tensors[0])}_{digest}.onnx"


def export(function: StepFunction, tensors: list[Tensor], file: Path) -> None:
    """Write the graph of a step. Raises ExportError."""
    try:
        write_graph(function, tensors, file)
    except ExportError as error:
        raise ExportError(
            f"a step of a {function.model.kind} model cannot be exported to ONNX ({error}); use "
            "backend='eager'"
        ) from error


def write_graph(module: nn.Module, tensors: list[Tensor], file: Path) -> None:
    """Write a module on tensors of these shapes as an ONNX file with inputs x0, x1, ... Raises
    ExportError with what the exporter says.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module,
                tuple(x.clone() for x in tensors),
                dynamo=True,
                input_names=[f"x{i}" for i in range(len(tensors))],
                verbose=False,
                optimize=True,
            )
            write_atomically(
                file, lambda path: program.save(str(path), external_data=False), shared=True
            )
    except Exception as error:  # the exporter raises many kinds
        first: BaseException = error  # the last one says only that it did not work
        while first.__cause__ is not None:
            first = first.__cause__
        raise ExportError(first_line(first)) from error
