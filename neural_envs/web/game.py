"""The game of one page: what a message does, what a tick of the clock does, and what is shown.

A session is called from worker threads, by one at a time (its lock sees to that), and knows nothing
of the network.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections.abc import Callable
from typing import Any

import gymnasium

from collectors.media import to_rgb
from neural_envs.play.player_view import PlayerView, Score
from neural_envs.play.session import PlaySession, Policy
from neural_envs.play.twins import (
    PlayError,
    make_dream,
    policy_maker,
    policy_names,
    real_twin,
    share_start,
)
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.web import protocol
from neural_envs.web.catalogue import BundleCatalogue, BundleInfo
from neural_envs.web.frames import View
from neural_envs.web.keyboards import page_keys
from neural_envs.web.limits import public
from neural_envs.web.replay_view import ReplayView
from neural_envs.web.snapshots import SnapshotList
from world_models.protocols import SamplingOptions

PERSON = "you"  # the player that is no policy
MENDABLE = (PlayError, ValueError, ImportError, RuntimeError, OSError, gymnasium.error.Error)


class SeededView(PlayerView):
    """The view of a dream whose every game is recorded and has a seed to show."""

    def reset(self, seed: int | None, options: dict[str, Any] | None = None) -> None:
        """A new game; without a seed given it draws one."""
        super().reset(new_seed() if seed is None else seed, options)


class GameSession:
    """The dream of one bundle, alone or beside its real game. Raises what the bundle raises.

    `messages` collects those for the page (dictionaries with a "type") until `take_messages`.
    """

    def __init__(self, catalogue: BundleCatalogue, info: BundleInfo, seed: int | None = None):
        self.info, self.lock, self.agents = info, threading.RLock(), catalogue.agents
        self.env = make_dream(info.world, catalogue.device, catalogue.load(info))
        self.twin = catalogue.twins.get(info.name, ("", ()))
        self.model = catalogue.load(info).model
        self.spec = self.model.spec
        dream: Any = self.env.unwrapped
        keys, self.choices, self.described = page_keys(dream, catalogue.keyboards.get(info.name))
        self.session = PlaySession(
            [SeededView("dream", self.env, DreamRecorder())],
            keys,
            None,
            share_start,
            new_seed() if seed is None else seed,
        )
        self.player, self.speed = PERSON, 1.0
        self.replay: ReplayView | None = None
        self.shows_real = self.shows_difference = False
        self.snapshots = SnapshotList()
        self.messages: list[dict[str, Any]] = []

    # ---------------------------------------------------------------- for the connection

    @property
    def paused(self) -> bool:
        """Whether nothing moves by itself now."""
        return self.replay.paused if self.replay else self.session.paused

    @property
    def seed(self) -> int | None:
        """The seed of the game that is played."""
        recorder = self.session.views[0].recorder
        return recorder.seed if recorder is not None else None

    @property
    def tick_seconds(self) -> float:
        """Seconds between two steps."""
        return 1 / (self.session.fps * self.speed)

    def apply(self, message: Any) -> None:
        """Do what a message asks; what cannot be done becomes a notice."""
        with self.lock:
            try:
                HANDLERS[type(message)](self, message)
            except MENDABLE as error:
                self.notify(public(error))
            if isinstance(message, protocol.ChoosePlayer | protocol.ShowViews):
                self.messages.append(self._options())

    def tick(self) -> None:
        """One step; where it cannot be, as when a policy gives up, a notice, and the clock
        stops.
        """
        with self.lock:
            try:
                (self.replay or self.session).tick()
            except MENDABLE as error:
                self.notify(public(error))
                self.replay, self.session.paused = None, True

    def show(self) -> tuple[dict[str, Any], list[View]]:
        """What is shown now: a header for the page, and the views."""
        with self.lock:
            if self.replay:
                return self.replay.show()
            session, score = self.session, self.session.views[0].score
            views = [View("dream", to_rgb(score.frame))]
            real, difference = session.real, session.difference()
            if real is not None and self.shows_real:
                views.append(View("real", to_rgb(real.score.frame)))
            if difference is not None and self.shows_difference:
                views.append(View("difference", difference))
            header = {
                **_score(score),
                "game": session.episode,
                "seed": self.seed,
                "paused": session.paused,
                "waiting": session.waiting,
                "player": self.player,
                "message": public(session.message),
                "real": None if real is None else _score(real.score),
                "replay": False,
            }
            return header, views

    def file(self) -> tuple[str, bytes]:
        """A name for the game that is shown, and its `.dream` file, which has the bundle's name
        rather than its path on this machine.
        """
        with self.lock:
            info = self.replay.info if self.replay else self.info
            file = self.replay.file if self.replay else self.session.views[0].dream_file()
            if file is None:
                raise ValueError("this game is not recorded")
            content = dataclasses.replace(file, bundle=info.name).to_bytes()
            return f"{self.info.name}-{self.seed}", content

    def take_messages(self) -> list[dict[str, Any]]:
        """The messages for the page so far, once."""
        with self.lock:
            messages, self.messages = self.messages, []
            return messages

    def close(self) -> None:
        """Close the environments."""
        with self.lock:
            self.replay = None
            for view in self.session.views:
                view.env.close()

    def notify(self, message: str) -> None:
        """Show a sentence on the page."""
        self.messages.append({"type": "notice", "message": public(message)})

    def about(self) -> dict[str, Any]:
        """What the page needs to know of this dream before its first frame."""
        table, options = self.session.keys.table, self.model.default_options
        supported, none = self.model.supported_options, table.get(frozenset())
        idle = (i for i, choice in enumerate(self.choices) if choice.action == none)
        return {
            "type": "dream",
            "bundle": self.info.name,
            "world": self.spec.world,
            "actions": [choice.name for choice in self.choices],
            "idle": next(idle, None),
            "letters": protocol.key_names(table),
            "keys": self.described,
            "fps": self.spec.fps,
            "sampler_steps": options.steps if "steps" in supported else None,
            "guidance": options.guidance if "guidance" in supported else None,
            "temperature": options.temperature if "temperature" in supported else None,
            "policies": [*policy_names(self.spec.world), *self._agent_names()],
        }

    def _agent_names(self) -> list[str]:
        return self.agents.names(self.spec.actions.for_policies, self.spec.world)

    def _options(self) -> dict[str, Any]:
        views = {"real": self.shows_real, "difference": self.shows_difference}
        return {"type": "options", "player": self.player, **views}

    # ---------------------------------------------------------------- what messages do

    def _key(self, message: protocol.Key) -> None:
        code = protocol.key_code(message.key)
        if code is not None:
            self.session.keys.set_down(code, message.down)

    def _action(self, message: protocol.Action) -> None:
        choices, table = self.choices, self.session.keys.table
        if message.action >= len(choices):
            known = ", ".join(f"{i} {choice.name}" for i, choice in enumerate(choices))
            raise ValueError(f"{self.spec.world} has no action {message.action}; there are {known}")
        pressed = choices[message.action].action
        combinations = (keys for keys, action in table.items() if action == pressed)
        for key in sorted(next(combinations, frozenset())):
            self.session.keys.set_down(key, message.down)

    def _release_keys(self, message: protocol.ReleaseKeys) -> None:
        self.session.keys.pressed.clear()

    def _new_game(self, message: protocol.NewGame) -> None:
        self.replay = None
        self.session.new_game(new_seed() if message.seed is None else message.seed)

    def _pause(self, message: protocol.Pause) -> None:
        (self.replay or self.session).paused = message.on

    def _step(self, message: protocol.Step) -> None:
        (self.replay or self.session).single_step()

    def _choose_player(self, message: protocol.ChoosePlayer) -> None:
        session = self.session
        if message.name != PERSON:
            session.make_policy = self._policy_maker(message.name)
            session.load_policy()
        session.policy_plays, self.player = message.name != PERSON, message.name

    def _policy_maker(self, name: str) -> Callable[[Any], Policy]:
        if name in self.agents.files:
            return lambda actions: self.agents.make(name, actions, self.spec.world)
        return policy_maker(name, self.spec.world)  # which plays no file that a page names

    def _show_views(self, message: protocol.ShowViews) -> None:
        session, needed = self.session, message.real or message.difference
        if needed and session.real is None:
            real = PlayerView("real", real_twin(self.env, self.info.world, *self.twin))
            real.history_length = session.views[0].history_length
            self._set_views([*session.views, real])
            session.new_game(session.seed if self.seed is None else self.seed)  # the same start
        elif session.real is not None and not needed:
            session.real.env.close()
            self._set_views(session.views[:1])
        self.shows_real, self.shows_difference = message.real, message.difference

    def _set_views(self, views: list[PlayerView]) -> None:
        self.session.views = views
        self.snapshots.clear()  # they have as many views as there were
        self.messages.append(self.snapshots.message())
        if self.session.policies:
            self.session.load_policy()

    def _change_settings(self, message: protocol.Settings) -> None:
        self.speed = message.speed
        dream = self.session.dream
        dream.sampling = SamplingOptions(
            message.sampler_steps, message.guidance, message.temperature
        )

    def _resync(self, message: protocol.Resync) -> None:
        self.session.resync()

    def _take_snapshot(self, message: protocol.TakeSnapshot) -> None:
        if self.snapshots.take(self.session):
            self.messages.append(self.snapshots.message())

    def _restore_snapshot(self, message: protocol.RestoreSnapshot) -> None:
        self.snapshots.restore(message.snapshot, self.session)

    def _discard_snapshot(self, message: protocol.DiscardSnapshot) -> None:
        self.snapshots.discard(message.snapshot)
        self.messages.append(self.snapshots.message())

    def _start_replay(self, replay: ReplayView) -> None:
        """Show a file in place of the dream, which waits meanwhile; a new game ends it."""
        self.replay = replay
        if replay.remark:
            self.notify(replay.remark)


HANDLERS: dict[type, Callable[[GameSession, Any], None]] = {
    protocol.Key: GameSession._key,
    protocol.Action: GameSession._action,
    protocol.ReleaseKeys: GameSession._release_keys,
    protocol.NewGame: GameSession._new_game,
    protocol.Pause: GameSession._pause,
    protocol.Step: GameSession._step,
    protocol.ChoosePlayer: GameSession._choose_player,
    protocol.ShowViews: GameSession._show_views,
    protocol.Settings: GameSession._change_settings,
    protocol.Resync: GameSession._resync,
    protocol.TakeSnapshot: GameSession._take_snapshot,
    protocol.RestoreSnapshot: GameSession._restore_snapshot,
    protocol.DiscardSnapshot: GameSession._discard_snapshot,
    ReplayView: GameSession._start_replay,
}


def new_seed() -> int:
    """A seed for a game that was given none, from the system's own randomness."""
    return secrets.randbelow(2**31)


def _score(score: Score) -> dict[str, Any]:
    """The score of a view for the page."""
    return {
        "step": score.steps,
        "reward": round(score.reward, 4),
        "return": round(score.return_, 4),
        "trust": None if score.trust is None else round(score.trust, 4),
        "ending": score.ending,
    }
