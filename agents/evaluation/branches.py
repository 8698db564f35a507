"""The real game from one state on, played in several ways: what `decisions` are measured by.

N states, S players, T steps, K context frames. A real game is brought back to a state by its seed
and the actions that led there: nothing else in the games of this project is random.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.envs import make_vector_env
from collectors.policies.policies import MixturePolicy, Policy
from collectors.progress import progress
from world_models.evaluation.decisions import Choices
from world_models.protocols import Context

LANES, FEWEST = 64, 16  # games at a time, at most and at least: fewer where few states are wanted
SEED = 40_000_003  # of the first game: far from those that are recorded


class BranchOptions(NamedTuple):
    """How many states, and how far from them is played."""

    states: int = 128  # in which there is something to choose
    shortest: int = 8  # steps of a sequence
    longest: int = 32
    warm_up: int = 96  # steps until the last state that a game is stopped in
    attempts: int = 12  # times `states` games that are tried, at most


class _Games(NamedTuple):
    """B games as they were played until a step or their end."""

    frames: np.ndarray  # (B, T + 1, H, W, C) uint8
    actions: np.ndarray  # (B, T) int64
    rewards: np.ndarray  # (B, T) float64, 0 past the end
    lengths: np.ndarray  # (B,) int64, steps until the end


def find_choices(
    game: str,
    settings: Mapping[str, Any],
    players: Sequence[Policy],
    context_length: int,
    options: BranchOptions,
    seed: int = 0,
) -> tuple[Choices, int]:
    """(choices, number of states tried): N at most `options.states` with unequal returns.

    `game` is a "module:id", `players` play the S sequences of a state. A state is where a game of
    one of them is stopped, up to `longest` steps before something pays if anything does, for
    elsewhere there is often nothing to choose. Each state is of a game of its own.
    """
    generator, found, tried, kept = np.random.default_rng(seed), [], 0, 0
    lanes = min(max(options.states, FEWEST), LANES)
    env = make_vector_env(game, lanes, **settings)
    try:
        for attempt in progress(range(-(-options.attempts * options.states // lanes)), desc="real"):
            seeds = SEED + seed * 1_000_003 + attempt * lanes
            choices = _branches(env, players, seeds, context_length, options, generator)
            tried += len(choices.lengths)
            found.append(choices.take(np.flatnonzero(choices.matters)))
            kept += len(found[-1].lengths)
            if kept >= options.states:
                break
    finally:
        env.close()
    return _joined(found).take(np.arange(min(kept, options.states))), tried


def _branches(
    env: VectorEnv,
    players: Sequence[Policy],
    seed: int,
    context_length: int,
    options: BranchOptions,
    generator: np.random.Generator,
) -> Choices:
    """The choices in one state of each of the env's games."""
    anybody = MixturePolicy(list(players), [1.0] * len(players))
    past = _play(env, seed, anybody, None, options.warm_up + options.longest, generator)
    stops = _stops(past, options, generator)
    sequences = [
        _play(env, seed, player, (past.actions, stops), options.longest, generator)
        for player in players
    ]
    lengths = generator.integers(options.shortest, options.longest + 1, len(stops))
    counted = np.arange(options.longest) < lengths[:, None]  # (B, T)
    returns = np.stack([(game.rewards * counted).sum(1) for game in sequences], 1)
    actions = np.stack([game.actions for game in sequences], 1)
    return Choices(_context(past, stops, context_length), actions, lengths, returns)


def _stops(games: _Games, options: BranchOptions, generator: np.random.Generator) -> np.ndarray:
    """(B,) the step before which each game is stopped."""
    last = np.minimum(games.lengths, options.warm_up)
    stops = (generator.random(len(last)) * last).astype(np.int64)
    usual = np.median(games.rewards[np.arange(games.rewards.shape[1]) < games.lengths[:, None]])
    for lane in range(len(stops)):
        rewarded = np.flatnonzero(games.rewards[lane, : games.lengths[lane]] != usual)
        if len(rewarded):
            before = int(generator.integers(1, options.longest))
            stops[lane] = max(int(generator.choice(rewarded)) - before, 0)
    return stops


def _play(
    env: VectorEnv,
    seed: int,
    player: Policy,
    past: tuple[np.ndarray, np.ndarray] | None,
    steps: int,
    generator: np.random.Generator,
) -> _Games:
    """Every game of the env by `player` for so many steps, or until its end.

    `past`: (actions (B, T), stops (B,)), what is played before and then left out.
    """
    lanes, policy = env.num_envs, player.batch(env.num_envs)
    own = np.random.SeedSequence(int(generator.integers(2**63))).spawn(lanes)
    policy.reset(np.ones(lanes, bool), [np.random.default_rng(one) for one in own])
    actions, stops = past or (np.zeros((lanes, 0), np.int64), np.zeros(lanes, np.int64))
    frames, _ = env.reset(seed=seed)
    total, running = steps + int(stops.max()), np.ones(lanes, bool)
    shown, pressed, earned, lasted = [frames], [], [], np.zeros(lanes, np.int64)
    for step in range(total):
        action = policy(frames)
        replayed = step < stops
        if replayed.any():
            action = np.where(replayed, actions[:, min(step, actions.shape[1] - 1)], action)
        frames, rewards, terminations, truncations, infos = env.step(action)
        pressed.append(action)
        earned.append(rewards * running)
        lasted += running
        ended = terminations | truncations
        final = infos["final_obs"] if ended.any() else frames
        shown.append(np.where(running[:, None, None, None], final, shown[-1]))
        running &= ~ended
    rows = np.arange(lanes)[:, None]
    columns = stops[:, None] + np.arange(steps)
    return _Games(
        np.stack(shown, 1) if past is None else np.zeros((lanes, 0)),
        np.stack(pressed, 1)[rows, columns].astype(np.int64),
        np.stack(earned, 1)[rows, columns],
        lasted - stops,
    )


def _context(games: _Games, stops: np.ndarray, length: int) -> Context:
    """What a dream of each state starts from: the frames before the stop, see `Context`."""
    rows = np.arange(len(stops))[:, None]
    steps = stops[:, None] + np.arange(1 - length, 1)
    actions = games.actions[rows, np.maximum(steps[:, :-1], 0)]
    return Context(
        torch.from_numpy(games.frames[rows, np.maximum(steps, 0)]),
        torch.from_numpy(np.where(steps[:, :-1] >= 0, actions, 0)),
    )


def _joined(parts: Sequence[Choices]) -> Choices:
    """The states of all parts, in order."""
    context = Context(
        *(torch.cat(leaves) for leaves in zip(*(p.context for p in parts), strict=True))
    )
    columns = (np.concatenate(column) for column in zip(*(p[1:] for p in parts), strict=True))
    return Choices(context, *columns)
