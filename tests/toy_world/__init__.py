"""Corridor, a world outside the project: its row. Importing this adds it to the table."""

from collectors.worlds.table import World, add_world

CORRIDOR = World(
    name="corridor",
    title="Corridor",
    env="tests.toy_world.env:RealCorridor",
    vector_env="tests.toy_world.env:RealCorridorVector",
    policies="tests.toy_world.policies",
    evaluator="tests.toy_world.evaluator:CorridorEvaluator",
    max_episode_steps=20,
    event="lamps reached",
    ranking=("random", "walk:0.5", "walk"),
    ppo={"n_steps": 16, "gamma": 0.9},
)
add_world(CORRIDOR)
