"""Gymnasium ids of the dreams, from the table of worlds. Nothing here imports torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym

from collectors.worlds.table import WORLDS

ENTRY_POINT = "neural_envs.env:NeuralEnv"
VECTOR_ENTRY_POINT = "neural_envs.vector_env:NeuralVectorEnv"


class Row(NamedTuple):
    """One id. `max_episode_steps` None leaves the step limit to the bundle."""

    id: str
    max_episode_steps: int | None
    kwargs: dict[str, Any]


def environments() -> tuple[Row, ...]:
    """A row per world, and NeuralEnv-v0, which takes `bundle=` by name or path."""
    rows = [
        Row(world.neural_id, world.max_episode_steps, {"bundle": world.name, "world": world.name})
        for world in WORLDS.values()
    ]
    return (*rows, Row("NeuralEnv-v0", None, {}))


def register_environments() -> None:
    """Register every row once; safe to call again."""
    for row in environments():
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
    return any(row.id == id and row.max_episode_steps is not None for row in environments())
