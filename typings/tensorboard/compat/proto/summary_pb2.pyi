"""TensorBoard's summaries (extra `tensorboard`)."""

from typing import Any

def __getattr__(name: str) -> Any: ...
