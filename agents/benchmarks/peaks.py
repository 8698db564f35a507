"""What the machine's arithmetic can do: the fastest convolution, in float32 and bfloat16.

On a card that is float32 as torch convolves in it, by tensor cores where there are some.
"""

from collections.abc import Mapping

import torch

from agents.benchmarks.timing import Advance, finish
from world_models.training.distributed import processor_has_bfloat16

FLOAT32, BFLOAT16 = "float32", "bfloat16"
LANES = {True: 16, False: 512}  # that fill a processor, and a card


def peak_subjects(device: str = "cpu") -> dict[tuple, Advance]:
    """("peak", dtype) -> convolutions; those in bfloat16 where the device computes in it."""
    kinds, on_processor = {FLOAT32: torch.float32}, torch.device(device).type == "cpu"
    if not on_processor or processor_has_bfloat16():
        kinds[BFLOAT16] = torch.bfloat16
    lanes = LANES[on_processor]
    return {
        ("peak", name): convolution_peak(kind, lanes, 64, device) for name, kind in kinds.items()
    }


def peaks_of(rates: dict[tuple, list[float]]) -> dict[str, float]:
    """Multiply-adds per second by dtype, the best round of each; they leave the rates."""
    keys = [key for key in rates if key[0] == "peak"]
    return {key[1]: max(rates.pop(key)) for key in keys}


def peak_for(backend: str, peaks: Mapping[str, float]) -> float | None:
    """The peak in the dtype that a backend computes in; None where that is not measured, and for
    `auto`, which takes a backend of either.
    """
    if backend == "auto":
        return None
    return peaks.get(BFLOAT16 if backend.endswith("bf16") else FLOAT32)


def convolution_peak(
    dtype: torch.dtype = torch.float32, lanes: int = 16, channels: int = 64, device: str = "cpu"
) -> Advance:
    """The fastest convolution on a CPU, 3x3 and channels last on 64x64; counts multiply-adds."""
    generator = torch.Generator().manual_seed(0)
    image, weight = (
        torch.randn(shape, generator=generator).to(device, dtype, memory_format=torch.channels_last)
        for shape in ((lanes, channels, 64, 64), (channels, channels, 3, 3))
    )
    work = lanes * channels * channels * 9 * 64 * 64

    def advance() -> int:
        with torch.inference_mode():
            finish(torch.nn.functional.conv2d(image, weight, padding=1))
        return work

    return advance
