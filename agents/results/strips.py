"""Strips by depth: the same steps of a dream and of the game, so that one sees what a dream keeps.

L lanes, H x W pixels, uint8 RGB. Dreams go on for as long as their game is not over, without the
game's limit of steps; of a few the longest is shown. The real game begins anew where it is over.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from agents.envs import bundle_spec, env_id, env_settings, make_vector_env, policy_actions
from agents.evaluation.play import make_agent
from collectors.media import to_rgb, write_strip
from collectors.policies.policies import make_policy
from collectors.progress import progress
from collectors.worlds.table import WORLDS
from world_models.evaluation.worlds.table import policies_of

DEPTHS = (1, 10, 32, 100, 500, 1_000)
LANES = 8
SIDE = 128  # pixels of a frame in an image
OVER = 26  # gray of a step that no dream reached


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
    identifier = env_id(world, "dream", bundle)
    settings = env_settings(world, "dream", bundle) | {"max_episode_steps": -1}
    dreams: dict[str, tuple[list[np.ndarray | None], int]] = {}
    for name in reversed(policies_of(world)):
        env = make_vector_env(identifier, lanes, **settings)
        dreams[name] = _played(env, world, name, depths, seed)
        if dreams[name][1] >= depths[-1]:
            break
    policy = max(dreams, key=lambda name: dreams[name][1])
    frames, longest = dreams[policy]
    knows = world in WORLDS or named == world  # no game is imported because a bundle names it
    real = _game(bundle, options, policy, depths, seed) if knows else None
    return Strip(depths, frames, real, policy, longest)


def _game(
    bundle: str, options: Sequence[str], policy: str, depths: Sequence[int], seed: int
) -> list[np.ndarray | None] | None:
    """The same of the real game, which begins anew where it is over; None where it is not
    installed.
    """
    world = bundle_spec(bundle)["world"]
    try:
        settings = env_settings(world, "real", bundle, options)
        env = make_vector_env(env_id(world, "real", bundle), 1, **settings)
    except (ImportError, ValueError, gymnasium.error.Error):
        return None
    return _played(env, world, policy, depths, seed, anew=True)[0]


def _played(
    env: VectorEnv, world: str, name: str, depths: Sequence[int], seed: int, anew: bool = False
) -> tuple[list[np.ndarray | None], int]:
    """The frames of the lane that lasts longest, and its steps; of the first one with `anew`."""
    actions = policy_actions(env.single_action_space)
    policy = make_policy(name, actions, world=WORLDS.get(world))
    agent, lanes = make_agent(policy, env.num_envs, seed), np.ones(env.num_envs, bool)
    lasted, running, kept = np.zeros(env.num_envs, int), lanes.copy(), {}
    try:
        frames, _ = env.reset(seed=seed)
        agent.reset(lanes)
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
    finally:
        env.close()
    lane = int(lasted.argmax())
    longest = int(lasted[lane])
    return [kept[step][lane] if step <= longest else None for step in depths], longest


def write_depths(path: str | Path, strip: Strip) -> Path:
    """Write a strip as PNG: the dream above the game, the depth above the columns."""
    first = next(frame for frame in strip.dream if frame is not None)
    blank = np.full_like(first, OVER)
    rows = [row for row in (strip.dream, strip.real) if row is not None]
    shown = [[blank if frame is None else frame for frame in row] for row in rows]
    heads = [f"step {depth}" for depth in strip.depths]
    scale = max(1, round(SIDE / max(first.shape[:2])))
    return write_strip(path, shown, scale, labels=["dream", "game"][: len(rows)], heads=heads)
