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
        action = policy(observation)
        actions.append(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        frames.append(observation)
        outcomes.append((reward, terminated, truncated))
        ended = terminated or truncated
    rewards, terminations, truncations = zip(*outcomes, strict=True)
    return Episode(
        np.stack(frames),
        as_recorded(np.array(actions)),
        np.array(rewards, np.float32),
        np.array(terminations, bool),
        np.array(truncations, bool),
        seed,
        policy.name,
        split_key(info),
    )


def as_recorded(actions: np.ndarray) -> np.ndarray:
    """Actions (T,) or (T, P) as a dataset holds them, int64 or float32."""
    return actions.astype(np.float32 if actions.dtype.kind == "f" else np.int64)


def split_key(info: dict) -> str:
    """The key that an environment gives an episode in its reset's info, "" for none."""
    return str(info["split_key"]) if "split_key" in info else ""
