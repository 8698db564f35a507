"""Procgen of EnvPool (extra `coinrun`)."""

from typing import Any

def __getattr__(name: str) -> Any: ...
