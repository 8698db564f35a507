"""Impossible values: a field's ``metadata={"least": 0, "most": 1}`` or ``{"above": 0}`` says what
is possible.
"""

from __future__ import annotations

import dataclasses
from typing import Any


def check_ranges(config: Any) -> None:
    """For a dataclass's ``__post_init__``: raises ValueError that names the first impossible number
    and what is near.

    `least` and `most` are possible themselves, `above` is not; nan never is.
    """
    for field in dataclasses.fields(config):
        value, limits = getattr(config, field.name), field.metadata
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if "above" in limits and not value > limits["above"]:
            raise ValueError(
                f"setting '{field.name}' got {value}, expected more than {limits['above']}"
            )
        least, most = limits.get("least"), limits.get("most")
        if least is not None and not value >= least:
            raise ValueError(_sentence(field.name, value, least, most))
        if most is not None and not value <= most:
            raise ValueError(_sentence(field.name, value, most, most))


def _sentence(name: str, value: float, nearest: float, most: float | None) -> str:
    wanted = f"{nearest} or more" if most is None else f"at most {most}"
    return (
        f"setting '{name}' got {value}, expected {wanted}; the nearest possible value is {nearest}"
    )
