"""Play episodes with an agent, several lanes at once, and summarise them with intervals.

Each lane plays a fixed number of episodes. Taking the first so many that finish would favor the
short ones. N lanes, E episodes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from gymnasium import Space
from gymnasium.vector import VectorEnv

from agents.envs import make_vector_env
from collectors.action_space import ActionSpace
from collectors.policies.policies import Policy
from collectors.progress import progress

if TYPE_CHECKING:  # scripted policies play without it
    from stable_baselines3.common.base_class import BaseAlgorithm

RESAMPLES = 10_000
MAX_LANES = 64
FIRST_GAME, MOST_GAMES = 1_000_000, 10_000  # seed of the first measured game; games per run


class Episodes(NamedTuple):
    """One element per episode; events are steps with a positive reward (Snake's apples)."""

    returns: np.ndarray  # (E,) float64
    events: np.ndarray  # (E,) int64
    lengths: np.ndarray  # (E,) int64, steps

    def as_dict(self) -> dict[str, list]:
        """The columns as lists, for JSON."""
        return {name: values.tolist() for name, values in self._asdict().items()}

    @classmethod
    def from_dict(cls, values: dict[str, list]) -> Episodes:
        """Inverse of `as_dict`."""
        return cls(*(np.asarray(values[name]) for name in cls._fields))

    @classmethod
    def check_dict(cls, values: dict[str, list]) -> None:
        """Raise KeyError, TypeError or ValueError for what `as_dict` cannot have given."""
        columns = [np.asarray(values[name], float) for name in cls._fields]
        if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
            raise ValueError("episodes are columns of one length")
        if not (len(columns[0]) and all(np.isfinite(column).all() for column in columns)):
            raise ValueError("episodes are finite numbers")

    @classmethod
    def joined(cls, parts: list[Episodes]) -> Episodes:
        """The episodes of all parts."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def first(self, count: int) -> Episodes:
        """The first `count` episodes."""
        return Episodes(*(column[:count] for column in self))


@dataclass(frozen=True)
class Evaluation:
    """Means over the episodes, with 95 % bootstrap intervals."""

    return_mean: float
    return_ci: tuple[float, float]
    events_mean: float
    events_ci: tuple[float, float]
    length_mean: float
    episodes: int

    def as_dict(self, event: str = "events") -> dict[str, Any]:
        """The fields for JSON; `event` is the world's word, as "apples" in "apples_mean"."""
        rows = {key.replace("events", event): value for key, value in asdict(self).items()}
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in rows.items()
        }


class Agent(Protocol):
    """Plays all lanes of a vector env."""

    def reset(self, lanes: np.ndarray) -> None:
        """Forget the episodes of `lanes`, a (N,) bool mask."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """(N,) actions for (N, H, W, C) observations."""
        ...


class FrameStack:
    """The last frames of every lane, for a model that was trained on several at once.

    Before an episode's first frame they are zeros. `space` is the model's observation space; for a
    model of one frame, frames are passed on as they are. Raises ValueError for a space that is not
    of arrays.
    """

    def __init__(self, space: Space):
        if space.shape is None:
            raise ValueError(f"a policy that plays needs observations of one shape, not {space}")
        self._size = int(np.prod(space.shape))
        self._frames: np.ndarray | None = None  # (N, H, W, C * frames) uint8

    def reset(self, lanes: np.ndarray) -> None:
        """Forget the episodes of `lanes`, a (N,) bool mask."""
        if self._frames is not None:
            self._frames[lanes] = 0

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, H, W, C * frames), the newest last."""
        channels, count = frames.shape[-1], self._size // int(np.prod(frames.shape[1:]))
        if count == 1:
            return frames
        if self._frames is None:
            self._frames = np.zeros((*frames.shape[:-1], channels * count), frames.dtype)
        self._frames = np.concatenate([self._frames[..., channels:], frames], axis=-1)
        return self._frames


class ModelAgent:
    """A stable-baselines3 model; it samples actions as in training, unless `deterministic`.

    `actions` is the game's space; None: they are encoded as they are.
    """

    def __init__(
        self, model: BaseAlgorithm, deterministic: bool = False, actions: ActionSpace | None = None
    ):
        self._model, self._deterministic, self._actions = model, deterministic, actions
        self._stack = FrameStack(model.observation_space)

    def reset(self, lanes: np.ndarray) -> None:
        self._stack.reset(lanes)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        stacked = self._stack(observations)
        encoded = self._model.predict(stacked, deterministic=self._deterministic)[0]
        return encoded if self._actions is None else self._actions.decode(encoded)


class PolicyAgent:
    """A `collectors` policy in all lanes at once, each with a random stream of its own."""

    def __init__(self, policy: Policy, num_envs: int, seed: int):
        self._players = policy.batch(num_envs)
        self._generators = [np.random.default_rng([seed, lane]) for lane in range(num_envs)]

    def reset(self, lanes: np.ndarray) -> None:
        if lanes.any():
            self._players.reset(lanes, self._generators)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return self._players(observations)


def make_agent(
    policy: Policy | BaseAlgorithm,
    num_envs: int,
    seed: int,
    deterministic: bool = False,
    space: Space | None = None,
) -> Agent:
    """Make an agent from a stable-baselines3 model or from a `collectors` policy. `space` is that
    of the actions of one lane; None: they count from 0.
    """
    if isinstance(policy, Policy):
        return PolicyAgent(policy, num_envs, seed)
    actions = None if space is None else ActionSpace.from_gymnasium(space)
    return ModelAgent(policy, deterministic, actions)


def play_episodes(
    env: VectorEnv, agent: Agent, episodes: int, seed: int, horizon: int | None = None
) -> Episodes:
    """Play exactly ceil(episodes / N) episodes in each of the N lanes of a SAME_STEP env.

    The first episode of every lane comes first, in the order of the lanes, then the second ones.
    With a `horizon`, an episode is counted after that many steps as if it had ended there.
    """
    quota = np.full(env.num_envs, -(-episodes // env.num_envs))
    limit = np.inf if horizon is None else horizon
    returns, events, lengths = (np.zeros(env.num_envs, dtype=kind) for kind in (float, int, int))
    rows: list[tuple[float, ...]] = []
    observations, _ = env.reset(seed=seed)
    agent.reset(np.ones(env.num_envs, dtype=bool))
    bar = progress(total=int(quota.sum()), desc="games", unit="game")
    while quota.any():
        observations, rewards, terminations, truncations, _ = env.step(agent(observations))
        done = terminations | truncations
        running = lengths < limit
        returns += rewards * running
        events += (rewards > 0) & running
        lengths += running
        for lane in np.flatnonzero(running & (done | (lengths >= limit)) & (quota > 0)):
            rows.append((-quota[lane], int(lane), returns[lane], events[lane], lengths[lane]))
            quota[lane] -= 1
            bar.update()
        returns[done], events[done], lengths[done] = 0, 0, 0
        agent.reset(done)
    bar.close()
    return Episodes(*(np.array(column) for column in list(zip(*sorted(rows), strict=True))[2:]))


def bootstrap(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The means of RESAMPLES samples with replacement of (E,) values."""
    picks = generator.integers(len(values), size=(RESAMPLES, len(values)))
    return values[picks].mean(axis=1)


def interval(means: np.ndarray) -> tuple[float, float]:
    """The central 95 % of a sample."""
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def summarise(episodes: Episodes, seed: int = 0) -> Evaluation:
    """Means and intervals; the same episodes and seed give the same intervals."""
    generator = np.random.default_rng(seed)
    return Evaluation(
        return_mean=float(episodes.returns.mean()),
        return_ci=interval(bootstrap(episodes.returns, generator)),
        events_mean=float(episodes.events.mean()),
        events_ci=interval(bootstrap(episodes.events, generator)),
        length_mean=float(episodes.lengths.mean()),
        episodes=len(episodes.returns),
    )


def play_policy(
    policy: Policy | BaseAlgorithm,
    env_id: str,
    episodes: int,
    seed: int,
    horizon: int | None = None,
    **settings: Any,
) -> Episodes:
    """Play `episodes` episodes of "module:id" with a model or policy; see `play_episodes`.

    Episode i is that of reset(seed=seed + i), whoever plays: two policies that are given the same
    seed meet the same games, in the same order. `settings` go to the constructor of the
    environment. The global torch generator, from which stable-baselines3 samples actions, is seeded
    for the play and restored afterwards.
    """
    lanes = min(episodes, MAX_LANES)
    env = make_vector_env(env_id, lanes, **settings)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            agent = make_agent(policy, lanes, seed, space=env.single_action_space)
            starts = range(seed, seed + episodes, lanes)
            rounds = [play_episodes(env, agent, lanes, start, horizon) for start in starts]
            return Episodes.joined(rounds).first(episodes)
    finally:
        env.close()


def first_game(seed: int) -> int:
    """The seed of the first game on which the runs of a training seed are measured.

    Each training seed has MOST_GAMES games of its own, and training never meets one of them.
    """
    return FIRST_GAME + MOST_GAMES * seed


def evaluate_policy(
    policy: Policy | BaseAlgorithm, env_id: str, episodes: int, seed: int, **settings: Any
) -> Evaluation:
    """How well a stable-baselines3 model or a `collectors` policy plays "module:id"."""
    return summarise(play_policy(policy, env_id, episodes, seed, **settings), seed)
