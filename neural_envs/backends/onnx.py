"""Networks as ONNX graphs run by ONNX Runtime: exported once, then cached, equal to torch.

B lanes. Only deterministic calls are exported, each for any B; noise, draws and rounding stay in
torch, so a seed means the same dream.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from collectors.files import write_atomically

TOLERANCE = 1e-4  # largest difference to torch, of values about 1, that is accepted
EXPORT_VERSION = 2  # counts up when what is written changes; old files are then no longer found


class ExportError(RuntimeError):
    """A network that cannot be run by ONNX Runtime; the message names the reason and the remedy."""


def cache_folder() -> Path:
    """Where exports are kept.

    $NEURAL_ENVS_CACHE, else $XDG_CACHE_HOME/neural-envs, else ~/.cache/neural-envs.
    """
    own, shared = os.environ.get("NEURAL_ENVS_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own)
    return (Path(shared) if shared else Path.home() / ".cache") / "neural-envs"


def require() -> None:
    """Raises ExportError naming the extra where a package is missing."""
    for name in ("onnxruntime", "onnx", "onnxscript"):
        try:
            __import__(name)
        except ImportError:
            raise ExportError(
                f"backend='onnx' needs {name}, which is not installed: pip install "
                "'neural-envs[onnx]'"
            ) from None


def fingerprint(module: nn.Module) -> str:
    """sha256 of a module: its classes, its weights, and the torch that exports it."""
    digest = hashlib.sha256(f"{EXPORT_VERSION} {torch.__version__} {module}".encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


class Session(NamedTuple):
    """A graph and how its flat results become what the network returns."""

    run: Any  # onnxruntime.InferenceSession
    inputs: tuple[str | None, ...]  # names for the tensors; None: the graph has no use for that one
    results: Any  # tree of the network's answer

    def __call__(self, tensors: list[Tensor]) -> Any:
        named = zip(self.inputs, tensors, strict=True)
        given = {name: tensor.contiguous().numpy() for name, tensor in named if name is not None}
        return pytree.tree_unflatten(
            [torch.from_numpy(a) for a in self.run.run(None, given)], self.results
        )


class Standin(nn.Module):
    """Stands in for a network: `run_call` runs its calls, attributes are those of the original."""

    def __init__(self, original: nn.Module):
        super().__init__()
        self.original = original

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("original"), name)

    def run_call(self, method: str, arguments: tuple) -> Any:
        """What original.method(*arguments) returns."""
        raise NotImplementedError

    def forward(self, *arguments: Any) -> Any:
        return self.run_call("forward", arguments)

    def encode(self, *arguments: Any) -> Any:
        return self.run_call("encode", arguments)

    def decode(self, *arguments: Any) -> Any:
        return self.run_call("decode", arguments)


class Exported(Standin):
    """A network whose calls are run by ONNX Runtime, each form of call by a graph of its own."""

    def __init__(self, original: nn.Module):
        super().__init__(original)
        self._sessions, self._key = {}, fingerprint(original)

    def run_call(self, method: str, arguments: tuple) -> Any:
        leaves, tree = pytree.tree_flatten(arguments)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        form = [(str(x.dtype), tuple(x.shape[1:])) if isinstance(x, Tensor) else x for x in leaves]
        key = f"{method} {tree} {form}"
        if key not in self._sessions:
            self._sessions[key] = self._session(
                method, key, Call(self.original, method, leaves, tree), tensors
            )
        return self._sessions[key](tensors)

    def _session(self, method: str, key: str, call: Call, tensors: list[Tensor]) -> Session:
        """Read the graph, exported before if there is none yet; compare its result with torch's."""
        digest = hashlib.sha256(f"{self._key} {key}".encode()).hexdigest()[:32]
        file = cache_folder() / "onnx" / f"{type(self.original).__name__}_{method}_{digest}.onnx"
        if not file.exists():
            export(call, tensors, file)
        with torch.no_grad():
            expected, results = pytree.tree_flatten(call.answer(*tensors))
        session = opened(file, len(tensors), results)
        found = pytree.tree_leaves(session(tensors))
        worst = max(
            float((a.float() - b.float()).abs().max()) for a, b in zip(expected, found, strict=True)
        )
        if not worst <= TOLERANCE * max(1.0, *(float(a.float().abs().max()) for a in expected)):
            raise ExportError(
                f"the ONNX graph {file} is {worst:.2g} off; delete it, or use backend='eager'"
            )
        return session


class Call(nn.Module):
    """One method of a network as a function of the tensors among its arguments."""

    def __init__(self, network: nn.Module, method: str, leaves: list, tree: Any):
        super().__init__()
        self.network, self.method, self.tree = network, method, tree
        self.fixed = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def answer(self, *tensors: Tensor) -> Any:
        """The network's output."""
        leaves = list(self.fixed)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        return getattr(self.network, self.method)(*pytree.tree_unflatten(leaves, self.tree))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(pytree.tree_leaves(self.answer(*tensors)))


def export(call: Call, tensors: list[Tensor], file: Path) -> None:
    """Write the graph; raises ExportError where torch cannot express it."""
    # Pairs: a batch of 1 would be taken for a constant.
    pairs = tuple(torch.cat((x[:1], x[:1])).clone() for x in tensors)
    names = [f"x{i}" for i in range(len(pairs))]
    lanes = torch.export.Dim("lanes", min=1, max=2**20)
    shapes = (tuple({0: lanes} for _ in pairs),)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                call,
                pairs,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=names,
                verbose=False,
                optimize=True,
            )
            # torch only warns where the number of lanes is fixed
            if any(isinstance(item.shape[0], int) for item in program.model.graph.inputs):
                raise ValueError(f"its code fixes the number of lanes at {len(pairs[0])}")
            write_atomically(
                file, lambda path: program.save(str(path), external_data=False), shared=True
            )
    except Exception as error:  # the exporter raises many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        network = type(call.network).__name__
        raise ExportError(
            f"{network} cannot be exported to ONNX ({reason}); use backend='eager'"
        ) from error


def opened(file: Path, count: int, results: Any) -> Session:
    """The session of a graph of `count` tensors, on as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    # Threads that spin would take the cores from torch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    run = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    kept = {item.name for item in run.get_inputs()}
    return Session(run, tuple(f"x{i}" if f"x{i}" in kept else None for i in range(count)), results)
