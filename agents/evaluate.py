"""Play episodes with an agent, several lanes at once, and summarise them with intervals.

Each lane plays a fixed number of episodes. Taking the first so many that finish would favour the short ones.
N lanes, E episodes.
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm

from .worlds import make_vector_env

RESAMPLES = 10_000
MAX_LANES = 64


class Episodes(NamedTuple):
    """What was counted, one element an episode; apples are the steps with a positive reward."""

    returns: np.ndarray  # (E,) float64
    apples: np.ndarray  # (E,) int64
    lengths: np.ndarray  # (E,) int64, steps

    def as_dict(self) -> dict[str, list]:
        return {name: values.tolist() for name, values in self._asdict().items()}

    @classmethod
    def from_dict(cls, values: dict[str, list]) -> "Episodes":
        return cls(*(np.asarray(values[name]) for name in cls._fields))


@dataclass(frozen=True)
class Evaluation:
    """Means over the episodes, with 95 % bootstrap intervals."""

    return_mean: float
    return_ci: tuple[float, float]
    apples_mean: float
    apples_ci: tuple[float, float]
    length_mean: float
    episodes: int

    def as_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


class Agent(Protocol):
    """Plays all lanes of a vector env."""

    def reset(self, lanes: np.ndarray) -> None:
        """Forget the episodes of `lanes`, a (N,) bool mask."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return (N,) actions for (N, H, W, C) observations."""


class ModelAgent:
    """A stable-baselines3 model; it samples its actions as it does in training, unless `deterministic`."""

    def __init__(self, model: BaseAlgorithm, deterministic: bool = False):
        self._model, self._deterministic = model, deterministic

    def reset(self, lanes: np.ndarray) -> None:
        pass

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return self._model.predict(observations, deterministic=self._deterministic)[0]


class PolicyAgent:
    """One copy a lane of a `collectors` policy, each with a random stream of its own."""

    def __init__(self, policy, num_envs: int, seed: int):
        self._policies = [copy.deepcopy(policy) for _ in range(num_envs)]
        self._generators = [np.random.default_rng([seed, lane]) for lane in range(num_envs)]

    def reset(self, lanes: np.ndarray) -> None:
        for lane in np.flatnonzero(lanes):
            self._policies[lane].reset(self._generators[lane])

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return np.array([int(policy(frame)) for policy, frame in zip(self._policies, observations, strict=True)])


def make_agent(policy, num_envs: int, seed: int, deterministic: bool = False) -> Agent:
    """Make an agent from a stable-baselines3 model or from a `collectors` policy."""
    if isinstance(policy, BaseAlgorithm):
        return ModelAgent(policy, deterministic)
    return PolicyAgent(policy, num_envs, seed)


def play_episodes(env: VectorEnv, agent: Agent, episodes: int, seed: int, horizon: int | None = None) -> Episodes:
    """Play exactly ceil(episodes / N) episodes in each of the N lanes of a SAME_STEP env.

    With a `horizon`, an episode is counted after that many steps as if it had ended there.
    """
    quota = np.full(env.num_envs, -(-episodes // env.num_envs))
    limit = np.inf if horizon is None else horizon
    returns, apples, lengths = (np.zeros(env.num_envs, dtype=kind) for kind in (float, int, int))
    rows: list[tuple[float, int, int]] = []
    observations, _ = env.reset(seed=seed)
    agent.reset(np.ones(env.num_envs, dtype=bool))
    while quota.any():
        observations, rewards, terminations, truncations, _ = env.step(agent(observations))
        done = terminations | truncations
        running = lengths < limit
        returns += rewards * running
        apples += (rewards > 0) & running
        lengths += running
        for lane in np.flatnonzero(running & (done | (lengths >= limit)) & (quota > 0)):
            rows.append((returns[lane], apples[lane], lengths[lane]))
            quota[lane] -= 1
        returns[done], apples[done], lengths[done] = 0, 0, 0
        agent.reset(done)
    return Episodes(*(np.array(column) for column in zip(*rows, strict=True)))


def bootstrap(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the means of RESAMPLES samples with replacement of (E,) values."""
    picks = generator.integers(len(values), size=(RESAMPLES, len(values)))
    return values[picks].mean(axis=1)


def interval(means: np.ndarray) -> tuple[float, float]:
    """Return the central 95 % of a sample."""
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def summarise(episodes: Episodes, seed: int = 0) -> Evaluation:
    """Return means and intervals; the same episodes and seed give the same intervals."""
    generator = np.random.default_rng(seed)
    return Evaluation(
        return_mean=float(episodes.returns.mean()),
        return_ci=interval(bootstrap(episodes.returns, generator)),
        apples_mean=float(episodes.apples.mean()),
        apples_ci=interval(bootstrap(episodes.apples, generator)),
        length_mean=float(episodes.lengths.mean()),
        episodes=len(episodes.returns),
    )


def play_policy(policy, env_id: str, episodes: int, seed: int, horizon: int | None = None, **settings) -> Episodes:
    """Play at least `episodes` episodes of "module:id" with a model or policy; `settings` go to the env's constructor.

    See `play_episodes`. The global torch generator, from which stable-baselines3 samples actions, is seeded for
    the play and restored afterwards.
    """
    lanes = min(episodes, MAX_LANES)
    env = make_vector_env(env_id, lanes, **settings)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return play_episodes(env, make_agent(policy, lanes, seed), episodes, seed, horizon)
    finally:
        env.close()


def evaluate_policy(policy, env_id: str, episodes: int, seed: int, **settings) -> Evaluation:
    """Return how well a stable-baselines3 model or a `collectors` policy plays "module:id"."""
    return summarise(play_policy(policy, env_id, episodes, seed, **settings), seed)
