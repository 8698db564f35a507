"""Many episodes at once: one step of a vector environment moves all its lanes. B lanes."""

import copy
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from gymnasium.vector import VectorEnv

from collectors.policies import Generator, MixturePolicy, Policy
from collectors.rollout import Episode, policy_name


class BatchPolicy(Protocol):
    """Plays all lanes; a policy offers one by `batch(lanes)`. `names`, a name a lane, is optional."""

    def reset(self, lanes: np.ndarray, generators: list[Generator | None]) -> None:
        """Begins an episode in the lanes of the mask (B,) bool; `generators` has one for each of them, by lane."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """(B, H, W, C) uint8 -> (B,) int64."""


class LanePolicies:
    """A policy that knows single frames only, as one copy a lane."""

    def __init__(self, policy: Policy, lanes: int):
        self.copies = [copy.deepcopy(policy) for _ in range(lanes)]

    @property
    def names(self) -> list[str]:
        return [policy_name(policy) for policy in self.copies]

    def reset(self, lanes: np.ndarray, generators: list[Generator | None]) -> None:
        for lane in np.flatnonzero(lanes):
            self.copies[lane].reset(generators[lane])

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """The actions of all lanes, or of those of a mask (B,)."""
        chosen = range(len(self.copies)) if lanes is None else np.flatnonzero(lanes)
        return np.array([int(self.copies[lane](observations[lane])) for lane in chosen], np.int64)


class BatchMixture:
    """A `MixturePolicy` for B lanes: what it draws for an episode is what the single one draws."""

    def __init__(self, mixture: MixturePolicy, lanes: int):
        self.mixture, self.chosen = mixture, np.zeros(lanes, int)
        self.parts = [as_batch(policy, lanes) for policy in mixture.policies]
        for part in self.parts:
            if not isinstance(part, LanePolicies):  # it will be asked for all lanes, also for those of others
                part.reset(np.ones(lanes, bool), [np.random.default_rng(0) for _ in range(lanes)])

    @property
    def names(self) -> list[str]:
        found = [_names(part, policy, len(self.chosen)) for part, policy in self._pairs()]
        return [found[part][lane] for lane, part in enumerate(self.chosen)]

    def reset(self, lanes: np.ndarray, generators: list[Generator | None]) -> None:
        for lane in np.flatnonzero(lanes):
            self.chosen[lane] = generators[lane].choice(len(self.parts), p=self.mixture.weights)
        for number, part in enumerate(self.parts):
            own = lanes & (self.chosen == number)
            if own.any():
                part.reset(own, generators)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        actions = np.zeros(len(self.chosen), np.int64)
        for number in np.unique(self.chosen):
            own, part = self.chosen == number, self.parts[number]
            actions[own] = part(observations, own) if isinstance(part, LanePolicies) else part(observations)[own]
        return actions

    def _pairs(self):
        return zip(self.parts, self.mixture.policies, strict=True)


def as_batch(policy: Policy, lanes: int) -> BatchPolicy:
    """The policy for many lanes: its own batched form, a mixture's parts batched, or a copy a lane."""
    if hasattr(policy, "batch"):
        return policy.batch(lanes)
    return BatchMixture(policy, lanes) if isinstance(policy, MixturePolicy) else LanePolicies(policy, lanes)


def _names(batch: BatchPolicy, policy: Policy, lanes: int) -> list[str]:
    return list(getattr(batch, "names", None) or [policy_name(policy)] * lanes)


class _Moment(NamedTuple):
    """What one step of all lanes gave."""

    actions: np.ndarray  # (B,)
    frames: np.ndarray  # (B, H, W, C), after the actions
    rewards: np.ndarray  # (B,)
    terminations: np.ndarray  # (B,)
    truncations: np.ndarray  # (B,)


class _Start(NamedTuple):
    """The beginning of the episode in a lane."""

    number: int
    seed: int
    moment: int  # the number of its first moment
    frame: np.ndarray
    policy: str
    key: str


class LanePlayer:
    """Plays episodes number 0, 1, ... in the lanes of a vector environment with autoreset DISABLED.

    A lane that is done takes the next number; the number decides an episode's seed and so all that is in it. Which
    lane plays it and what happens in the others changes nothing.
    """

    def __init__(self, env: VectorEnv, policy: Policy, seed_of: Callable[[int], int]):
        self.env, self.policy, self.seed_of = env, policy, seed_of
        self.batch = as_batch(policy, env.num_envs)
        self.starts: list[_Start | None] = [None] * env.num_envs
        self.moments: list[_Moment] = []  # the first is number `forgotten`
        self.forgotten, self.begun = 0, 0
        self.finished: dict[int, Episode] = {}

    def play(self, quota: int) -> list[Episode]:
        """The first episodes that together have `quota` steps, as playing them one by one would give them."""
        episodes, steps, done = [], 0, np.ones(self.env.num_envs, bool)
        while True:
            if done.any():
                self._start(done)
            done = self._step()
            while len(episodes) in self.finished:
                episodes.append(self.finished.pop(len(episodes)))
                steps += len(episodes[-1])
                if steps >= quota:
                    return episodes

    def _start(self, lanes: np.ndarray) -> None:
        count = self.env.num_envs
        numbers = {int(lane): self.begun + place for place, lane in enumerate(np.flatnonzero(lanes))}
        self.begun += len(numbers)
        seeds = {lane: self.seed_of(number) for lane, number in numbers.items()}
        frames, infos = self.env.reset(seed=[seeds.get(i) for i in range(count)], options={"reset_mask": lanes})
        self.frames = np.array(frames)
        self.batch.reset(lanes, [np.random.default_rng([seeds[i], 1]) if i in seeds else None for i in range(count)])
        names, keys, now = _names(self.batch, self.policy, count), infos.get("split_key"), self._now()
        for lane, number in numbers.items():
            key = "" if keys is None else str(keys[lane])
            self.starts[lane] = _Start(number, seeds[lane], now, self.frames[lane], names[lane], key)

    def _step(self) -> np.ndarray:
        """One step of all lanes; which of them (B,) bool are done."""
        actions = self.batch(self.frames)
        frames, rewards, terminations, truncations, _ = self.env.step(actions)
        self.frames = np.array(frames)
        self.moments.append(_Moment(actions, self.frames, rewards, terminations, truncations))
        done = np.asarray(terminations) | np.asarray(truncations)
        for lane in np.flatnonzero(done):
            self.finished[self.starts[lane].number] = self._episode(lane)
        if done.any():
            begun = (
                min(start.moment for lane, start in enumerate(self.starts) if not done[lane])
                if not done.all()
                else self._now()
            )
            del self.moments[: begun - self.forgotten]
            self.forgotten = begun
        return done

    def _now(self) -> int:
        return self.forgotten + len(self.moments)

    def _episode(self, lane: int) -> Episode:
        start = self.starts[lane]
        moments = self.moments[start.moment - self.forgotten :]
        columns = zip(
            *((m.actions[lane], m.rewards[lane], m.terminations[lane], m.truncations[lane]) for m in moments),
            strict=True,
        )
        kinds = (np.int64, np.float32, bool, bool)
        arrays = [np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        frames = np.stack([start.frame, *(moment.frames[lane] for moment in moments)])
        return Episode(frames, *arrays, start.seed, start.policy, start.key)
