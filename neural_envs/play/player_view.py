"""A world that is shown to the player: its environment, its score, and its last frames.

H x W x C per frame, K frames of history.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np

from neural_envs.action_keys import as_taken

if TYPE_CHECKING:
    from neural_envs.replays.recorder import DreamRecorder
    from neural_envs.replays.replay_file import DreamFile
    from neural_envs.simulator import Simulator
    from world_models.protocols import SamplingOptions

TRUST_STEPS = 120  # steps of trust that are kept to be drawn


class Dream(Protocol):
    """What playing needs of a dream beside `gymnasium.Env`, as `NeuralEnv` has it."""

    sampling: SamplingOptions  # setting it raises ValueError on what the model does not support

    @property
    def simulator(self) -> Simulator: ...
    @property
    def context_length(self) -> int: ...  # frames that it starts from
    @property
    def idle_action(self) -> Any: ...  # of pressing no key; None: the last one goes on
    @property
    def denoises(self) -> bool: ...  # whether there are frames between noise and result
    @property
    def guides(self) -> bool: ...  # whether its model has guidance on the action

    def denoising(self) -> list[np.ndarray]: ...
    def continue_from(self, context: Any) -> np.ndarray: ...
    def get_keys_to_action(self) -> dict[tuple, Any]: ...
    def get_state(self) -> Any: ...


@runtime_checkable
class Restorable(Protocol):
    """An environment whose state can be taken and set; of others the whole object is copied."""

    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...


@dataclass(frozen=True)
class Score:
    """What is shown of a world.

    `trust` is None where the world gives none; `ending` is "" while the game runs, else why it is
    over.
    """

    frame: np.ndarray  # (H, W, C) uint8
    reward: float = 0.0
    return_: float = 0.0
    trust: float | None = None
    steps: int = 0
    ending: str = ""
    trust_history: tuple[float, ...] = ()  # the last TRUST_STEPS values, oldest first


class History(NamedTuple):
    """The last frames of a game and the actions between them."""

    frames: tuple[np.ndarray, ...]  # (H, W, C) uint8 each, oldest first, the last one is now
    actions: tuple[Any, ...]  # an int or a tuple of P numbers each

    def then(self, action: Any, frame: np.ndarray, length: int) -> History:
        """The history one step later, `length` frames at most."""
        frames, actions = (*self.frames, frame)[-length:], (*self.actions, action)
        return History(frames, actions[len(actions) - len(frames) + 1 :])


class Snapshot(NamedTuple):
    """A view as it was.

    `state` is that of a `Restorable` world, of any other a copy of the whole environment.
    """

    score: Score
    history: History
    state: Any
    elapsed: list[tuple[gymnasium.wrappers.TimeLimit, int]]
    recorder: DreamRecorder | None = None


class PlayerView:
    """One world that is shown: `env` (its observations are frames), the score, the history.

    `recorder` records a dream, so that `dream_file` can give it out.
    """

    history_length = 1  # frames of history that are kept

    def __init__(self, title: str, env: gymnasium.Env, recorder: DreamRecorder | None = None):
        self.title, self.env, self.recorder = title, env, recorder
        self.history = History((), ())
        self._score: Score | None = None
        self._previous_file: DreamFile | None = None  # of the game before this one

    @property
    def score(self) -> Score:
        """The score so far. RuntimeError before the first reset."""
        if self._score is None:
            raise RuntimeError(f"the {self.title} has no score yet: call reset() first")
        return self._score

    @score.setter
    def score(self, score: Score) -> None:
        self._score = score

    def reset(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        """A new game, with the seed and the options of `gymnasium.Env.reset`."""
        if self.recorder is not None and self._score is not None:
            self._previous_file = self.dream_file()
        frame, info = self.env.reset(seed=seed, options=options)
        self.score = Score(np.array(frame), trust=_trust(info))
        self.history = History((self.score.frame,), ())
        if self.recorder is not None:
            self.recorder.start(self.env, seed, (options or {}).get("context"))

    def dream_file(self) -> DreamFile | None:
        """The file of this game; None where nothing is recorded.

        While this game has no step yet, it is the file of the game before.
        """
        if self.recorder is None:
            return None
        if not self.recorder.actions and self._previous_file is not None:
            return self._previous_file
        return self.recorder.file()

    def step(self, action: Any) -> None:
        """One action, an int or a tuple of P numbers; the score holds what came of it.

        Raises ValueError for an action that the world does not have.
        """
        taken = as_taken(action, self.env.action_space)
        if not self.env.action_space.contains(taken):
            raise ValueError(
                f"there is no action {action!r} in the {self.title}: it has {self.env.action_space}"
            )
        before = self.score
        frame, reward, terminated, truncated, info = self.env.step(taken)
        trust = _trust(info)
        history = before.trust_history if trust is None else (*before.trust_history, trust)
        self.score = Score(
            np.array(frame),
            float(reward),
            before.return_ + float(reward),
            trust,
            before.steps + 1,
            "game over" if terminated else f"stopped: {_reason(info)}" if truncated else "",
            history[-TRUST_STEPS:],
        )
        self.history = self.history.then(action, self.score.frame, self.history_length)
        if self.recorder is not None:
            self.recorder.add(action, frame, float(reward), terminated, truncated)

    def resync(self, history: History) -> None:
        """Let this view's dream go on from another world's frames; score and steps stay."""
        dream: Any = self.env.unwrapped
        kind = self.env.action_space.dtype
        context = np.stack(history.frames), np.array(history.actions, kind)
        frame = dream.continue_from(context)
        if self.recorder is not None:
            self.recorder.resync(context)
        self.score = replace(self.score, frame=np.array(frame), ending="")
        self.history = history

    def snapshot(self) -> Snapshot:
        """The world as it is now.

        Raises what deepcopy does for an environment that cannot be copied.
        """
        world = self.env.unwrapped
        if isinstance(world, Restorable):
            state = copy.deepcopy(world.get_state())
            recorder = self.recorder and self.recorder.copy()
            return Snapshot(self.score, self.history, state, self._step_limits(), recorder)
        return Snapshot(self.score, self.history, copy.deepcopy(self.env), [])

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`, which can be restored again."""
        self.score, self.history = snapshot.score, snapshot.history
        if isinstance(snapshot.state, gymnasium.Env):
            self.env = copy.deepcopy(snapshot.state)
            return
        world: Any = self.env.unwrapped
        world.set_state(copy.deepcopy(snapshot.state))
        self.recorder = snapshot.recorder and snapshot.recorder.copy()
        for wrapper, elapsed in snapshot.elapsed:
            wrapper._elapsed_steps = elapsed

    def _step_limits(self) -> list[tuple[gymnasium.wrappers.TimeLimit, int]]:
        """The TimeLimit wrappers and their counts, which `set_state` of the world leaves alone."""
        found, env = [], self.env
        while isinstance(env, gymnasium.Wrapper):
            if isinstance(env, gymnasium.wrappers.TimeLimit):
                found.append((env, env._elapsed_steps))
            env = env.env
        return found


def _trust(info: Mapping[str, Any]) -> float | None:
    return float(np.asarray(info["trust"]).reshape(-1)[0]) if "trust" in info else None


def _reason(info: Mapping[str, Any]) -> str:
    """Why an episode was truncated, as the end of a sentence."""
    return "the model no longer trusts itself" if info.get("low_trust") else "step limit"
