"""The table of worlds: one row per game. Everything that has to know a world derives from its row.

A row is strings and numbers only, so importing the table loads no game. The Gymnasium ids of the
real game and of its dream, the policies, the ranking of policies, the PPO preset and the options of
`collect` are read from here. A world outside this project is added by `add_world`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple


class UnknownNameError(ValueError):
    """A name is in no table; the message gives the nearest one and all that there are."""


class World(NamedTuple):
    """What the project knows of one game.

    `env`, `vector_env` and `evaluator` are "module:class", `equivalent_keys` "module:function".
    `evaluator` is only for worlds outside this project: the evaluators of our own are found by name
    in `world_models.evaluation.worlds`.
    """

    name: str  # "snake": the name on every command line
    title: str  # "Snake": as in RealSnake-v0 and NeuralSnake-v0
    env: str  # "module:class" of the real game, a gymnasium.Env
    policies: str  # module with MAKERS, the policies that only this world has
    max_episode_steps: int
    event: str  # what a positive reward is paid for, in the plural: "apples"
    ranking: tuple[str, ...]  # policies from random to the best, which is the last one
    vector_env: str | None = None  # "module:class" of the game played in many lanes at once
    evaluator: str | None = None
    # "module:function" that says which keys the game treats alike: see `policies.equivalent_keys`
    equivalent_keys: str | None = None
    held_out: Mapping[str, Any] = {}  # options of the real game that training never played
    collect_options: Mapping[str, Any] = {}  # of the real game, where `collect` is given none
    ppo: Mapping[str, Any] = {}  # PPO settings that differ from the defaults
    ppo_steps: int = 300_000  # after which PPO in the real game plays better than at random
    # what `collect NAME` records, by NAME: fields of `collectors.recording.presets.Recording` that
    # differ from the defaults; the world's own name may be left out
    recordings: Mapping[str, Mapping[str, Any]] = {}

    @property
    def real_id(self) -> str:
        """Gymnasium id of the real game."""
        return f"Real{self.title}-v0"

    @property
    def neural_id(self) -> str:
        """Gymnasium id of its dream."""
        return f"Neural{self.title}-v0"

    @property
    def best_policy(self) -> str:
        """The name of its best scripted policy."""
        return self.ranking[-1]


def noisy(policy: str, *noise: float) -> tuple[str, ...]:
    """Random and sticky play, then `policy` with less and less noise, then without noise."""
    return ("random", "sticky", *(f"{policy}:{share:g}" for share in noise), policy)


RIGHT = (0.1, 0.2, 0.4, 0.5, 0.6)  # CoinRun's players by how often they run right

_ROWS = (
    World(
        name="snake",
        title="Snake",
        env="collectors.worlds.snake.env:RealSnake",
        vector_env="collectors.worlds.snake.env:RealSnakeVector",
        policies="collectors.worlds.snake.policies",
        max_episode_steps=1000,
        event="apples",
        ranking=noisy("astar", 0.6, 0.4, 0.2, 0.1, 0.05),
        equivalent_keys="collectors.worlds.snake.tiles:equivalent_keys",
        # With fewer gradient steps, or a rate that falls, some seeds learn to go in circles.
        ppo={"batch_size": 256, "final_learning_rate": 1e-3},
    ),
    World(
        name="pong",
        title="Pong",
        env="collectors.worlds.pong.env:RealPong",
        vector_env="collectors.worlds.pong.env:RealPongVector",
        policies="collectors.worlds.pong.policies",
        max_episode_steps=3000,
        event="points",
        ranking=noisy("scripted", 0.8, 0.6, 0.4, 0.2, 0.1),
        equivalent_keys="collectors.worlds.pong.frames:equivalent_keys",
        # Points are rare, and won long after the hit: credit reaches far, and the learning rate
        # does not fall before the first are won. Two frames show the speeds.
        ppo={
            "n_steps": 128,
            "n_epochs": 4,
            "final_learning_rate": 1e-3,
            "gamma": 0.995,
            "gae_lambda": 0.98,
            "ent_coef": 0.005,
            "stack": 2,
        },
        ppo_steps=1_000_000,
        recordings={
            # bounces of every kind, as the models of points and sprites need them
            "pong": {"frames": 1_000_000},
            # small frames show no score, so a game is one rally
            "pong-rally": {
                "frames": 400_000,
                "seed": 1,
                "options": {"size": 24, "points_to_win": 1},
            },
        },
    ),
    World(
        name="worldmap",
        title="WorldMap",
        env="collectors.worlds.worldmap.env:RealWorldMap",
        vector_env="collectors.worlds.worldmap.env:RealWorldMapVector",
        policies="collectors.worlds.worldmap.policies",
        max_episode_steps=200,
        event="landfalls",
        ranking=noisy("shore", 0.9, 0.8, 0.6, 0.4, 0.2),
        held_out={"region": "test"},
        collect_options={"region": "split"},
        ppo={"width": 32},
        ppo_steps=500_000,
    ),
    World(
        name="coinrun",
        title="CoinRun",
        env="collectors.worlds.coinrun.env:RealCoinRun",
        vector_env="collectors.worlds.coinrun.env:RealCoinRunVector",
        policies="collectors.worlds.coinrun.policies",
        max_episode_steps=1000,
        event="coins",
        ranking=("random", "sticky", *(f"right:{share:g}" for share in RIGHT), "right"),
        equivalent_keys="collectors.worlds.coinrun.game:equivalent_keys",
        held_out={"levels": "test"},
        collect_options={"levels": "split"},
        # A coin is far away, a jump shows only in motion, and the frames are rich.
        ppo={
            "n_steps": 64,
            "batch_size": 1024,
            "gamma": 0.99,
            "width": 32,
            "features_dim": 256,
            "stack": 4,
        },
        ppo_steps=200_000,
        # a model of few levels knows these by heart, and what is behind the next hill of no other
        recordings={
            "coinrun": {"shard_steps": 25_000, "options": {"num_levels": 5000}},
            "coinrun-grey": {"frames": 80_000, "options": {"observation": "grey84"}},
        },
    ),
)
WORLDS: dict[str, World] = {row.name: row for row in _ROWS}
_REGISTRATIONS: list[Callable[[], None]] = []  # of ids, by `register_now_and_later`


def find_world(name: str) -> World:
    """The row of a world. Raises UnknownNameError with the nearest name."""
    if name not in WORLDS:
        raise UnknownNameError(unknown("world", name, WORLDS))
    return WORLDS[name]


def add_world(row: World) -> World:
    """Add the row of a world of your own, and the Gymnasium ids of its game and its dream as soon
    as `collectors` and `neural_envs` are imported.

    Raises ValueError where the name is taken by another row.
    """
    if WORLDS.setdefault(row.name, row) != row:
        raise ValueError(f"there is a world '{row.name}' already: {WORLDS[row.name]}")
    for register in _REGISTRATIONS:
        register()
    return row


def register_now_and_later(register: Callable[[], None]) -> None:
    """Call `register`, which may be called again, now and whenever a world is added."""
    if register not in _REGISTRATIONS:
        _REGISTRATIONS.append(register)
    register()


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is in no table: the nearest name first, then all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.4)
    hint = f"did you mean '{near[0]}'? There" if near else "there"
    return f"unknown {kind} '{name}'; {hint} are {', '.join(names)}"
