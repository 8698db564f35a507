"""The table of real environments: world name -> how Gymnasium makes it.

`collect_options` are the options with which `collect` plays a world unless it is told others.
"""

import gymnasium

ENVIRONMENTS = {
    "snake": {"id": "RealSnake-v0", "entry_point": "collectors.worlds.snake.env:RealSnake", "max_episode_steps": 1000},
    "pong": {
        "id": "RealPong-v0",
        "entry_point": "collectors.worlds.pong.env:RealPong",
        "vector_entry_point": "collectors.worlds.pong.env:RealPongVector",
        "max_episode_steps": 3000,
    },
    "worldmap": {
        "id": "RealWorldMap-v0",
        "entry_point": "collectors.worlds.worldmap.env:RealWorldMap",
        "max_episode_steps": 200,
        "collect_options": {"region": "split"},
    },
    "coinrun": {
        "id": "RealCoinRun-v0",
        "entry_point": "collectors.worlds.coinrun.env:RealCoinRun",
        "vector_entry_point": "collectors.worlds.coinrun.env:RealCoinRunVector",
        "max_episode_steps": 1000,
        "collect_options": {"levels": "split"},
    },
}
ANY_GAME = {
    "id": "AnyGame-v0",
    "entry_point": "collectors.worlds.any_game:AnyGame",
}  # a Gymnasium game by its id, `env=`


def register_environments() -> None:
    """Registers every row of the table; calling it again changes nothing."""
    for row in (*ENVIRONMENTS.values(), ANY_GAME):
        if row["id"] not in gymnasium.registry:
            gymnasium.register(**{key: value for key, value in row.items() if key != "collect_options"})


def environment_id(name: str) -> str:
    """The Gymnasium id of a world name ("snake" -> "RealSnake-v0"); anything else is taken to be an id already."""
    return ENVIRONMENTS[name]["id"] if name in ENVIRONMENTS else name


def collect_options(env_id: str) -> dict:
    """The options with which an id is collected by default."""
    return next((row.get("collect_options", {}) for row in ENVIRONMENTS.values() if row["id"] == env_id), {})
