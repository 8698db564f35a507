"""What the stages of `neural-envs compare` leave in its record, checked as it is read."""

import math
from typing import Any

COUNTS = {"updates": 0, "parameters": 1, "macs_per_frame": 0}  # whole numbers, with the least
SPENT = ("train_seconds", "cpu_seconds_per_second", "load_average_before")  # from 0 on


def check_family(names: dict[str, str], found: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError for what cannot be a family's row.

    `names` are its family and its preset.
    """
    for name, text in names.items():
        if found[name] != text:
            raise ValueError(f"{name} is {found[name]!r}, not {text!r}")
    for name, least in COUNTS.items():
        _whole(found, name, least)
    for name in SPENT:
        if _number(found, name) < 0:
            raise ValueError(f"{name} is {found[name]}, less than 0")
    scores = found["scores"]
    if not isinstance(scores, dict):
        raise TypeError("scores are no table")
    for name in scores:
        if scores[name] is not None:  # a figure that this world does not have
            _number(scores, name)
    if found["ppo"] is not None:  # PPO was left out
        _check_played(found["ppo"], trained=True)


def check_reference(found: dict[str, Any]) -> None:
    """The same for the row of the random policy or of PPO in the real game."""
    _check_played(found["ppo"], trained="steps" in found["ppo"])


def _check_played(row: dict[str, Any], trained: bool) -> None:
    """A mean return and its 95 % interval over episodes, and the steps of what was trained."""
    _number(row, "return_mean")
    low, high = row["return_ci"]
    bounds = {"return_ci from": low, "return_ci to": high}
    if _number(bounds, "return_ci from") > _number(bounds, "return_ci to"):
        raise ValueError(f"an interval from {low} to {high}")
    _whole(row, "episodes", 1)
    if trained:
        _whole(row, "steps", 0)


def _whole(values: dict[str, Any], name: str, least: int) -> None:
    value = values[name]
    if type(value) is not int:
        raise TypeError(f"{name} is {value!r}, no whole number")
    if value < least:
        raise ValueError(f"{name} is {value}, less than {least}")


def _number(values: dict[str, Any], name: str) -> float:
    value = values[name]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{name} is {value!r}, no finite number")
    return value
