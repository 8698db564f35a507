"""What a bundle shows without data: a dream that a policy plays, and one start under every action.

N actions, T steps, H x W pixels, uint8 RGB.
"""

from typing import NamedTuple

import numpy as np

from agents.envs import policy_actions
from agents.ppo.player import AgentPolicy
from collectors.media import to_rgb
from collectors.policies.policies import make_policy
from collectors.worlds.table import WORLDS
from neural_envs.action_keys import as_chosen, as_taken
from neural_envs.branching import Branches, branches, start_state
from neural_envs.env import NeuralEnv
from neural_envs.simulator import Simulator
from world_models.bundles.bundle import Bundle

TRIES = 6  # start seeds, half of them for a played dream, of which the longest is shown


class Play(NamedTuple):
    """One dream, played until it ends or the steps are over."""

    frames: np.ndarray  # (T + 1, H, W, 3)
    rewards: np.ndarray  # (T,)
    trust: np.ndarray  # (T,)
    ended: bool


def play(bundle: Bundle, policy_name: str, steps: int, seed: int) -> Play:
    """The longest of a few dreams of at most `steps` steps, played by the policy of that name."""
    env = NeuralEnv(bundle, max_episode_steps=-1)
    world = WORLDS.get(bundle.model.spec.world)
    actions = policy_actions(env.action_space)
    policy = make_policy(policy_name, actions, world, AgentPolicy)
    return max(
        (_played(env, policy, steps, seed + i) for i in range(TRIES // 2)),
        key=lambda found: len(found.frames),
    )


def _played(env: NeuralEnv, policy, steps: int, seed: int) -> Play:
    frame, _ = env.reset(seed=seed)
    policy.reset(np.random.default_rng(seed))
    frames, rewards, trust, ended = [to_rgb(frame)], [], [], False
    while len(rewards) < steps and not ended:
        action = as_taken(as_chosen(policy(frame)), env.action_space)
        frame, reward, ended, _, info = env.step(action)
        frames.append(to_rgb(frame))
        rewards.append(reward)
        trust.append(info["trust"])
    return Play(np.stack(frames), np.array(rewards), np.array(trust), ended)


def action_grid(bundle: Bundle, steps: int, seed: int) -> Branches:
    """A start of the bundle under every action; of a few, the one under which most dreams last."""
    simulator = Simulator(bundle, "cpu")
    found = (branches(simulator, start_state(simulator, seed + i), steps) for i in range(TRIES))
    return min(found, key=lambda grid: int(grid.terminated.sum()))
