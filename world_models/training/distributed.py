"""The processes that share one run, through Accelerate, and the device of each. R processes, N
parts of a batch.

A batch is cut into N parts, whatever the number of processes, and each part draws its own noise;
the processes share the parts. So R processes learn what one process learns with the same N, but for
the rounding of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from collectors.extras import optional
from world_models.training.config import TrainingError


class Processes:
    """Who else works on this run: `count` processes, this one the `rank`-th, on `device`.

    Started by `torchrun` or `accelerate launch` there are several; everywhere else there is one.
    Raises TrainingError on a device that is not there.
    """

    def __init__(self, device: str = "auto"):
        self.count, self.rank = 1, 0
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            self.accelerator: Any = optional("accelerate").Accelerator(cpu=device == "cpu")
            self.count, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.device = find_device(device) if self.count == 1 else self._shared_device(device)

    def _shared_device(self, name: str) -> torch.device:
        if name not in ("auto", "cpu", "cuda"):
            raise TrainingError(
                f"device={name} is one device for {self.count} processes; leave device=auto"
            )
        return self.accelerator.device

    @property
    def main(self) -> bool:
        """Whether this process is the one that validates and writes."""
        return self.rank == 0

    def share(self, batch_size: int, accumulation: int) -> tuple[int, range, int]:
        """N, the parts of this process, and the clips in a part.

        Raises TrainingError where they do not divide.
        """
        parts = max(accumulation, self.count)
        if parts % self.count:
            near = self.count * max(1, round(accumulation / self.count))
            raise TrainingError(
                f"gradient_accumulation={accumulation} parts cannot be shared by {self.count} "
                f"processes; take {near}"
            )
        if batch_size % parts:
            near = parts * max(1, round(batch_size / parts))
            raise TrainingError(
                f"batch_size={batch_size} cannot be cut into {parts} equal parts; take {near}"
            )
        own = parts // self.count
        return parts, range(self.rank * own, (self.rank + 1) * own), batch_size // parts

    def from_main(self, value: Any) -> Any:
        """The main process's value, in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def clock(self, seconds: float) -> float:
        """The main process's clock, because schedules and the end of the run go by it."""
        if self.count == 1:
            return seconds
        from accelerate.utils import broadcast

        return broadcast(torch.tensor([seconds], device=self.device)).item()

    def add_up(self, parameters: Iterable[nn.Parameter], numbers: Tensor) -> Tensor:
        """Adds the gradients of all processes up, in place, and returns the sums of `numbers` (M,).

        One call carries everything, for these models are small: gradients, which parameters have
        one (a part of a model may be frozen), and the numbers.
        """
        if self.count == 1:
            return numbers
        parameters = list(parameters)
        has = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        gradients = [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters
        ]
        sizes = [*(g.numel() for g in gradients), len(has), len(numbers)]
        everything = torch.cat([*gradients, has, numbers.float()])
        reduced = cast(Tensor, self.accelerator.reduce(everything, "sum"))
        *sums, has, numbers = reduced.split(sizes)
        for parameter, total, anybody in zip(parameters, sums, has.tolist(), strict=True):
            if not anybody:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.copy_(total.view_as(parameter))
        return numbers

    def end(self) -> None:
        """Leaves the group of processes."""
        if self.count > 1:
            self.accelerator.end_training()


def find_device(name: str) -> torch.device:
    """The device of a name; "auto" is a CUDA card where there is one.

    Raises TrainingError where it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(
            f"device {name!r} cannot be used here ({error}); try device=cpu"
        ) from None


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: "auto" where the hardware is good at it. Of processors those
    with AMX are; those with AVX512_BF16 alone train more slowly in it than in float32.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise TrainingError(f"precision is auto, float32 or bfloat16, not {precision!r}")
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _asked("_is_amx_tile_supported")


def processor_has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16: AVX512_BF16 or AMX."""
    return _asked("_is_amx_tile_supported") or _asked("_is_avx512_bf16_supported")


def _asked(name: str) -> bool:
    """What torch says of the processor; it has no public name for it."""
    return bool(getattr(torch.cpu, name, lambda: False)())
