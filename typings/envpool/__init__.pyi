"""EnvPool, the engine of CoinRun (extra `coinrun`)."""

from typing import Any

def __getattr__(name: str) -> Any: ...
