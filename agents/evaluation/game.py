"""Whole games, dreamed and real, for `neural-envs evaluate`: who plays them and what is measured.

The figures are those of `world_models.evaluation`: game_figures, holding, loop_closure.

L lanes, A actions.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.envs import env_id, env_settings, make_vector_env
from agents.evaluation.play import Agent, make_agent
from agents.ppo.policy_file import read_policy
from collectors.policies.policies import make_policy, makers_of
from collectors.settings.parse import check_settings, setting
from collectors.worlds.table import WORLDS
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.game_figures import count_figures, game_figures
from world_models.evaluation.game_play import GamePlay, play_game
from world_models.evaluation.holding import DEPTHS, hold_figures, write_hold_strip
from world_models.evaluation.loop_closure import loop_figures
from world_models.evaluation.rollouts import device_of
from world_models.protocols import WorldModel

FEWEST_LANES = 16
TIMED_STEPS = 5
NOISE = 0.6  # share of random actions of the noisy player
MakePlayer = Callable[[int], Agent]  # lanes -> the player of so many
Plays = dict[str, tuple[GamePlay, GamePlay]]  # (dream, real) by policy


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """How many whole games are played. Raises ValueError for a count of nothing."""

    game: bool = setting(True, "play whole games in the dream and in the real game")
    game_lanes: int = setting(64, "games played at a time", least=2)
    game_steps: int = setting(1_000, "steps of each", least=1)
    game_minutes: float = setting(
        5.0, "dreamed games may take so long, else fewer are played at a time; 0: no limit", least=0
    )
    real_options: tuple[str, ...] = setting((), "of the real game that is played, as levels=test")
    policy_file: str = setting("", "a trained agent that plays too, as runs/ppo/policy.zip")

    def __post_init__(self):
        check_settings(self)


class Games(NamedTuple):
    """What whole games showed."""

    figures: dict[str, Any]  # {"game", "hold", "loop_closure"}
    counts: dict[str, Any]  # `rules.counts`
    plays: Plays


class NoisyAgent:
    """Plays at random with probability `share`, else as `inner`."""

    def __init__(self, inner: Agent, share: float, actions: int, seed: int):
        self.inner, self.share, self.actions = inner, share, actions
        self.generator = np.random.default_rng(seed)

    def reset(self, lanes: np.ndarray) -> None:
        self.inner.reset(lanes)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        chosen, lanes = self.inner(observations), len(observations)
        drawn = self.generator.integers(self.actions, size=lanes)
        return np.where(self.generator.random(lanes) < self.share, drawn, chosen)


def make_players(world: str, actions: int, policy_file: str, seed: int) -> dict[str, MakePlayer]:
    """The players of a world of the table, by name: random, its best with 60 % random moves, one
    that presses equivalent and ignored keys where the world has such, the best, and an agent.

    Raises PolicyFileError for a file that holds no policy.
    """
    best = WORLDS[world].best_policy

    def scripted(name: str, lanes: int) -> Agent:
        return make_agent(make_policy(name, actions, world=world), lanes, seed)

    players: dict[str, MakePlayer] = {
        "random": lambda lanes: scripted("random", lanes),
        f"{best}+random": lambda lanes: NoisyAgent(scripted(best, lanes), NOISE, actions, seed),
    }
    if "equivalent" in makers_of(world):
        players["equivalent"] = lambda lanes: scripted("equivalent", lanes)
    players[best] = lambda lanes: scripted(best, lanes)
    if policy_file:
        model = read_policy(policy_file)
        players[f"agent-{Path(policy_file).parent.name}"] = lambda lanes: make_agent(
            model, lanes, seed
        )
    return players


def measure_games(
    bundle: Path,
    model: WorldModel,
    evaluator: Evaluator,
    options: GameOptions,
    evaluation: EvaluationOptions,
) -> Games:
    """Every player plays the dream of a bundle and its real game, and both are compared.

    A world without a row in the table, and one whose game is not installed, gives
    {"omitted": why} for each figure.
    """
    world, sampling = model.spec.world, evaluation.sampling
    if not options.game:
        return _omitted("no games were asked for")
    if world not in WORLDS:
        return _omitted(f"the world {world!r} has no row in collectors/worlds/table.py")
    real_settings = env_settings(world, "real", options=options.real_options)
    try:
        make_vector_env(env_id(world, "real"), 1, **real_settings).close()
    except gymnasium.error.DependencyNotInstalled as error:
        return _omitted(str(error))
    dream_settings = {"bundle": str(bundle), "device": str(device_of(model))}
    dream_settings |= {"sampler_steps": sampling.steps, "guidance": sampling.guidance}
    players = make_players(
        world, len(model.spec.action_names), options.policy_file, evaluation.seed
    )
    lanes = fitting_lanes(env_id(world, "dream"), dream_settings, options, len(players))
    twins = ((env_id(world, "dream"), dream_settings), (env_id(world, "real"), real_settings))
    envs = [make_vector_env(name, lanes, max_episode_steps=-1, **more) for name, more in twins]
    try:
        plays = play_all(envs, players, evaluator, options.game_steps, evaluation.seed)
        return _measured(plays, envs, model, evaluator, evaluation)
    finally:
        for env in envs:
            env.close()


def play_all(
    envs: list[VectorEnv],
    players: dict[str, MakePlayer],
    evaluator: Evaluator,
    steps: int,
    seed: int,
) -> Plays:
    """Every player in the dream and in the real game, `envs` in this order."""
    depths = tuple(depth for depth in DEPTHS if depth <= steps)
    plays: Plays = {}
    with torch.random.fork_rng(devices=[]):  # from which stable-baselines3 samples actions
        torch.manual_seed(seed)
        for name, make in players.items():
            dream, real = (
                play_game(env, make(env.num_envs), evaluator, steps, seed, depths) for env in envs
            )
            plays[name] = (dream, real)
    return plays


def fitting_lanes(dream: str, settings: dict[str, Any], options: GameOptions, players: int) -> int:
    """As many lanes as are asked for, or fewer, where dreaming them would take too long here."""
    if not options.game_minutes:
        return options.game_lanes
    env = make_vector_env(dream, options.game_lanes, **settings)
    actions = np.zeros(options.game_lanes, np.int64)
    env.reset(seed=0)
    env.step(actions)
    started = time.monotonic()
    for _ in range(TIMED_STEPS):
        env.step(actions)
    whole = (time.monotonic() - started) / TIMED_STEPS * options.game_steps * players
    env.close()
    fitting = int(options.game_lanes * min(1.0, 60 * options.game_minutes / whole))
    return min(options.game_lanes, max(FEWEST_LANES, fitting))


def _measured(
    plays: Plays,
    envs: list[VectorEnv],
    model: WorldModel,
    evaluator: Evaluator,
    evaluation: EvaluationOptions,
) -> Games:
    generator = np.random.default_rng(evaluation.seed)
    spec, names = model.spec, list(plays)

    def reconstruct(frames: np.ndarray) -> np.ndarray | None:
        again = model.reconstruct(torch.from_numpy(frames).to(device_of(model)))
        return None if again is None else again.cpu().numpy()

    extremes = {name: plays[name] for name in (names[0], WORLDS[spec.world].best_policy)}
    figures = {
        "game": {
            name: game_figures(dream, real, spec.max_episode_steps, generator)
            for name, (dream, real) in plays.items()
        },
        "hold": hold_figures(extremes, reconstruct, evaluation.kid_frames, generator),
        "loop_closure": _loops(envs, evaluator, spec.action_names, evaluation.seed),
    }
    return Games(figures, count_figures(plays, generator), extremes)


def _loops(
    envs: list[VectorEnv], evaluator: Evaluator, actions: tuple[str, ...], seed: int
) -> dict[str, Any]:
    if not evaluator.opposites:
        return {"omitted": "no actions of this world undo each other"}
    pairs = [(actions.index(one), actions.index(other)) for one, other in evaluator.opposites]
    return loop_figures(envs[0], envs[1], pairs, seed)


def _omitted(why: str) -> Games:
    figures = {name: {"omitted": why} for name in ("game", "hold", "loop_closure")}
    return Games(figures, {"omitted": why}, {})


def write_strips(folder: Path, plays: Plays) -> list[Path]:
    """A PNG per policy: frames by depth, the dream above and the real game below."""
    paths = [write_hold_strip(folder / f"hold_{name}.png", *pair) for name, pair in plays.items()]
    return [path for path in paths if path is not None]
