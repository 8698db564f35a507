"""ONNX Runtime (extra `onnx`)."""

from typing import Any

def __getattr__(name: str) -> Any: ...
