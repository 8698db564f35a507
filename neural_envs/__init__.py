"""Learned simulators as Gymnasium environments. Importing this registers the ids, without torch.

>>> import gymnasium as gym, neural_envs
>>> env = gym.make("NeuralSnake-v0")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.worlds.table import register_now_and_later
from neural_envs.registration import register_environments

if TYPE_CHECKING:
    from neural_envs.env import NeuralEnv
    from neural_envs.vector_env import NeuralVectorEnv

__neural_envs__ = True
__version__ = "0.1.0"
__all__ = ["NeuralEnv", "NeuralVectorEnv", "__version__", "register_environments"]

register_now_and_later(register_environments)


def __dir__() -> list[str]:
    """What this package offers, also the classes that nobody has asked for yet."""
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})


if not TYPE_CHECKING:  # a type checker would take every wrong name for an attribute

    def __getattr__(name: str) -> type:
        """The two classes, imported (with torch) when first asked for."""
        if name == "NeuralEnv":
            from neural_envs.env import NeuralEnv

            return NeuralEnv
        if name == "NeuralVectorEnv":
            from neural_envs.vector_env import NeuralVectorEnv

            return NeuralVectorEnv
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
