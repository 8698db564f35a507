"""Docstrings whose paragraphs begin with a label, as "Reward: ...", read into their parts.

`Arguments:` has a line "name: what it means" per argument, indented.
"""

import inspect
import re
from typing import NamedTuple

LABEL = re.compile(r"([A-Z][a-z]+(?: [a-z]+)?):(?:\s+(.*))?", re.DOTALL)
ARGUMENT = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


class Docstring(NamedTuple):
    """What a class says of itself."""

    text: list[str]  # paragraphs before the first label
    parts: dict[str, str]  # label -> paragraph
    arguments: dict[str, str]  # name -> meaning


def read_docstring(made: type) -> Docstring:
    """The parts of a class's docstring, each on one line."""
    text: list[str] = []
    parts: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for paragraph in (inspect.getdoc(made) or "").split("\n\n"):
        label = LABEL.fullmatch(paragraph)
        if label is None:
            text.append(one_line(paragraph))
        elif label[1] == "Arguments":
            arguments = _arguments(paragraph)
        else:
            parts[label[1]] = one_line(label[2])
    return Docstring(text, parts, arguments)


def one_line(text: str) -> str:
    """The words of a text with single spaces between them."""
    return " ".join(text.split())


def defaults(made: type) -> dict[str, object]:
    """Argument -> default of a constructor; of one that takes `**options`, their dataclass's."""
    found = inspect.signature(made).parameters.values()
    return {one.name: one.default for one in found if one.kind is not one.VAR_KEYWORD}


def _arguments(paragraph: str) -> dict[str, str]:
    _, *found = ARGUMENT.split(paragraph)
    return {name: one_line(meaning) for name, meaning in zip(found[::2], found[1::2], strict=True)}
