"""Strips by depth: the same steps of a dream and of the game, so that one sees what a dream keeps.

L lanes, H x W pixels, uint8 RGB. Both begin with the same frames of the game. Dreams go on for as
long as their game is not over, without the game's limit of steps; of a few the longest is shown.
The real game begins anew where it is over.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from agents.envs import bundle_spec, env_id, env_settings, make_vector_env, policy_actions
from agents.evaluation.play import Agent, make_agent
from agents.evaluation.safe_horizon import context_of_games
from collectors.media import label, to_rgb, write_strip
from collectors.policies.policies import make_policy
from collectors.progress import progress
from collectors.worlds.table import WORLDS
from neural_envs.bundles import load
from world_models.evaluation.worlds.table import policies_of

DEPTHS = (1, 10, 32, 100, 500, 1_000)
LANES = 8
SIDE = 128  # pixels of a frame in an image


class Strip(NamedTuple):
    """Frames (H, W, 3) by depth; None where every dream was over before."""

    depths: Sequence[int]
    dream: list[np.ndarray | None]
    real: list[np.ndarray | None] | None  # None: the real game is not installed
    policy: str
    longest: int  # steps of the dream


def strip_path(bundle: str) -> str:
    """Where the strip of a bundle lies, beside docs/results.md."""
    return f"strips/{bundle}.png"


def depth_strip(
    bundle: str,
    depths: Sequence[int] = DEPTHS,
    lanes: int = LANES,
    seed: int = 0,
    named: str = "",
    options: Sequence[str] = (),
) -> Strip:
    """Play a dream and its game to the last of `depths`.

    The policy is the world's good one, or random play where dreams last longer under that. A game
    without a row is played where it is `named` by its id, with its own `options`.
    """
    world = bundle_spec(bundle)["world"]
    knows = world in WORLDS or named == world  # no game is imported because a bundle names it
    real = _real_game(bundle, options, lanes) if knows else None
    policies, best = reversed(policies_of(world)), None
    try:
        for name in policies:
            found = _pair(bundle, real, name, depths, lanes, seed)
            best = found if best is None or found.longest > best.longest else best
            if best.longest >= depths[-1]:
                break
    finally:
        if real is not None:
            real.close()
    assert best is not None  # every world has a policy
    return best


def _real_game(bundle: str, options: Sequence[str], lanes: int) -> VectorEnv | None:
    """The real game of a bundle; None where it is not installed."""
    world = bundle_spec(bundle)["world"]
    try:
        settings = env_settings(world, "real", bundle, options)
        return make_vector_env(env_id(world, "real", bundle), lanes, **settings)
    except (ImportError, ValueError, gymnasium.error.Error):
        return None


def _pair(
    bundle: str, real: VectorEnv | None, name: str, depths: Sequence[int], lanes: int, seed: int
) -> Strip:
    """A dream and its game from the same start, by the same player: the lane whose dream lasts
    longest. Where there is no game the dream begins as its resets do.
    """
    world = bundle_spec(bundle)["world"]
    settings = env_settings(world, "dream", bundle) | {"max_episode_steps": -1}
    dream = make_vector_env(env_id(world, "dream", bundle), lanes, **settings)
    policy = make_policy(name, policy_actions(dream.single_action_space), world=WORLDS.get(world))
    players = [make_agent(policy, lanes, seed) for _ in range(2)]
    shown, running, start = None, np.ones(lanes, bool), None
    try:
        if real is not None:
            before = load(bundle).model.context_length - 1
            shown, actions, running = context_of_games(real, players, before, seed)
            start = {"context": {"frames": shown, "actions": actions}}
        frames, _ = dream.reset(seed=seed, options=start)
        if real is None:
            players[0].reset(running)
        lasted, kept = _played(dream, players[0], frames, depths, running)
    finally:
        dream.close()
    lane = int(lasted.argmax())
    longest = int(lasted[lane])
    dreamed = [kept[step][lane] if step <= longest else None for step in depths]
    if real is None or shown is None:
        return Strip(depths, dreamed, None, name, longest)
    going = np.ones(lanes, bool)
    _, games = _played(real, players[1], shown[:, -1], depths, going, anew=True)
    return Strip(depths, dreamed, [games[step][lane] for step in depths], name, longest)


def _played(
    env: VectorEnv,
    agent: Agent,
    frames: np.ndarray,
    depths: Sequence[int],
    running: np.ndarray,
    anew: bool = False,
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Steps (L,) of the lanes that are `running` (L,), and frames (L, H, W, 3) by depth, from
    frames (L, ...) on; a game that is over goes on with the next one if `anew`.
    """
    lasted, running, kept = np.zeros(len(running), int), running.copy(), {}
    for step in progress(range(1, depths[-1] + 1), desc=f"to step {depths[-1]}"):
        frames, _, terminations, truncations, _ = env.step(agent(frames))
        over = terminations | truncations
        running &= anew | ~over
        if not running.any():
            break
        lasted[running] = step
        agent.reset(over)
        if step in depths:
            kept[step] = to_rgb(frames).copy()
    return lasted, kept


def write_depths(path: str | Path, strip: Strip) -> Path:
    """Write a strip as PNG: the dream above the game, the depth above the columns."""
    shown = [frame for frame in (*strip.dream, *(strip.real or ())) if frame is not None]
    first = shown[0] if shown else np.zeros((SIDE, SIDE, 3), np.uint8)  # all is over at once
    blank = label("over", *first.shape[:2])
    rows = [row for row in (strip.dream, strip.real) if row is not None]
    filled = [[blank if frame is None else frame for frame in row] for row in rows]
    heads = [f"step {depth}" for depth in strip.depths]
    scale = max(1, round(SIDE / max(first.shape[:2])))
    return write_strip(path, filled, scale, labels=["dream", "game"][: len(rows)], heads=heads)
