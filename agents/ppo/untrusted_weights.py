"""Weights that anybody may have made: what `torch.load` gives is looked at before it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from collectors.untrusted_files import DamagedFileError

NAMES = 3  # of what actor and critic share: its own, and one of each


def all_finite(tensors: Any) -> bool:
    """Whether these weights hold finite numbers; DamagedFileError where they are no plain
    tensors.
    """
    check_plain(tensors.values() if isinstance(tensors, dict) else [tensors])
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def check_plain(values: Iterable[Any]) -> None:
    """Raises DamagedFileError for all but tensors that lie in memory as large as they are: strides
    of 0 make any number of elements of a few bytes.
    """
    for value in values:
        plain = isinstance(value, torch.Tensor) and (
            (value.layout, value.device.type, value.is_quantized) == (torch.strided, "cpu", False)
        )
        if not plain or value.nbytes > value.untyped_storage().nbytes():
            raise DamagedFileError("its weights are no tensors")


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    """All tensors of nested tables and lists."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            yield from tensors_in(value)


def most_elements(weights: Mapping[str, torch.Tensor]) -> int:
    """How many numbers these weights are in memory, at most."""
    own = {w.untyped_storage().data_ptr(): w.untyped_storage().nbytes() for w in weights.values()}
    return NAMES * sum(own.values()) // torch.float32.itemsize
