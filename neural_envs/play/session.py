"""A game being played, without a window: who acts, what is shown, pause, steps, snapshots.

A session has one view (the dream) or two (dream and real game) and moves them in step. It knows
nothing of pygame: the window turns keys into calls, calls `tick` at the world's frame rate, and
draws `views`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from collectors.action_space import ActionSpace
from collectors.media import difference
from neural_envs.action_keys import as_chosen
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import Dream, PlayerView, Snapshot

if TYPE_CHECKING:
    from world_models.protocols import SamplingOptions

MESSAGE_SECONDS = 2.5
ENDING_SECONDS = 1.2  # how long the end of a game is shown before the next one starts


class Policy(Protocol):
    """Plays one game by its frames; `reset` begins an episode."""

    def reset(self, generator: np.random.Generator) -> None: ...
    def __call__(self, observation: np.ndarray) -> int: ...


class SavedGame(NamedTuple):
    """A snapshot of a session."""

    views: list[Snapshot]
    policies: list[Policy]
    last_action: Any


class PlaySession:
    """The worlds `views` (the dream first) under one player: a person's `keys`, or a policy.

    The policy acts on the frames of each view. `make_policy(actions)` is called when it is first
    asked for; its errors become the message. Where given, `share_start(frame)` makes the `reset`
    options with which the dream starts from the real game's first frame.
    """

    def __init__(
        self,
        views: list[PlayerView],
        keys: Keys,
        make_policy: Callable[[Any], Policy] | None = None,
        share_start: Callable[[np.ndarray], dict[str, Any]] | None = None,
        seed: int = 0,
    ):
        self.views, self.keys, self.seed = views, keys, seed
        self.make_policy, self.share_start = make_policy, share_start
        self.policies: list[Policy] = []
        self.policy_plays = self.paused = False
        self.episode = 0
        self.ticks = 0  # steps and waits so far, over all games; pauses do not count
        self.saved: SavedGame | None = None
        self.message, self.message_ticks, self.ending_ticks = "", 0, 0
        for view in views:
            view.history_length = self.dream.context_length
        self.fps = int(views[0].env.metadata.get("render_fps") or 10)  # the world's own rate
        self.reset()

    @property
    def dream(self) -> Dream:
        """The environment of the dream, without wrappers."""
        return cast(Dream, self.views[0].env.unwrapped)

    @property
    def real(self) -> PlayerView | None:
        """The view of the real game, where there is one."""
        return self.views[1] if len(self.views) > 1 else None

    @property
    def over(self) -> bool:
        """Whether the game has ended in every view."""
        return all(view.score.ending for view in self.views)

    @property
    def waiting(self) -> bool:
        """Whether a person is to play and has not pressed a key yet."""
        return not (self.keys.active or self.policy_plays or self.over)

    def reset(self) -> None:
        """A new game in every view: the first from the session's seed, the others without one."""
        seed = self.seed if self.episode == 0 else None
        options = None
        if self.real is not None:
            self.real.reset(seed)
            options = self.share_start(self.real.score.frame) if self.share_start else None
        self.views[0].reset(seed, options)
        self.episode += 1
        self.ending_ticks = round(ENDING_SECONDS * self.fps)
        self.keys.clear()
        self._reset_policies()

    def new_game(self, seed: int) -> None:
        """A game from this seed in every view."""
        self.seed, self.episode = seed, 0
        self.reset()

    def tick(self) -> None:
        """One frame's time: a step, a wait for the first key, or a new game; nothing in a pause."""
        self.message_ticks -= 1
        if self.message_ticks <= 0:
            self.message = ""
        if self.paused:
            return
        self.ticks += 1
        if not self.over:
            self._step()
        elif self.ending_ticks > 0:
            self.ending_ticks -= 1
        else:
            self.reset()

    def single_step(self) -> None:
        """Pause, and go on by exactly one step."""
        self.paused = True
        self.ticks += 1
        if self.over:
            self.reset()
        elif not self._step():
            self.show_message("press the key of an action, then N")

    def toggle_pause(self) -> None:
        """Stop the clock, or let it go on."""
        self.paused = not self.paused

    def toggle_player(self) -> None:
        """Hand over to the policy or back; where there is no policy, show why."""
        if not self.policy_plays and not self.policies:
            try:
                self.load_policy()
            except (RuntimeError, ImportError, ValueError, AttributeError) as error:
                return self.show_message(str(error))
        self.policy_plays = not self.policy_plays
        self.show_message("the policy plays" if self.policy_plays else "you play")

    def load_policy(self) -> None:
        """Make one policy per view. Raises what `make_policy` does, ValueError without one."""
        if self.make_policy is None:
            raise ValueError("no policy for this world; start with --policy NAME")
        spaces: list[Any] = [view.env.action_space for view in self.views]
        known = [ActionSpace.from_gymnasium(space).for_policies for space in spaces]
        self.policies = [self.make_policy(actions) for actions in known]
        self._reset_policies()

    def snapshot(self) -> bool:
        """Keep everything as it is now; False, with a message, where a world cannot be copied."""
        try:
            views = [view.snapshot() for view in self.views]
            self.saved = SavedGame(views, copy.deepcopy(self.policies), self.keys.last)
        except (TypeError, RuntimeError, copy.Error):  # an engine outside of Python, as CoinRun's
            self.show_message("this real game cannot be copied: play the dream alone for snapshots")
            return False
        self.show_message(f"snapshot taken at step {self.views[0].score.steps}")
        return True

    def snapshot_or_restore(self) -> None:
        """Take the first snapshot, or go back to the one there is."""
        if self.saved is None:
            self.snapshot()
        else:
            self.restore()

    def restore(self) -> None:
        """Back to the snapshot in every view; it can be restored again."""
        if self.saved is None:
            return self.show_message("there is no snapshot yet")
        for view, snapshot in zip(self.views, self.saved.views, strict=True):
            view.restore(snapshot)
        self.policies = copy.deepcopy(self.saved.policies) or self.policies
        self.keys.clear()
        self.keys.last = self.saved.last_action
        self.ending_ticks = round(ENDING_SECONDS * self.fps)
        self.show_message(f"back at step {self.views[0].score.steps}")

    def resync(self) -> None:
        """Let the dream go on from what the real game shows now; score and steps stay.

        Where that cannot be, the message says why.
        """
        if self.real is None:
            return self.show_message("there is no real game to follow: start with --real")
        if self.real.score.ending:
            return self.show_message("the real game has ended: R starts a new one")
        self.views[0].resync(self.real.history)
        self.show_message(f"the dream goes on from the real game at step {self.real.score.steps}")

    def difference(self) -> np.ndarray | None:
        """(H, W, 3) uint8: gray where dream and real game agree, brighter where not.

        None without a real game.
        """
        if self.real is None:
            return None
        return difference(self.views[0].score.frame, self.real.score.frame)

    def set_sampler_steps(self, steps: int | None) -> None:
        """Choose the denoising steps of the dream; None is the bundle's own. A refusal is shown."""
        shown = "as the bundle has it" if steps is None else str(steps)
        self._set_sampling(self.dream.sampling._replace(steps=steps), f"sampler steps: {shown}")

    def change_guidance(self, by: float) -> None:
        """Guide more or less than now, not below 0; a refusal is shown."""
        options = self.dream.simulator.model.default_options, self.dream.sampling
        own, chosen = (each.guidance for each in options)
        now = chosen if chosen is not None else 1.0 if own is None else own
        guidance = max(0.0, now + by)
        self._set_sampling(
            self.dream.sampling._replace(guidance=guidance), f"guidance: {guidance:g}"
        )

    def _set_sampling(self, options: SamplingOptions, message: str) -> None:
        try:
            self.dream.sampling = options
        except ValueError as error:
            return self.show_message(str(error))
        self.show_message(message)

    def show_message(self, message: str) -> None:
        """Show a message for a while."""
        self.message, self.message_ticks = message, round(MESSAGE_SECONDS * self.fps) + 1

    def _step(self) -> bool:
        """One action in every view whose game goes on; False where a person has not chosen one."""
        if self.policy_plays:
            pairs = zip(self.policies, self.views, strict=True)
            actions = [as_chosen(policy(view.score.frame)) for policy, view in pairs]
            self.keys.last = actions[0]  # taking over goes on in the same direction
        else:
            action = self.keys.next_action()
            if action is None:
                return False
            actions = [action] * len(self.views)
        for view, action in zip(self.views, actions, strict=True):
            if view.score.ending:
                view.score = replace(view.score, reward=0.0)
            else:
                view.step(action)
        return True

    def _reset_policies(self) -> None:
        for policy in self.policies:
            policy.reset(np.random.default_rng([self.seed, self.episode]))
