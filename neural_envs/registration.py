"""The table of Neural*-v0 ids. Strings only: nothing here imports torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym

ENTRY_POINT = "neural_envs.env:NeuralEnv"
VECTOR_ENTRY_POINT = "neural_envs.vector_env:NeuralVectorEnv"


class Row(NamedTuple):
    """One id. `max_episode_steps` None leaves the step limit to the bundle."""

    id: str
    max_episode_steps: int | None
    kwargs: dict[str, Any]


ENVIRONMENTS = (
    Row("NeuralSnake-v0", 1000, {"bundle": "snake"}),
    Row("NeuralPong-v0", 3000, {"bundle": "pong"}),
    Row("NeuralWorldMap-v0", 200, {"bundle": "worldmap"}),
    Row("NeuralCoinRun-v0", 1000, {"bundle": "coinrun"}),
    Row("NeuralEnv-v0", None, {}),  # gym.make("NeuralEnv-v0", bundle="path/to/bundle")
)


def register_environments() -> None:
    """Register every row once; safe to call again."""
    for row in ENVIRONMENTS:
        if row.id not in gym.registry:
            gym.register(
                id=row.id,
                entry_point=ENTRY_POINT,
                vector_entry_point=VECTOR_ENTRY_POINT,
                max_episode_steps=row.max_episode_steps,
                kwargs=dict(row.kwargs),
            )


def has_registered_limit(id: str) -> bool:
    """Whether gym.make counts the steps of this id (by its TimeLimit wrapper)."""
    return any(row.id == id and row.max_episode_steps is not None for row in ENVIRONMENTS)
