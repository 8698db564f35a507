"""Many episodes at once: one step of a vector environment moves all its lanes. B lanes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from collectors.dataset.episode import Episode
from collectors.dataset.reward_values import add_rewards
from collectors.policies.policies import Policy
from collectors.recording.rollout import as_recorded


class _Moment(NamedTuple):
    """What one step of all lanes gave."""

    actions: np.ndarray  # (B,) or (B, P)
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
        self.rewards: set[float] = set()  # of all that were taken

    def take(self, number: int, episode: Episode) -> None:
        """Adds a finished episode; those past the quota are dropped:
        one by one they would not have been begun. Raises TooManyRewards as soon as they are.
        """
        add_rewards(self.rewards, episode.rewards)
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
    policy: str = ""
    key: str = ""


class LanePlayer:
    """Plays jobs in the lanes of a vector environment with autoreset DISABLED.

    A lane that is done takes the next episode of the first job that seems to need one more, so that
    lanes go on with the next job while the last episodes of one are played. Job and number decide
    an episode's seed and so all that is in it: which lane plays it, when, and what happens in the
    others changes nothing.
    """

    def __init__(self, env: VectorEnv, policy: Policy):
        self.env, self.batch = env, policy.batch(env.num_envs)
        self.starts: list[_Start | None] = [None] * env.num_envs
        # the frames of each lane's episode
        self.films: list[list[np.ndarray]] = [[] for _ in range(env.num_envs)]
        self.moments: list[_Moment] = []  # the first is number `forgotten`
        self.forgotten = 0
        self.mean_length, self.ended = 0.0, 0  # of the episodes so far, and how many they are

    def play(self, jobs: list[Job]) -> Iterator[Job]:
        """The jobs, each as soon as it is done; their episodes are those
        that playing one by one would give.
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
        chosen, count, now = np.flatnonzero(lanes).tolist(), self.env.num_envs, self._now()
        begun: dict[int, _Start] = {}
        for lane in chosen:
            job = self._next(waiting)
            begun[lane] = self.starts[lane] = _Start(job, job.begun, job.seed_of(job.begun), now)
            job.begun += 1
        seeds = [begun[lane].seed if lane in begun else None for lane in range(count)]
        # a seed per lane: more than Gymnasium's types allow
        reset: Any = self.env.reset
        self.frames, infos = reset(seed=seeds, options={"reset_mask": lanes})
        self.batch.reset(
            lanes, [None if seed is None else np.random.default_rng([seed, 1]) for seed in seeds]
        )
        names, keys = self.batch.names, infos.get("split_key")
        for lane, start in begun.items():
            key = "" if keys is None else str(keys[lane])
            self.starts[lane] = start._replace(policy=names[lane], key=key)
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
        for lane in np.flatnonzero(done).tolist():
            episode = self._finish(lane)
            self.ended += 1
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

    def _finish(self, lane: int) -> Episode:
        """The episode that ended in a lane, which its job takes."""
        start, self.starts[lane] = self.starts[lane], None
        assert start is not None, f"no episode was begun in lane {lane}"
        moments = self.moments[start.moment - self.forgotten :]
        actions, rewards, terminations, truncations = (
            np.array([column[lane] for column in columns]) for columns in zip(*moments, strict=True)
        )
        episode = Episode(
            np.stack(self.films[lane]),
            as_recorded(actions),
            rewards.astype(np.float32),
            terminations.astype(bool),
            truncations.astype(bool),
            start.seed,
            start.policy,
            start.key,
        )
        start.job.take(start.number, episode)
        return episode
