"""Playing one episode."""

import gymnasium
import numpy as np

from collectors.dataset.episode import Episode
from collectors.policies.policies import Policy


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
        policy.name,
        split_key(info),
    )


def split_key(info: dict) -> str:
    """The key that an environment gives an episode in its reset's info, "" for none."""
    return str(info["split_key"]) if "split_key" in info else ""
