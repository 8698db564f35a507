"""Settings as YAML."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

PLAIN_WORD = re.compile(r"[A-Za-z_./][\w./:@-]*(?<!:)")
RESERVED_WORDS = {"true", "false", "null", "none", "yes", "no", "on", "off", "~", ""}


def as_text(config: Any, indent: int = 0) -> str:
    """A dataclass instance as YAML, fit for ``resolved_config.yaml``: nested by indentation,
    sequences in brackets.
    """
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            kinds = [
                kind for kind, cls in field.metadata.get("kinds", {}).items() if cls is type(value)
            ]
            inside = [f"{'  ' * (indent + 1)}type: {kind}" for kind in kinds]
            inside += [as_text(value, indent + 1)] if dataclasses.fields(value) else []
            lines += [f"{'  ' * indent}{field.name}:" + ("" if inside else " {}"), *inside]
        else:
            lines.append(f"{'  ' * indent}{field.name}: {value_text(value)}")
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """A leaf as YAML 1.1 reads it."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # YAML 1.1 reads 1e-05 as a word
    text = str(value)
    return (
        text
        if PLAIN_WORD.fullmatch(text) and text.lower() not in RESERVED_WORDS
        else json.dumps(text)
    )
