"""One episode."""

from typing import NamedTuple

import gymnasium
import numpy as np

from collectors.policies.policies import Policy


class Episode(NamedTuple):
    """T actions and T + 1 frames: `actions[t]` was chosen on seeing `frames[t]`; `rewards[t]`,
    `terminations[t]` and `truncations[t]` came together with `frames[t + 1]`."""

    frames: np.ndarray  # (T + 1, H, W, C) uint8
    actions: np.ndarray  # (T,) int64
    rewards: np.ndarray  # (T,) float32
    terminations: np.ndarray  # (T,) bool
    truncations: np.ndarray  # (T,) bool
    seed: int
    policy_name: str
    key: str = ""  # what decides its split (a level, a region), "" where only the seed does

    def __len__(self) -> int:
        return len(self.actions)


def rollout(env: gymnasium.Env, policy: Policy, seed: int) -> Episode:
    """Plays one episode to its end.

    The seed decides everything: the game's chance and the policy's.
    """
    observation, info = env.reset(seed=seed)
    policy.reset(np.random.default_rng([seed, 1]))
    frames, actions, outcomes = [observation], [], []
    ended = False
    while not ended:
        actions.append(int(policy(observation)))
        observation, reward, terminated, truncated, _ = env.step(actions[-1])
        frames.append(observation)
        outcomes.append((reward, terminated, truncated))
        ended = terminated or truncated
    rewards, terminations, truncations = zip(*outcomes, strict=True)
    return Episode(
        np.stack(frames),
        np.array(actions, np.int64),
        np.array(rewards, np.float32),
        np.array(terminations, bool),
        np.array(truncations, bool),
        seed,
        policy_name(policy),
        split_key(info),
    )


def policy_name(policy) -> str:
    """What a dataset calls a policy: its name, or its type's."""
    return getattr(policy, "name", type(policy).__name__)


def split_key(info: dict) -> str:
    """The key that an environment gives an episode in its reset's info, "" for none."""
    return str(info["split_key"]) if "split_key" in info else ""
