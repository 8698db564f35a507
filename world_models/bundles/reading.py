"""Reading config.json and model.safetensors of a bundle that anybody may have made.

Sizes and types are checked before anything is built: see `docs/security.md` for the limits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    check_regular,
    check_size,
    checked_json,
    read_regular_file,
    reason_of,
)
from world_models.bundles import BundleError
from world_models.bundles.migration import FORMAT_VERSION, migrate_tensors

KEYS = {"format_version", "kind", "model", "spec", "provenance", "scores"}
MOST_CONFIG_BYTES = 4 * 2**20
MOST_HEADER_BYTES = 32 * 2**20
MOST_ELEMENTS = 500_000_000  # numbers in all tensors
MOST_COUNT = 2**20  # any whole number of a model's settings
MOST_BY_NAME = {
    "steps": 1000,
    "timesteps": 10_000,
    "passes": 256,  # of a token model, each step
    "depth": 256,
    "length": 256,
    "window": 4096,
}
MOST_NUMBER, MOST_PARTS, MOST_NESTING = 1e9, 1000, 8


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a bundle as it is stored, its keys, types and sizes checked.

    Raises BundleError, a sentence.
    """
    file = path / "config.json"
    try:
        config = checked_json(read_regular_file(file), MOST_CONFIG_BYTES, finite=False)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{path} is not a bundle: it has no config.json") from None
    except (DamagedFileError, OSError) as error:
        raise BundleError(f"{file} is damaged: {reason_of(error)}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(f"{file} has no format_version of 1 or more")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{path} has format {version}, newer than {FORMAT_VERSION}, the newest known: upgrade "
            "neural-envs"
        )
    if set(config) != KEYS:
        unknown, missing = sorted(set(config) - KEYS), sorted(KEYS - set(config))
        raise BundleError(f"{file}: unknown keys {unknown}, missing keys {missing}")
    try:
        _check_types(config)
        check_numbers(config["model"], "model")
    except DamagedFileError as error:
        raise BundleError(f"{file}: {error}") from None
    return config


def _check_types(config: Mapping[str, Any]) -> None:
    if not isinstance(config["kind"], str):
        raise DamagedFileError(f"kind is {config['kind']!r:.40}, not a name")
    for part in ("model", "spec", "provenance", "scores"):
        if not isinstance(config[part], dict):
            raise DamagedFileError(f"{part} is {config[part]!r:.40}, not a table")


def check_numbers(value: Any, name: str, nesting: int = 0) -> None:
    """Raises DamagedFileError for a number that is not finite or too large to be built, named with
    its place; depths and numbers of steps are bounded more narrowly.
    """
    if nesting > MOST_NESTING:
        raise DamagedFileError(f"{name} is nested too deeply")
    if isinstance(value, dict | list):
        check_size(name, len(value), MOST_PARTS, "parts")
        rows = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in rows:
            check_numbers(part, f"{name}.{key}", nesting + 1)
    elif isinstance(value, str):
        check_size(name, len(value), MOST_PARTS, "letters")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DamagedFileError(f"{name} is {value}, no finite number")
        check_size(name, abs(value), MOST_NUMBER, "in size")
    elif isinstance(value, int):
        last = name.rpartition(".")[2].rpartition("_")[2]
        check_size(name, abs(value), MOST_BY_NAME.get(last, MOST_COUNT), "as its value")


def stored_elements(file: Path) -> int:
    """How many numbers the tensors of a safetensors file hold, from its header alone.

    Raises BundleError where there is none, or more than may be built.
    """
    try:
        size = check_regular(file)
        with file.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            check_size("its header", length, min(MOST_HEADER_BYTES, size))
            header = checked_json(stream.read(length), MOST_HEADER_BYTES)
        shapes = [row["shape"] for name, row in header.items() if name != "__metadata__"]
        total = sum(math.prod(shape) for shape in shapes)
        check_size("the model", total, MOST_ELEMENTS, "parameters")
    except FileNotFoundError:
        raise BundleError(f"{file} is missing") from None
    except PARSE_ERRORS as error:
        raise BundleError(f"{file} is damaged: {reason_of(error)}") from None
    return total


def read_tensors(file: Path, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a file by their newest names; `config` as it is stored beside them.

    Raises BundleError, also for numbers that are not finite.
    """
    stored_elements(file)
    try:
        tensors = migrate_tensors(config, load(file.read_bytes()))
    except (SafetensorError, *PARSE_ERRORS) as error:
        raise BundleError(f"{file} is damaged: {reason_of(error)}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise BundleError(f"{file}: tensor {name} holds numbers that are not finite")
    return tensors
