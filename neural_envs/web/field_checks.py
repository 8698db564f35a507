"""Checks of the single values of messages and requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class MessageError(ValueError):
    """A message, a request or a value in one that cannot be used; the text is a sentence for its
    sender.
    """


def brief(value: Any) -> str:
    """A value as it is quoted in a sentence, however long it is."""
    text = (
        json.dumps(value)
        if isinstance(value, str | int | float | bool | type(None))
        else f"a {type(value).__name__}"
    )
    return text if len(text) <= 40 else text[:37] + "..."


def letters(most: int) -> Callable[[str, Any], str]:
    """A check for a text of at most so many characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise MessageError(f"'{name}' is a text of at most {most} characters")
        return value

    return check


def flag(name: str, value: Any) -> bool:
    """The value, if it is true or false."""
    if not isinstance(value, bool):
        raise MessageError(f"'{name}' is true or false, not {brief(value)}")
    return value


def whole(least: int, most: int, optional: bool = False) -> Callable[[str, Any], Any]:
    """A check for an int; for None too where it is `optional`."""

    def check(name: str, value: Any) -> int | None:
        if optional and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise MessageError(
                f"'{name}' is a whole number from {least} to {most}, not {brief(value)}"
            )
        return value

    return check


def number(least: float, most: float, optional: bool = False) -> Callable[[str, Any], Any]:
    """A check for a float; for None too where it is `optional`."""

    def check(name: str, value: Any) -> float | None:
        if optional and value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not least <= value <= most
        ):  # NaN too
            raise MessageError(
                f"'{name}' is a number from {least:g} to {most:g}, not {brief(value)}"
            )
        return float(value)

    return check
