"""A limit on what a config makes torch allocate: checked call by call, before memory is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from collectors.size_limits import allow_large
from collectors.untrusted_files import DamagedFileError

FACTORIES = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.rand,
    torch.randn,
    torch.randint,
    torch.arange,
    torch.linspace,
    torch.eye,
}
MOST_CALLS = 200_000


class AllocationBudget(TorchFunctionMode):
    """Inside `with AllocationBudget(n):` torch makes tensors of at most `n` numbers in all.

    The size of a new tensor is found on the meta device first. Raises DamagedFileError before the
    tensor that would be too much. The mode holds for its own thread only.
    """

    def __init__(self, elements: int):
        super().__init__()
        self.most, self.elements, self.calls = elements, 0, 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        self.calls += 1
        if func in FACTORIES and "out" not in options:
            probe = {**options, "device": "meta", "generator": None, "pin_memory": False}
            probe = {name: value for name, value in probe.items() if value is not None}
            self.elements += func(*args, **probe).numel()
        if (self.elements > self.most or self.calls > MOST_CALLS) and not allow_large():
            raise DamagedFileError(
                f"the config asks for more than {self.most:.3g} numbers, which are not in its file"
            )
        return func(*args, **options)


class NaNWatch(TorchFunctionMode):
    """Notes whether a number that is none was rounded to a gray level."""

    found = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.to and torch.uint8 in args[1:]:
            self.found = self.found or bool(args[0].isnan().any())
        return func(*args, **(kwargs or {}))
