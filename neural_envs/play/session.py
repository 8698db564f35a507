"""A game being played, without a window: who acts, what both worlds show, pause, single steps,
snapshots.

A session has one side (the dream) or two (dream and real), moves them in step, and knows nothing of
pygame: the window turns keys into calls, calls `tick` at the world's pace, and draws `sides`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from collectors.media import difference
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import Score, Side, Snapshot

MESSAGE_SECONDS = 2.5
LINGER_SECONDS = 1.2  # how long the end of a game is shown before the next one starts

__all__ = ["PlaySession", "Score", "Side", "Snapshot"]


class PlaySession:
    """The worlds `sides` (the dream first) under one hand: a person's `keys`, or a policy on each
    side's own frames.

    `make_policy(actions)` is called when a policy is first asked for; its errors become the
    message. Where given, `share_start(frame)` makes the `reset` options with which the dream starts
    from the real game's first frame.
    """

    def __init__(
        self,
        sides: list[Side],
        keys: Keys,
        make_policy: Callable[[int], Any] | None = None,
        share_start: Callable[[np.ndarray], dict] | None = None,
        seed: int = 0,
    ):
        self.sides, self.keys, self.seed = sides, keys, seed
        self.make_policy, self.share_start = make_policy, share_start
        self.policies: list[Any] = []
        self.policy_plays = self.paused = False
        self.episode = 0
        self.moments = 0  # steps and waits so far, over all games; pauses do not count
        self.saved: tuple[list[Snapshot], list[Any], int | None] | None = None
        self.message, self.message_ticks, self.linger = "", 0, 0
        for side in sides:
            side.memory = getattr(
                sides[0].env.unwrapped, "context_length", 1
            )  # what the dream can start from
        self.fps = int(sides[0].env.metadata.get("render_fps") or 10)  # the world's own pace
        self.reset()

    @property
    def over(self) -> bool:
        """Whether the game has ended on every side."""
        return all(side.score.ending for side in self.sides)

    @property
    def waiting(self) -> bool:
        """A person is to play and has not yet said anything."""
        keys = self.keys
        silent = (
            keys.last is None and not keys.taps and not keys.held and frozenset() not in keys.table
        )
        return silent and not self.policy_plays and not self.over

    def reset(self) -> None:
        """A new game on every side; the first one from the session's seed, the others from the
        worlds' own streams.
        """
        seed = self.seed if self.episode == 0 else None
        for side in self.sides[1:]:
            side.reset(seed)
        options = (
            self.share_start(self.sides[1].score.frame)
            if self.share_start and len(self.sides) > 1
            else None
        )
        self.sides[0].reset(seed, options)
        self.episode += 1
        self.linger = round(LINGER_SECONDS * self.fps)
        self.keys.forget()
        self._reset_policies()

    def tick(self) -> None:
        """One beat of the clock: a step, a wait for the first key, or a new game after an end;
        nothing under pause.
        """
        self.message_ticks -= 1
        if self.message_ticks <= 0:
            self.message = ""
        if self.paused:
            return
        self.moments += 1
        if not self.over:
            self._step()
        elif self.linger > 0:
            self.linger -= 1
        else:
            self.reset()

    def single_step(self) -> None:
        """Pause, and go on by exactly one step."""
        self.paused = True
        self.moments += 1
        if self.over:
            self.reset()
        elif not self._step():
            self.say("press the key of an action, then N")

    def toggle_pause(self) -> None:
        """Stop the clock, or let it go on."""
        self.paused = not self.paused

    def toggle_player(self) -> None:
        """Hand over to the policy or back; where there is no policy, say why and leave things as
        they are.
        """
        if not self.policy_plays and not self.policies:
            try:
                self.load_policy()
            except (RuntimeError, ImportError, ValueError, AttributeError) as error:
                return self.say(str(error))
        self.policy_plays = not self.policy_plays
        self.say("the policy plays" if self.policy_plays else "you play")

    def load_policy(self) -> None:
        """Make one policy a side; raises what `make_policy` raises, ValueError where there is
        none.
        """
        if self.make_policy is None:
            raise ValueError("no policy for this world; start with --policy NAME")
        self.policies = [self.make_policy(int(side.env.action_space.n)) for side in self.sides]
        self._reset_policies()

    def snapshot(self) -> None:
        """Keep everything as it is now; where a world cannot be copied, say so."""
        try:
            self.saved = (
                [side.snapshot() for side in self.sides],
                copy.deepcopy(self.policies),
                self.keys.last,
            )
        except (TypeError, RuntimeError, copy.Error):  # an engine outside of Python, as CoinRun's
            return self.say("this real game cannot be copied: play the dream alone for snapshots")
        self.say(f"snapshot taken at step {self.sides[0].score.steps}")

    def snapshot_or_restore(self) -> None:
        """Take the snapshot, or go back to it where there is one; `snapshot` takes a new one at any
        time.
        """
        return self.snapshot() if self.saved is None else self.restore()

    def restore(self) -> None:
        """Back to the snapshot on every side, which stays good for more."""
        if self.saved is None:
            return self.say("there is no snapshot yet")
        snapshots, policies, last = self.saved
        for side, snapshot in zip(self.sides, snapshots, strict=True):
            side.restore(snapshot)
        self.policies = copy.deepcopy(policies) or self.policies
        self.keys.forget()
        self.keys.last = last
        self.linger = round(LINGER_SECONDS * self.fps)
        self.say(f"back at step {self.sides[0].score.steps}")

    def resync(self) -> None:
        """Let the dream go on from what the real game shows now, score and steps as they are; else
        say why not.
        """
        dream = self.sides[0].env.unwrapped
        if len(self.sides) < 2:
            return self.say("there is no real game to follow: start with --real")
        if not hasattr(dream, "continue_from"):
            return self.say("this dream cannot go on from other frames")
        if self.sides[1].score.ending:
            return self.say("the real game has ended: R starts a new one")
        history = self.sides[1].history
        context = np.stack(history.frames), np.array(history.actions, np.int64)
        frame = dream.continue_from(context)
        if self.sides[0].recorder is not None:
            self.sides[0].recorder.resync(context)
        self.sides[0].score = replace(self.sides[0].score, frame=np.array(frame), ending="")
        self.sides[0].history = history
        self.say(f"the dream goes on from the real game at step {self.sides[1].score.steps}")

    def difference(self) -> np.ndarray | None:
        """(H, W, 3) uint8, grey where dream and real game agree, brighter where not; None with one
        side.
        """
        return (
            difference(self.sides[0].score.frame, self.sides[1].score.frame)
            if len(self.sides) > 1
            else None
        )

    @property
    def denoises(self) -> bool:
        """Whether there are frames between noise and picture."""
        return getattr(self.sides[0].env.unwrapped, "denoises", False)

    @property
    def guides(self) -> bool:
        """Whether the dream's model has guidance on the action."""
        return getattr(self.sides[0].env.unwrapped, "guides", False)

    def denoising(self) -> list[np.ndarray]:
        """Frames (H, W, 3) uint8 from noise to the picture of the last dreamed step, as the present
        settings draw it.

        Computed when asked for; none before the first step, and for a model that draws in one call.
        """
        ask = getattr(self.sides[0].env.unwrapped, "denoising", None)
        return ask() if ask else []

    @property
    def sampler_steps(self) -> int | None:
        """Denoising steps a dreamed frame where somebody chose them; None is the bundle's own
        choice.
        """
        return getattr(self.sides[0].env.unwrapped, "sampler_steps", None)

    @property
    def guidance(self) -> float | None:
        """Strength of guidance on the action where somebody chose it; None is the bundle's own
        choice.
        """
        return getattr(self.sides[0].env.unwrapped, "guidance", None)

    def set_sampler_steps(self, steps: int | None) -> None:
        """Choose the denoising steps of the dream, where its model has them."""
        self._set(
            "sampler_steps",
            steps,
            "this model draws a frame in one call: no sampler steps to choose",
        )

    def set_guidance(self, value: float | None) -> None:
        """Choose the strength of guidance on the action, 1 for none, where the dream's model has
        it.
        """
        self._set("guidance", value, "this model has no guidance on the action")

    def change_guidance(self, by: float) -> None:
        """Guide more or less than now, not below 0."""
        own = (
            getattr(self.sides[0].env.unwrapped, "bundle", {}).get("model", {}).get("guidance", 1.0)
        )
        self.set_guidance(max(0.0, (own if self.guidance is None else self.guidance) + by))

    def _set(self, name: str, value: Any, missing: str) -> None:
        """Set `name` of the dream and say so, or why not."""
        dream = self.sides[0].env.unwrapped
        if not hasattr(dream, name):
            return self.say(missing)
        try:
            setattr(dream, name, value)
        except ValueError as error:
            return self.say(str(error))
        self.say(
            f"{name.replace('_', ' ')}: "
            f"{'as the bundle has it' if value is None else format(value, 'g')}"
        )

    def say(self, message: str) -> None:
        """Show a message for a while."""
        self.message, self.message_ticks = message, round(MESSAGE_SECONDS * self.fps) + 1

    def _step(self) -> bool:
        """One action on every side still in its game; False when a person has not chosen one
        yet.
        """
        if self.policy_plays:
            actions = [
                int(policy(side.score.frame))
                for policy, side in zip(self.policies, self.sides, strict=True)
            ]
        else:
            actions = [self.keys.next_action()] * len(self.sides)
        if actions[0] is None:
            return False
        for side, action in zip(self.sides, actions, strict=True):
            if not side.score.ending:
                side.step(action)
            else:
                side.score = replace(side.score, reward=0.0)
        if self.policy_plays:
            self.keys.last = actions[0]  # taking over goes on in the same direction
        return True

    def _reset_policies(self) -> None:
        for policy in self.policies:
            policy.reset(np.random.default_rng([self.seed, self.episode]))
