"""The dream and the real game from the same start states: returns by horizon, and how long a dream
may be until they disagree.

N lanes, T horizons, K frames of context.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.envs import (
    NOTHING,
    bundle_spec,
    env_id,
    env_settings,
    find_twins,
    make_vector_env,
)
from agents.evaluation.play import Agent, bootstrap, interval, make_agent
from collectors.action_space import ActionSpace
from neural_envs import bundles

HORIZONS = (8, 16, 32, 64, 128, 256, 512, 1000)
TOLERANCE = 0.2  # share of the larger return by which the two may differ


class HorizonReturns(NamedTuple):
    """What was earned within so many steps of the same N start states."""

    horizons: np.ndarray  # (T,) int64, steps
    dream: np.ndarray  # (N, T) float64
    real: np.ndarray  # (N, T) float64
    dream_steps: np.ndarray  # (N,) int64, until the end or the last horizon
    real_steps: np.ndarray  # (N,) int64

    def as_dict(self) -> dict[str, list]:
        """The columns as lists, for JSON."""
        return {name: values.tolist() for name, values in self._asdict().items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, list]) -> "HorizonReturns":
        """Inverse of `as_dict`. Raises KeyError, TypeError or ValueError for what it cannot be."""
        found = cls(*(np.asarray(values[name]) for name in cls._fields))
        lanes, shape = (len(found.dream),), (len(found.dream), len(found.horizons))
        right = found.dream.shape == found.real.shape == shape
        if not (right and found.dream_steps.shape == found.real_steps.shape == lanes != (0,)):
            raise ValueError("returns by horizon are (N, T) numbers")
        return found

    @classmethod
    def joined(cls, parts: "Sequence[HorizonReturns]") -> "HorizonReturns":
        """The start states of all parts, which have the same horizons."""
        columns = [np.concatenate(column) for column in list(zip(*parts, strict=True))[1:]]
        return cls(parts[0].horizons, *columns)

    def reached(self) -> int:
        """How many horizons some game, dreamed or real, has reached: longer ones say nothing."""
        longest = max(self.dream_steps.max(), self.real_steps.max())
        return int((self.horizons < longest).sum()) + 1


def play_same_starts(
    policy: Any,
    name: str,
    bundle: str | None,
    lanes: int,
    seed: int,
    real_settings: Mapping[str, Any],
    dreamed: Mapping[str, Any] = NOTHING,
) -> HorizonReturns:
    """Play a world's real game and its dream with a policy from the same states.

    The states are those of the real games seed, seed + 1, ... at the step at which the dream's
    model has its whole context. Dreams are whole ones: nothing but the game's limit cuts them.
    `real_settings` and `dreamed` are the games' settings, beyond the bundle.
    """
    model = bundle or find_twins(name).bundle
    warm_up, limit = bundles.load(model).model.context_length - 1, _limit(model)
    real = make_vector_env(env_id(name, "real", bundle), lanes, **real_settings)
    try:
        # the dream begins where the real game has done its first steps: both end together
        settings = env_settings(name, "dream", bundle, dreamed=dreamed)
        settings |= {"max_episode_steps": limit - warm_up}
        dream = make_vector_env(env_id(name, "dream", bundle), lanes, **settings)
        try:
            horizons = sorted({min(steps, limit) for steps in HORIZONS})
            return returns_from_same_starts(policy, real, dream, warm_up, horizons, seed)
        finally:
            dream.close()
    finally:
        real.close()


def _limit(bundle: str) -> int:
    return int(bundle_spec(bundle)["max_episode_steps"])


def returns_from_same_starts(
    policy: Any, real: VectorEnv, dream: VectorEnv, warm_up: int, horizons: Sequence[int], seed: int
) -> HorizonReturns:
    """Play `warm_up` steps of the real game, then as many as the last horizon of both games.

    Both draw the same random numbers for their actions, so a dream that is the game earns the same.
    Games that end in the warm-up are left out. Raises ValueError where all do.
    """
    space = real.single_action_space
    agents = [make_agent(policy, real.num_envs, seed, space=space) for _ in range(2)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        frames, actions, running = context_of_games(real, agents, warm_up, seed)
        if not running.any():
            raise ValueError("every game ended within the dream's context; play longer games")
        torch.manual_seed(seed + 1)
        earned, lasted = _returns(real, agents[0], frames[:, -1], horizons)
        context = {"frames": frames, "actions": actions}
        start, _ = dream.reset(seed=seed, options={"context": context})
        torch.manual_seed(seed + 1)
        dreamed, dreamed_steps = _returns(dream, agents[1], start, horizons)
    columns = (dreamed, earned, dreamed_steps, lasted)
    return HorizonReturns(np.asarray(horizons), *(column[running] for column in columns))


def context_of_games(
    real: VectorEnv, agents: Sequence[Agent], steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(frames (N, K, H, W, C), actions (N, K - 1, *row), lanes whose game still runs (N,)).

    The first agent plays, and all see what it sees.
    """
    frames, _ = real.reset(seed=seed)
    running = np.ones(real.num_envs, bool)
    for agent in agents:
        agent.reset(running)
    space = ActionSpace.from_gymnasium(real.single_action_space)
    shown, taken = [frames], [np.zeros((real.num_envs, 0, *space.row), space.dtype)]
    for _ in range(steps):
        actions = [agent(frames) for agent in agents][0]
        frames, _, terminations, truncations, _ = real.step(actions)
        running = running & ~(terminations | truncations)
        shown.append(frames)
        taken.append(np.asarray(actions, space.dtype)[:, None])
    return np.stack(shown, 1), np.concatenate(taken, 1), running


def _returns(
    env: VectorEnv, agent: Agent, frames: np.ndarray, horizons: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, T) what each lane's game has earned by each horizon or its end, and its steps (N,)."""
    earned, running = np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    lasted = np.zeros(env.num_envs, np.int64)
    found = np.zeros((env.num_envs, len(horizons)))
    for step in range(horizons[-1]):
        if running.any():
            frames, rewards, terminations, truncations, _ = env.step(agent(frames))
            earned += rewards * running
            lasted += running
            done = terminations | truncations
            running &= ~done
            agent.reset(done)
        for column in np.flatnonzero(np.asarray(horizons) == step + 1):
            found[:, column] = earned
    return found, lasted


def agree(dreamed: float, real: float) -> bool:
    """Whether two returns differ by at most a fifth of the larger: a ratio of 0.8 to 1.25."""
    return abs(dreamed - real) <= TOLERANCE * max(abs(dreamed), abs(real)) + 1e-9


def safe_horizon(returns: HorizonReturns) -> int | None:
    """The longest horizon at which the mean returns agree, and at no shorter one they disagree.

    A difference whose 95 % interval over the games holds zero is no disagreement, and no agreement
    either. A horizon at which nobody has earned anything yet, or before which all games have ended,
    says nothing. None where there is no horizon at which they agree.
    """
    safe, generator = None, np.random.default_rng(0)
    for column, steps in enumerate(returns.horizons[: returns.reached()]):
        dreamed, real = returns.dream[:, column], returns.real[:, column]
        if not dreamed.any() and not real.any():
            continue
        if agree(float(dreamed.mean()), float(real.mean())):
            safe = int(steps)
            continue
        low, high = interval(bootstrap(dreamed - real, generator))
        if low > 0 or high < 0:
            break
    return safe
