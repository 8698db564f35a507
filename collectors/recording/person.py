"""Games that a person plays, as a dataset: every step is kept, and what was played is written shard
by shard, so that little is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from collectors.dataset.dataset import (
    Dataset,
    DatasetError,
    DatasetWriter,
    write_shard,
)
from collectors.dataset.episode import Episode
from collectors.dataset.reward_values import MOST_REWARDS, TooManyRewards
from collectors.interchange.writing import header_of
from collectors.locks import holds_files
from collectors.recording.named_game import game_header
from collectors.recording.rollout import as_recorded, split_key

SHARD_STEPS = 2_000  # after which finished games are written
PLAYER = "person"  # what episodes name as their policy


class PersonRecorder:
    """One game after another in `env`, recorded into the directory `out`, which may hold games
    that were recorded so before. `frame` is what there is to be seen now, (H, W, C) uint8.

    `compress` as in `write_shard`. Raises DatasetError where `out` holds something else.
    """

    def __init__(self, env: gymnasium.Env, out: str | Path, seed: int = 0, compress: bool = False):
        self.env, self.out, self.seed, self.compress = env, Path(out), seed, compress
        header = {**game_header(env), "policy": PLAYER, "mixture": [[PLAYER, 1.0]], "seed": seed}
        before = _games_before(self.out, header)
        self._before = len(before.episodes) if before else 0
        self._header = header
        # None where the game says its rewards beforehand
        self._rewards: set[float] | None = None if header["spec"]["reward_values"] else set()
        if before and self._rewards is not None:
            self._rewards |= {*before.spec["reward_values"]}
        self._finished: list[Episode] = []
        self._outcomes: list[tuple[float, bool, bool]] = []
        self.games = self.steps = 0  # that were finished, and steps in all
        self.begin()

    def begin(self) -> None:
        """A new game; what was played of the one before is kept as a game that was stopped."""
        if self._outcomes:
            self._finish(stopped=True)
        self._number = self.seed + self._before + self.games
        self.frame, info = self.env.reset(seed=self._number)
        self._key, self.return_ = split_key(info), 0.0
        self._frames, self._actions = [np.array(self.frame)], []

    def step(self, action: Any) -> bool:
        """One step of the game; whether that ended it, after which `begin` is next. Raises
        TooManyRewards at the first one that no dataset can hold; `close` writes what was before.
        """
        self.frame, reward, terminated, truncated, _ = self.env.step(action)
        self._count_reward(float(np.float32(reward)))
        self._frames.append(np.array(self.frame))
        self._actions.append(action)
        self._outcomes.append((float(reward), bool(terminated), bool(truncated)))
        self.steps, self.return_ = self.steps + 1, self.return_ + float(reward)
        ended = bool(terminated or truncated)
        if ended:
            self._finish(stopped=False)
        return ended

    def close(self) -> Dataset | None:
        """Write what is not written yet; the dataset, None where nothing was ever played."""
        if self._outcomes:
            self._finish(stopped=True)
        self._write()
        return Dataset(self.out) if (self.out / "manifest.json").is_file() else None

    def _count_reward(self, reward: float) -> None:
        if self._rewards is None:
            return
        self._rewards.add(reward)
        if len(self._rewards) > MOST_REWARDS:
            raise TooManyRewards(len(self._rewards), "record")

    def _finish(self, stopped: bool) -> None:
        rewards, terminations, truncations = zip(*self._outcomes, strict=True)
        episode = Episode(
            np.stack(self._frames),
            as_recorded(np.array(self._actions)),
            np.array(rewards, np.float32),
            np.array(terminations, bool),
            np.array([*truncations[:-1], truncations[-1] or stopped], bool),
            self._number,
            PLAYER,
            self._key,
        )
        self._outcomes = []
        self._finished.append(episode)
        self.games += 1
        if sum(map(len, self._finished)) >= SHARD_STEPS:
            self._write()

    def _write(self) -> None:
        if not self._finished:
            return
        writer = DatasetWriter(self.out, self._header)
        index, quota = max(writer.shards, default=-1) + 1, sum(map(len, self._finished))
        writer.add(write_shard(self.out, index, quota, self._finished, self.compress))
        self._finished = []


def _games_before(out: Path, header: dict) -> Dataset | None:
    """The games that a directory holds. Raises DatasetError where it is no recording of this game
    by a person, with rewards as they are now.
    """
    if not holds_files(out):
        return None
    dataset = Dataset(out)
    before = header_of(dataset)["spec"]
    if {**before, "reward_values": []} != {**header["spec"], "reward_values": []} or (
        dataset.manifest["policy"] != PLAYER
    ):
        raise DatasetError(
            f"{out} holds other games ({dataset.spec['world']}, by {dataset.manifest['policy']}); "
            "choose another --out"
        )
    if before["reward_values"] != header["spec"]["reward_values"]:
        raise DatasetError(f"{out} holds games with other rewards; choose another --out")
    return dataset
