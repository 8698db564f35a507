"""Whole games, dreamed and real, for `neural-envs evaluate`: who plays them and what is measured.

The figures are those of `world_models.evaluation`: game_figures, holding, loop_closure.

L lanes, A actions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.envs import env_id, env_settings, make_vector_env, sampling_settings
from agents.evaluation.players import (
    AGENT,
    EQUIVALENT,
    EquivalentKeyAgent,
    MakePlayer,
    best_player,
    make_players,
)
from collectors.settings.parse import check_settings, setting
from collectors.worlds.table import WORLDS
from world_models.bundles.bundle import Bundle
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.game_figures import count_figures, game_figures
from world_models.evaluation.game_play import GamePlay, play_game
from world_models.evaluation.holding import DEPTHS, hold_figures, write_hold_strip
from world_models.evaluation.loop_closure import loop_figures
from world_models.evaluation.low_trust import min_trust_figures
from world_models.evaluation.rollouts import device_of
from world_models.protocols import WorldModel, WorldSpec

Plays = dict[str, tuple[GamePlay, GamePlay]]  # (dream, real) by policy


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """How many whole games are played. Raises ValueError for a count of nothing."""

    game: bool = setting(True, "play whole games in the dream and in the real game")
    game_lanes: int = setting(64, "games played at a time", least=2)
    game_steps: int = setting(1_000, "steps of each", least=1)
    all_players: bool = setting(True, "not only random play, the best player and a trained agent")
    min_trust: float = setting(
        0.5, "the best player's dreams are played again, cut where trust is below; 0: not",
        least=0, most=1,
    )  # fmt: skip
    real_options: tuple[str, ...] = setting((), "of the real game that is played, as levels=test")
    policy: str = setting(
        "",
        "a trained agent, policy.zip of ppo: it plays whole games, and is ranked with the others",
    )

    def __post_init__(self):
        check_settings(self)


class Games(NamedTuple):
    """What whole games showed."""

    figures: dict[str, Any]  # {"game", "hold", "loop_closure"}
    counts: dict[str, Any]  # `rules.counts`
    min_trust: dict[str, Any]  # `trust.min_trust`
    plays: Plays


def measure_games(
    bundle: Bundle,
    evaluator: Evaluator,
    options: GameOptions,
    evaluation: EvaluationOptions,
    named: str = "",
) -> Games:
    """Every player plays the dream of a bundle and its real game, and both are compared.

    A game without a row in the table is played where it is `named` by its id: no game is imported
    because a bundle says so. What is not played gives {"omitted": why} for each figure.
    """
    spec = bundle.model.spec
    if why := _why_not(spec.world, options, named):
        return _omitted(why)
    try:
        envs = _make_envs(bundle, options, evaluation)
    except gymnasium.error.DependencyNotInstalled as error:
        return _omitted(str(error))
    actions, seed = spec.actions.for_policies, evaluation.seed
    players = make_players(spec.world, actions, options.policy, seed, options.all_players)
    try:
        plays, unmet = play_all(envs, players, evaluator, options.game_steps, seed)
        games = _measured(plays, envs, bundle.model, evaluator, evaluation)
        if EQUIVALENT not in players:
            alone = "only random play and the best player were asked for"
            why = "this world has no two keys of one effect" if options.all_players else alone
            unmet[EQUIVALENT] = {"omitted": why}
        games.figures["game"] |= unmet
        cut = _cut(plays, envs, players, evaluator, options, spec, seed)
        return games._replace(min_trust=cut)
    finally:
        for env in envs.values():
            env.close()


def _why_not(world: str, options: GameOptions, named: str) -> str:
    """Why no games of a world are played; empty where they are."""
    if not options.game:
        return "no games were asked for"
    if world not in WORLDS and named != world:
        why = f"the world {world!r} has no row in collectors/worlds/table.py"
        return f"{why}; --real {world} plays that game"
    return ""


def _make_envs(
    bundle: Bundle, options: GameOptions, evaluation: EvaluationOptions
) -> dict[str, VectorEnv]:
    """The environments "real", "dream" and, where asked for, "cut", a dream with `min_trust`."""
    world = bundle.model.spec.world
    drawn = sampling_settings(str(device_of(bundle.model)), evaluation.sampling)
    dream = {"bundle": bundle, **drawn}
    named = None if world in WORLDS else str(bundle.path)  # by which such a game is known
    real = env_settings(world, "real", named, options.real_options)
    settings: dict[str, dict[str, Any]] = {"real": real, "dream": dream}
    if options.min_trust:
        settings["cut"] = {**dream, "min_trust": options.min_trust}
    ids = {"real": env_id(world, "real", named), "dream": env_id(world, "dream", named)}
    return {
        name: make_vector_env(
            ids.get(name, ids["dream"]), options.game_lanes, max_episode_steps=-1, **more
        )
        for name, more in settings.items()
    }


def play_all(
    envs: dict[str, VectorEnv],
    players: dict[str, MakePlayer],
    evaluator: Evaluator,
    steps: int,
    seed: int,
) -> tuple[Plays, dict[str, Any]]:
    """Every player in `envs["dream"]` and in `envs["real"]`; {"equivalent": {"omitted": why}} where
    its player met no two keys of one effect, for then it played as the best.
    """
    depths = tuple(depth for depth in DEPTHS if depth <= steps)
    plays: Plays = {}
    unmet: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):  # from which stable-baselines3 samples actions
        torch.manual_seed(seed)
        for name, make in players.items():
            pair = [(envs[kind], make(envs[kind].num_envs)) for kind in ("dream", "real")]
            dream, real = (play_game(*one, evaluator, steps, seed, depths) for one in pair)
            if all(isinstance(one, EquivalentKeyAgent) and not one.met for _, one in pair):
                why = "its player met no state in which two keys do the same"
                unmet[name] = {"omitted": why}
            else:
                plays[name] = (dream, real)
    return plays, unmet


def _cut(
    plays: Plays,
    envs: dict[str, VectorEnv],
    players: dict[str, MakePlayer],
    evaluator: Evaluator,
    options: GameOptions,
    spec: WorldSpec,
    seed: int,
) -> dict[str, Any]:
    """`trust.min_trust`: the best player's dreams again, cut where trust is low."""
    if "cut" not in envs:
        return {"omitted": "no games with min_trust were asked for (min_trust=0)"}
    env, best = envs["cut"], best_player(spec.world)
    cut = play_game(env, players[best](env.num_envs), evaluator, options.game_steps, seed)
    generator = np.random.default_rng(seed)
    whole, real = plays[best]
    figures = min_trust_figures(cut, whole, real, spec.max_episode_steps, generator)
    return {"threshold": options.min_trust, "policy": best, **figures}


def _measured(
    plays: Plays,
    envs: dict[str, VectorEnv],
    model: WorldModel,
    evaluator: Evaluator,
    evaluation: EvaluationOptions,
) -> Games:
    generator = np.random.default_rng(evaluation.seed)
    spec, names = model.spec, list(plays)

    def reconstruct(frames: np.ndarray) -> np.ndarray | None:
        again = model.reconstruct(torch.from_numpy(frames).to(device_of(model)))
        return None if again is None else again.cpu().numpy()

    best = best_player(spec.world)
    agents = [name for name in names if name.startswith(AGENT)]  # may last where the best wins
    extremes = {name: plays[name] for name in (names[0], *agents, best)}
    figures = {
        "game": {
            name: game_figures(dream, real, spec.max_episode_steps, generator)
            for name, (dream, real) in plays.items()
        },
        "hold": hold_figures(extremes, reconstruct, evaluation.kid_frames, generator),
        "loop_closure": _loops(envs, evaluator, spec.action_names, evaluation.seed),
    }
    return Games(figures, count_figures(plays, generator), {}, extremes)


def _loops(
    envs: dict[str, VectorEnv], evaluator: Evaluator, actions: tuple[str, ...], seed: int
) -> dict[str, Any]:
    if not evaluator.opposites:
        return {"omitted": "no actions of this world undo each other"}
    pairs = [(actions.index(one), actions.index(other)) for one, other in evaluator.opposites]
    return loop_figures(envs["dream"], envs["real"], pairs, evaluator, seed)


def _omitted(why: str) -> Games:
    figures = {name: {"omitted": why} for name in ("game", "hold", "loop_closure")}
    return Games(figures, {"omitted": why}, {"omitted": why}, {})


def write_strips(folder: Path, plays: Plays) -> list[Path]:
    """A PNG per policy: frames by depth, the dream above and the real game below."""
    paths = [write_hold_strip(folder / f"hold_{name}.png", *pair) for name, pair in plays.items()]
    return [path for path in paths if path is not None]
