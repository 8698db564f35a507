"""What computes the graph of a step: ONNX Runtime, OpenVINO, torch.compile.

A runtime is opened on a step function and example tensors, and gives a function from tensors to
tensors. It computes on as many threads as torch uses.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from collectors.extras import install
from neural_envs.backends.errors import BackendError, ExportError, first_line
from neural_envs.backends.graph_files import open_graph
from neural_envs.backends.step_function import StepFunction

Compute = Callable[[list[Tensor]], list[Tensor]]
# lanes that ONNX Runtime steps at once: of more, what a layer makes does not stay in the caches
BLOCK = 8
# the nodes of OpenVINO that compute in bfloat16; what follows them may stay in float32
HEAVY = {"Convolution", "GroupConvolution", "MatMul"}
SOURCES = HEAVY | {"Parameter", "Constant"}


class Runtime(NamedTuple):
    """One way to compute steps."""

    open: Callable[[StepFunction, list[Tensor]], Compute]
    packages: tuple[str, ...] = ()
    extra: str = ""  # what installs them
    devices: tuple[str, ...] = ("cpu",)
    in_torch: bool = True  # so that gradients are to be kept from it


def open_onnx(function: StepFunction, tensors: list[Tensor]) -> Compute:
    """ONNX Runtime, in float32; many lanes in blocks, all by one graph."""
    if len(tensors[0]) <= BLOCK or len(tensors[0]) % BLOCK:
        return open_graph(function, tensors, onnx_session)
    few = [x[:BLOCK] for x in tensors]
    return in_blocks(open_graph(function.narrowed(BLOCK), few, onnx_session))


def in_blocks(compute: Compute) -> Compute:
    """The same for a multiple of BLOCK lanes."""

    def blocks(given: list[Tensor]) -> list[Tensor]:
        parts = zip(*[x.split(BLOCK) for x in given], strict=True)
        found = [compute(list(part)) for part in parts]
        return [torch.cat(leaves) for leaves in zip(*found, strict=True)]

    return blocks


def onnx_session(file: Path) -> Compute:
    """A graph with inputs x0, x1, ..., those that it needs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    # Threads that spin would take the cores from torch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = [(item.name, int(item.name[1:])) for item in session.get_inputs()]

    def compute(given: list[Tensor]) -> list[Tensor]:
        named = {name: given[place].numpy() for name, place in inputs}
        return [torch.from_numpy(array) for array in session.run(None, named)]

    return compute


def open_openvino(precision: str, function: StepFunction, tensors: list[Tensor]) -> Compute:
    """OpenVINO, in "f32" or "bf16"."""
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    graph = open_graph(function, tensors, lambda file: core.read_model(str(file)))
    count = len(graph.outputs)
    if precision == "bf16":
        graph.add_outputs(decisions(graph))
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # other processes dream too
    }
    compiled = core.compile_model(graph, "CPU", settings)
    places = [place_of(port.get_names()) for port in compiled.inputs]
    requests = Requests(compiled)

    def compute(given: list[Tensor]) -> list[Tensor]:
        for values, place in zip(requests.inputs, places, strict=True):
            values[...] = given[place].numpy()
        requests.own.infer()
        return [torch.from_numpy(values.copy()) for values in requests.outputs[:count]]

    return compute


def place_of(names: set[str]) -> int:
    """Which input of the step has these names: a tensor that is used as it is has several."""
    return next(int(name[1:]) for name in names if re.fullmatch(r"x\d+", name))


class Requests(threading.local):
    """A request of a compiled openvino.Model for each thread, as one serves one call at a time,
    and the memory that it reads and writes: the shapes are fixed, so it stays where it is.
    """

    def __init__(self, compiled: Any):
        self.own = compiled.create_infer_request()
        self.inputs = [tensor.data for tensor in self.own.input_tensors]
        self.outputs = [tensor.data for tensor in self.own.output_tensors]


def decisions(graph: Any) -> list[Any]:
    """The numbers of an openvino.Model by which it decides: draws, choices, roundings.

    A draw in bfloat16 is none: one uniform number in 512 would be rounded to 1. OpenVINO computes
    in float32 whatever lies between the last heavy node and an output; so these become outputs.
    """
    final = _tail([result.input_value(0) for result in graph.get_results()])
    found = []
    for node in graph.get_ordered_ops():
        if node.get_friendly_name() in final or node.get_type_name() in SOURCES:
            continue
        if not all(output.get_element_type().is_real() for output in node.outputs()):
            found += [value for value in node.input_values() if value.get_element_type().is_real()]
    return [value for value in found if value.get_node().get_type_name() not in SOURCES]


def _tail(values: list[Any]) -> set[str]:
    """Names of the nodes between the last heavy nodes and these values."""
    names: set[str] = set()
    while values:
        node = values.pop().get_node()
        if node.get_friendly_name() not in names and node.get_type_name() not in SOURCES:
            names.add(node.get_friendly_name())
            values += node.input_values()
    return names


def open_compiled(function: StepFunction, tensors: list[Tensor]) -> Compute:
    """torch.compile; on a GPU with CUDA graphs."""
    cuda = tensors[0].is_cuda
    compiled = torch.compile(function, dynamic=False, mode="reduce-overhead" if cuda else "default")

    def compute(given: list[Tensor]) -> list[Tensor]:
        try:
            found = compiled(*given)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise  # of the network itself, not of its compilation
            raise BackendError(
                f"backend='compile' does not work here ({first_line(error)}): torch.compile needs "
                "a C++ compiler on the CPU and Triton on a GPU; use backend='eager'"
            ) from error
        return [x.clone() for x in found] if cuda else list(found)  # a graph writes in place

    return compute


def open_cuda_graph(function: StepFunction, tensors: list[Tensor]) -> Compute:
    """The step recorded once as a CUDA graph: few lanes wait for launches, not for arithmetic."""
    given = [x.clone() for x in tensors]
    try:
        graph, found = recorded(function, given)
    except RuntimeError as error:
        raise ExportError(
            f"a step of a {function.model.kind} model cannot be recorded as a CUDA graph "
            f"({first_line(error)}); use backend='eager' or 'compile'"
        ) from error

    def compute(values: list[Tensor]) -> list[Tensor]:
        for place, value in zip(given, values, strict=True):
            place.copy_(value)
        graph.replay()
        return [x.clone() for x in found]  # the next replay writes in place

    return compute


def recorded(
    function: StepFunction, given: list[Tensor]
) -> tuple[torch.cuda.CUDAGraph, list[Tensor]]:
    """The CUDA graph of a step that reads the tensors `given`, and those that it writes."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries choose their algorithms before anything is recorded
        for _ in range(3):
            function(*given)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = function(*given)
    return graph, list(found)


EXPORTER = ("onnx", "onnxscript")
RUNTIMES = {
    "cuda-graph": Runtime(open_cuda_graph, devices=("cuda",)),
    "compile": Runtime(open_compiled, devices=("cpu", "cuda")),
    "onnx": Runtime(open_onnx, (*EXPORTER, "onnxruntime"), "onnx", in_torch=False),
    "openvino": Runtime(
        partial(open_openvino, "f32"), (*EXPORTER, "openvino"), "fast", in_torch=False
    ),
    "openvino-bf16": Runtime(
        partial(open_openvino, "bf16"), (*EXPORTER, "openvino"), "fast", in_torch=False
    ),
}


def lacks_package(name: str, device: torch.device) -> bool:
    """Whether a runtime that is for the device has a package that is not installed."""
    runtime = RUNTIMES[name]
    found = map(importlib.util.find_spec, runtime.packages)
    return device.type in runtime.devices and None in found


def require(name: str, device: torch.device) -> None:
    """Raises ExportError naming the extra where a package is missing, BackendError where the
    runtime does not compute on the device or this processor.
    """
    runtime = RUNTIMES[name]
    if device.type not in runtime.devices:
        raise BackendError(
            f"backend={name!r} runs on {' and '.join(runtime.devices)}, not on {device}: there use "
            f"backend={'onnx' if device.type == 'cpu' else 'compile'!r}"
        )
    for package in runtime.packages:
        if importlib.util.find_spec(package) is None:
            raise ExportError(
                f"backend={name!r} needs {package}, which is not installed: "
                f"{install(runtime.extra)}"
            )
    if name == "openvino-bf16" and not _computes_bfloat16():
        raise BackendError(
            "backend='openvino-bf16' needs a processor that computes in bfloat16 (AVX512_BF16 or "
            "AMX), or it is many times slower: use backend='openvino'"
        )


def _computes_bfloat16() -> bool:
    try:
        return has_bfloat16()
    except Exception as error:  # an installation that is damaged
        raise ExportError(
            f"backend='openvino-bf16': OpenVINO does not start here ({first_line(error)}); use "
            "backend='eager'"
        ) from error


def has_bfloat16() -> bool:
    """Whether OpenVINO finds instructions for bfloat16."""
    import openvino  # pyright: ignore[reportMissingImports]

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
