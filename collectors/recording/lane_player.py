"""Many episodes at once: one step of a vector environment moves all its lanes. B lanes."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from gymnasium.vector import VectorEnv

from collectors.policies.policies import Generator, MixturePolicy, Policy
from collectors.recording.rollout import Episode, policy_name


class BatchPolicy(Protocol):
    """Plays all lanes; a policy offers one by `batch(lanes)`.

    `names`, a name a lane, is optional.
    """

    def reset(self, lanes: np.ndarray, generators: list[Generator | None]) -> None:
        """Begins an episode in the lanes of the mask (B,) bool; `generators` has one for each of
        them, by lane.
        """

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
            if not isinstance(
                part, LanePolicies
            ):  # it will be asked for all lanes, also for those of others
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
            actions[own] = (
                part(observations, own)
                if isinstance(part, LanePolicies)
                else part(observations)[own]
            )
        return actions

    def _pairs(self):
        return zip(self.parts, self.mixture.policies, strict=True)


def as_batch(policy: Policy, lanes: int) -> BatchPolicy:
    """The policy for many lanes: its own batched form, a mixture's parts batched, or a copy a
    lane.
    """
    if hasattr(policy, "batch"):
        return policy.batch(lanes)
    return (
        BatchMixture(policy, lanes)
        if isinstance(policy, MixturePolicy)
        else LanePolicies(policy, lanes)
    )


def _names(batch: BatchPolicy, policy: Policy, lanes: int) -> list[str]:
    return list(getattr(batch, "names", None) or [policy_name(policy)] * lanes)


class _Moment(NamedTuple):
    """What one step of all lanes gave."""

    actions: np.ndarray  # (B,)
    rewards: np.ndarray  # (B,)
    terminations: np.ndarray  # (B,)
    truncations: np.ndarray  # (B,)


class Job:
    """A shard to be played: its first episodes that together have `quota` steps.

    `seed_of` a number is its seed.
    """

    def __init__(self, seed_of: Callable[[int], int], quota: int):
        self.seed_of, self.quota = seed_of, quota
        self.begun, self.finished_steps = 0, 0
        self.episodes: list[Episode] = []  # number 0, 1, ... without a gap
        self.ahead: dict[int, Episode] = {}
        self.steps = 0  # in `episodes`

    def take(self, number: int, episode: Episode) -> None:
        """Adds a finished episode; those past the quota are dropped: one by one they would not have
        been begun.
        """
        self.ahead[number] = episode
        self.finished_steps += len(episode)
        while not self.done and len(self.episodes) in self.ahead:
            self.episodes.append(self.ahead.pop(len(self.episodes)))
            self.steps += len(self.episodes[-1])

    @property
    def done(self) -> bool:
        """Whether its episodes fill the shard."""
        return self.steps >= self.quota


class _Start(NamedTuple):
    """The beginning of the episode in a lane."""

    job: Job
    number: int
    seed: int
    moment: int  # the number of its first moment
    policy: str
    key: str


class LanePlayer:
    """Plays jobs in the lanes of a vector environment with autoreset DISABLED.

    A lane that is done takes the next episode of the first job that seems to need one more, so that
    lanes go on with the next job while the last episodes of one are played. Job and number decide
    an episode's seed and so all that is in it: which lane plays it, when, and what happens in the
    others changes nothing.
    """

    def __init__(self, env: VectorEnv, policy: Policy):
        self.env, self.policy = env, policy
        self.batch = as_batch(policy, env.num_envs)
        self.starts: list[_Start | None] = [None] * env.num_envs
        self.films: list[list[np.ndarray]] = [
            [] for _ in range(env.num_envs)
        ]  # the frames of each lane's episode
        self.moments: list[_Moment] = []  # the first is number `forgotten`
        self.forgotten = 0
        self.mean_length, self.ended = 0.0, 0  # of the episodes so far, and how many they are

    def play(self, jobs: list[Job]) -> Iterator[Job]:
        """The jobs, each as soon as it is done; their episodes are those that playing one by one
        would give.
        """
        waiting, ended = list(jobs), np.ones(self.env.num_envs, bool)
        while waiting:
            if ended.any():
                self._start(ended, waiting)
            ended = self._step()
            yield from (job for job in waiting if job.done)
            waiting = [job for job in waiting if not job.done]

    def _next(self, waiting: list[Job]) -> Job:
        """The job that the next episode is for; the first where all seem to have enough."""
        for job in waiting:
            flying = [
                self._now() - start.moment
                for start in self.starts
                if start is not None and start.job is job
            ]
            if (
                job.finished_steps + sum(max(steps, self.mean_length) for steps in flying)
                < job.quota
            ):
                return job
        return waiting[0]

    def _start(self, lanes: np.ndarray, waiting: list[Job]) -> None:
        chosen, count, now = np.flatnonzero(lanes), self.env.num_envs, self._now()
        seeds: list[int | None] = [None] * count
        for lane in chosen:
            job = self._next(waiting)
            seeds[lane] = job.seed_of(job.begun)
            self.starts[lane] = _Start(job, job.begun, seeds[lane], now, "", "")
            job.begun += 1
        self.frames, infos = self.env.reset(seed=seeds, options={"reset_mask": lanes})
        self.batch.reset(
            lanes, [None if seed is None else np.random.default_rng([seed, 1]) for seed in seeds]
        )
        names, keys = _names(self.batch, self.policy, count), infos.get("split_key")
        for lane in chosen:
            key = "" if keys is None else str(keys[lane])
            self.starts[lane] = self.starts[lane]._replace(policy=names[lane], key=key)
            self.films[lane] = [self.frames[lane].copy()]

    def _step(self) -> np.ndarray:
        """One step of all lanes; which of them (B,) bool are done."""
        actions = self.batch(self.frames)
        self.frames, *outcome, _ = self.env.step(actions)
        moment = _Moment(*(np.array(column) for column in (actions, *outcome)))
        self.moments.append(moment)
        for film, frame in zip(self.films, self.frames, strict=True):
            film.append(frame.copy())
        done = moment.terminations | moment.truncations
        for lane in np.flatnonzero(done):
            start, episode = self.starts[lane], self._episode(lane)
            start.job.take(start.number, episode)
            self.starts[lane], self.ended = None, self.ended + 1
            self.mean_length += (len(episode) - self.mean_length) / self.ended
        if done.any():
            begun = min(
                (start.moment for start in self.starts if start is not None), default=self._now()
            )
            del self.moments[: begun - self.forgotten]
            self.forgotten = begun
        return done

    def _now(self) -> int:
        return self.forgotten + len(self.moments)

    def _episode(self, lane: int) -> Episode:
        start = self.starts[lane]
        moments = self.moments[start.moment - self.forgotten :]
        kinds = {
            "actions": np.int64,
            "rewards": np.float32,
            "terminations": bool,
            "truncations": bool,
        }
        arrays = [
            np.array([getattr(m, name)[lane] for m in moments], kind)
            for name, kind in kinds.items()
        ]
        return Episode(np.stack(self.films[lane]), *arrays, start.seed, start.policy, start.key)
