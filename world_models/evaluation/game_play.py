"""A policy plays many lanes of a vector environment, real or dreamed, and what happened is kept.

T steps, L lanes, H x W x C a frame. Frames are read step by step by the world's evaluator; kept of
them are those of a few depths. A depth counts the steps since a game began.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium.vector import VectorEnv

from collectors.progress import progress
from world_models.evaluation.evaluator import Evaluator, Moved

KEPT_FRAMES = 128  # at most, per depth


class Player(Protocol):
    """Plays all lanes of a vector environment."""

    def reset(self, lanes: np.ndarray) -> None:
        """Begin an episode in the lanes of the mask (L,) bool."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """(L,) actions for (L, H, W, C) frames."""
        ...


class DeepFrames(NamedTuple):
    """Frames some steps after the start of their game, (N, ...)."""

    starts: np.ndarray  # (N, H, W, C) uint8: the first frames of these games
    frames: np.ndarray  # (N, H, W, C) uint8
    right: np.ndarray  # (N,) bool: everything is there as often as it must be


class GamePlay(NamedTuple):
    """What happened, (T, L) each where nothing else is said."""

    rewards: np.ndarray  # float64
    terminations: np.ndarray  # bool
    truncations: np.ndarray  # bool
    events: dict[str, np.ndarray]  # bool, by name
    over: np.ndarray | None  # bool: the rules end the game in this step; None: nobody knows
    score: np.ndarray | None  # float64: the score that the frame shows; None: it shows none
    right: dict[str, np.ndarray]  # bool, by thing: it is there as often as it must be
    deep: dict[int, DeepFrames]  # by depth

    @property
    def all_right(self) -> np.ndarray:
        """(T, L) bool: every thing as often as it must be; True where nothing is counted."""
        return np.logical_and.reduce([np.ones_like(self.terminations), *self.right.values()])


def play_game(
    env: VectorEnv,
    player: Player,
    evaluator: Evaluator,
    steps: int,
    seed: int,
    depths: tuple[int, ...] = (),
) -> GamePlay:
    """`steps` steps of all lanes of an environment in SAME_STEP mode."""
    frames, _ = env.reset(seed=seed)
    player.reset(np.ones(len(frames), bool))
    before, recorder = evaluator.read(frames), _Recorder(evaluator, frames, depths)
    for _ in progress(range(steps), desc="games"):
        actions = player(frames)
        frames, rewards, terminations, truncations, infos = env.step(actions)
        done = terminations | truncations
        shown = _shown(frames, done, infos) if done.any() else frames
        after = evaluator.read(shown)
        step = evaluator.game_step(before, Moved(actions, rewards, terminations), after)
        recorder.add((rewards, terminations, truncations), step, after, shown)
        if done.any():
            recorder.restart(done, frames)
            player.reset(done)
        before = evaluator.read(frames) if done.any() else after
    return recorder.finish()


def _shown(frames: np.ndarray, done: np.ndarray, infos: dict[str, Any]) -> np.ndarray:
    """(L, H, W, C): the frames that the step ended in, of lanes that go on the current ones."""
    final = infos["final_obs"]
    if final.dtype != object:  # dense, as our own environments have it; Gymnasium's have gaps
        return final
    shown = frames.copy()
    shown[done] = np.stack(list(final[done]))
    return shown


class _Recorder:
    """Collects the rows of a GamePlay."""

    def __init__(self, evaluator: Evaluator, frames: np.ndarray, depths: tuple[int, ...]):
        self.evaluator, self.starts = evaluator, frames.copy()
        self.elapsed = np.zeros(len(frames), np.int64)
        self.rows: list[tuple] = []
        self.kept: dict[int, list[DeepFrames]] = {depth: [] for depth in depths}

    def add(self, outcome: tuple, step: Any, after: Any, shown: np.ndarray) -> None:
        """One step of all lanes; `after` is what was read from the frames `shown`."""
        self.elapsed += 1
        counts = self.evaluator.count_things(after)
        right = {name: counts[name] == most for name, most in self.evaluator.things.items()}
        self.rows.append((*outcome, step, right))
        everything = np.logical_and.reduce([np.ones(len(shown), bool), *right.values()])
        for depth, parts in self.kept.items():
            lanes = np.flatnonzero(self.elapsed == depth)
            lanes = lanes[: KEPT_FRAMES - sum(len(part.right) for part in parts)]
            if len(lanes):
                parts.append(DeepFrames(self.starts[lanes], shown[lanes], everything[lanes]))

    def restart(self, done: np.ndarray, frames: np.ndarray) -> None:
        """New games begin in the lanes of the mask with these frames."""
        self.elapsed[done], self.starts[done] = 0, frames[done]

    def finish(self) -> GamePlay:
        """Everything that was added, stacked."""
        rewards, ended, cut, steps, right = zip(*self.rows, strict=True)
        names, things = steps[0].events, right[0]
        known = {name: getattr(steps[0], name) is not None for name in ("over", "score")}
        empty = DeepFrames(self.starts[:0], self.starts[:0], np.zeros(0, bool))
        return GamePlay(
            np.stack(rewards).astype(np.float64),
            np.stack(ended),
            np.stack(cut),
            {name: np.stack([step.events[name] for step in steps]) for name in names},
            np.stack([step.over for step in steps]) if known["over"] else None,
            np.stack([step.score for step in steps]) if known["score"] else None,
            {name: np.stack([row[name] for row in right]) for name in things},
            {
                depth: DeepFrames(*map(np.concatenate, zip(empty, *parts, strict=True)))
                for depth, parts in self.kept.items()
            },
        )
