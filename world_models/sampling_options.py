"""How a step draws its frame, as a value that is handed to it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import NamedTuple


class SamplingOptions(NamedTuple):
    """How a step draws its frame. None leaves an option to the model."""

    steps: int | None = None  # denoising steps, or passes of a token model
    guidance: float | None = None  # strength of guidance on the action; 1 is none
    temperature: float | None = None  # of categorical draws; 0 takes the likeliest


DEFAULT_OPTIONS = SamplingOptions()


def check_options(options: SamplingOptions, supported: Collection[str]) -> SamplingOptions:
    """The options with their values as int and float. `supported`: names that a caller may choose.

    Raises ValueError, a sentence, on an option that is not supported (one step always is) and on a
    value out of range.
    """
    steps, guidance, temperature = options
    if steps is not None:
        whole = isinstance(steps, numbers.Integral) and not isinstance(steps, bool)
        if not whole or steps < 1:
            raise ValueError(f"sampler_steps is a whole number of at least 1, got {steps!r}")
        if steps != 1 and "steps" not in supported:
            raise ValueError(
                "this bundle's model makes a frame in one call: there are no sampler steps to "
                f"choose; leave out sampler_steps={steps}"
            )
        steps = int(steps)
    if guidance is not None:
        guidance = _at_least_0(guidance, "guidance is a number of at least 0, and 1 for none")
        if "guidance" not in supported and guidance != 1:
            raise ValueError(
                "this bundle's model has no guidance on the action; leave out "
                f"guidance={guidance:g}"
            )
    if temperature is not None:
        temperature = _at_least_0(temperature, "temperature is a number of at least 0")
        if "temperature" not in supported:
            raise ValueError(
                f"this bundle's model has no temperature; leave out temperature={temperature:g}"
            )
    return SamplingOptions(steps, guidance, temperature)


def _at_least_0(value: float, rule: str) -> float:
    """The value as float; raises ValueError with the rule where it is no number of at least 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{rule}, got {value!r}")
    return float(value)
