"""One visitor's dream: what a message does, what a beat of the clock does, and what there is to
see.

A stage is called from worker threads, by one at a time (its lock sees to that), and knows nothing
of the network.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from collectors.media import to_rgb
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession
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
from neural_envs.web.frames import png
from neural_envs.web.replay_view import Film

MOST_SNAPSHOTS = 12
YOU = "you"
MENDABLE = (PlayError, ValueError, ImportError, RuntimeError, OSError, gymnasium.error.Error)


class Kept(NamedTuple):
    """A snapshot with what the page shows of it."""

    saved: Any  # PlaySession.saved
    step: int
    return_: float
    picture: str  # PNG in base64


class GameSession:
    """The dream of one bundle, alone or beside its real game. Raises what the bundle raises.

    `said` holds the messages for the page (dictionaries with a "type") until `take_said`.
    """

    def __init__(self, shelf: BundleCatalogue, offer: BundleInfo, seed: int | None = None):
        self.shelf, self.offer, self.lock = shelf, offer, threading.RLock()
        self.bundle = shelf.borrow(offer)
        dream = make_dream(offer.world, shelf.device, self.bundle)
        self.dream, self.spec = dream, dream.unwrapped.world
        keys = Keys.of_env(dream.unwrapped)
        seed = secrets.randbelow(2**31) if seed is None else seed
        self.session = PlaySession(
            [PlayerView("dream", dream, DreamRecorder())], keys, None, share_start, seed
        )
        self.player, self.speed, self.film = YOU, 1.0, None
        self.real = self.difference = False
        self.kept: dict[int, Kept] = {}
        self.taken = 0
        self.said: list[dict[str, Any]] = []

    # ---------------------------------------------------------------- for the visitor's loop

    @property
    def still(self) -> bool:
        """Whether nothing moves by itself now."""
        return self.film.still if self.film else self.session.paused

    @property
    def seed(self) -> int:
        """The seed of the game that is played."""
        return self.session.views[0].recorder.seed

    @property
    def beat(self) -> float:
        """Seconds between two steps."""
        return 1 / (self.session.fps * self.speed)

    def apply(self, message: Any) -> None:
        """Do what a message asks; what cannot be done is said."""
        try:
            DOES[type(message)](self, message)
        except MENDABLE as error:
            self.notice(str(error))
        if isinstance(message, protocol.Player | protocol.Panes):  # what came of it
            panes = {"real": self.real, "difference": self.difference}
            self.said.append({"type": "chosen", "player": self.player, **panes})

    def tick(self) -> None:
        """One beat of the clock; where it cannot be, as when a policy gives up, that is said and
        the clock stops.
        """
        try:
            self.film.tick() if self.film else self.session.tick()
        except MENDABLE as error:
            self.notice(str(error))
            self.film, self.session.paused = None, True

    def picture(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """What there is to see: a header for the page, and the panes (H, W, 3) uint8."""
        if self.film:
            return self.film.picture()
        session, score = self.session, self.session.views[0].score
        titles, panes = ["dream"], [to_rgb(score.frame)]
        real = session.views[1].score if len(session.views) > 1 else None
        if real is not None and self.real:
            titles, panes = [*titles, "real"], [*panes, to_rgb(real.frame)]
        if real is not None and self.difference:
            titles, panes = [*titles, "difference"], [*panes, session.difference()]
        header = {"titles": titles, **_score(score), "game": session.episode, "seed": self.seed}
        header |= {"paused": session.paused, "waiting": session.waiting, "player": self.player}
        header |= {
            "message": session.message,
            "real": None if real is None else _score(real),
            "film": False,
        }
        return header, panes

    def file(self) -> bytes:
        """The game that is being dreamed as a `.dream` file, by the bundle's name rather than where
        it lies here.
        """
        file = self.film.file if self.film else self.session.views[0].dream_file()
        return dataclasses.replace(
            file, bundle=self.film.offer.name if self.film else self.offer.name
        ).to_bytes()

    def watch(self, film: Film) -> None:
        """Show a file in place of the dream, which waits meanwhile; a new game ends it."""
        self.film = film
        if film.remark:
            self.notice(film.remark)

    def take_said(self) -> list[dict[str, Any]]:
        """What is to be told to the page, once."""
        said, self.said = self.said, []
        return said

    def close(self) -> None:
        """Let the worlds go."""
        with self.lock:
            self.film = None
            for view in self.session.views:
                view.env.close()

    def notice(self, message: str) -> None:
        """A sentence for the person."""
        self.said.append({"type": "notice", "message": message})

    def about(self) -> dict[str, Any]:
        """What the page needs to know of this dream before its first picture."""
        model, table = self.bundle.model, self.session.keys.table
        options, offered = model.default_options, model.supported_options
        return {
            "type": "dream",
            "bundle": self.offer.name,
            "world": self.spec.world,
            "actions": list(self.spec.action_names),
            "idle": table.get(frozenset()),
            "letters": sorted({chr(key) for keys in table for key in keys if 32 <= key < 127}),
            "fps": self.spec.fps,
            "steps": options.steps if "steps" in offered else None,
            "guidance": options.guidance if "guidance" in offered else None,
            "policies": self._policies(),
        }

    def _policies(self) -> list[str]:
        """The policies of this world that need no number after their name; none without
        `collectors`.
        """
        return policy_names(self.spec.world)

    # ---------------------------------------------------------------- what messages do

    def _key(self, message: protocol.Key) -> None:
        code = protocol.key_code(message.key)
        if code is not None:
            (self.session.keys.press if message.down else self.session.keys.release)(code)

    def _act(self, message: protocol.Act) -> None:
        names, table = self.spec.action_names, self.session.keys.table
        if message.action >= len(names):
            known = ", ".join(f"{i} {name}" for i, name in enumerate(names))
            raise ValueError(f"{self.spec.world} has no action {message.action}; there are {known}")
        keys = next(
            (keys for keys, action in table.items() if action == message.action), frozenset()
        )
        for key in sorted(keys):
            (self.session.keys.press if message.down else self.session.keys.release)(key)

    def _release(self, message: protocol.Release) -> None:
        self.session.keys.held.clear()

    def _new(self, message: protocol.New) -> None:
        self.film = None
        self.new_game(secrets.randbelow(2**31) if message.seed is None else message.seed)

    def new_game(self, seed: int) -> None:
        """A game from this seed on every view."""
        self.session.new_game(seed)

    def _pause(self, message: protocol.Pause) -> None:
        if self.film:
            self.film.still = message.on
        else:
            self.session.paused = message.on

    def _step(self, message: protocol.Step) -> None:
        self.film.single_step() if self.film else self.session.single_step()

    def _player(self, message: protocol.Player) -> None:
        session = self.session
        if message.name != YOU:
            session.make_policy = policy_maker(message.name, self.spec.world)
            session.load_policy()
        session.policy_plays, self.player = message.name != YOU, message.name

    def _panes(self, message: protocol.Panes) -> None:
        wanted, there = message.real or message.difference, len(self.session.views) > 1
        if wanted and not there:
            real = PlayerView("real", real_twin(self.dream, self.offer.world))
            real.history_length = self.session.views[0].history_length
            self._set_views([*self.session.views, real])
            self.new_game(self.seed)  # both from the same start
        elif there and not wanted:
            self.session.views[1].env.close()
            self._set_views(self.session.views[:1])
        self.real, self.difference = message.real, message.difference

    def _set_views(self, views: list[PlayerView]) -> None:
        self.session.views = views
        self.kept.clear()  # they hold as many views as there were
        self._say_kept()
        if self.session.policies:
            self.session.load_policy()

    def _tune(self, message: protocol.Tune) -> None:
        self.speed = message.speed
        dream = self.dream.unwrapped
        for setting in ("sampler_steps", "guidance"):
            value = getattr(message, setting)
            if getattr(dream, setting) != value:
                setattr(dream, setting, value)

    def _resync(self, message: protocol.Resync) -> None:
        self.session.resync()

    def _keep(self, message: protocol.Keep) -> None:
        session, before = self.session, self.session.saved
        session.snapshot()
        if session.saved is before:
            return  # the session has said why
        score = session.views[0].score
        self.taken += 1
        self.kept[self.taken] = Kept(
            session.saved, score.steps, score.return_, png(to_rgb(score.frame))
        )
        while len(self.kept) > MOST_SNAPSHOTS:
            self.kept.pop(next(iter(self.kept)))
        self._say_kept()

    def _back(self, message: protocol.Back) -> None:
        if message.snapshot not in self.kept:
            raise ValueError(f"there is no snapshot {message.snapshot}")
        kept = self.kept[message.snapshot]
        self.session.saved = kept.saved
        self.session.restore()

    def _forget(self, message: protocol.Forget) -> None:
        self.kept.pop(message.snapshot, None)
        self._say_kept()

    def _say_kept(self) -> None:
        rows = [
            {"id": i, "step": k.step, "return": k.return_, "picture": k.picture}
            for i, k in self.kept.items()
        ]
        self.said.append({"type": "snapshots", "kept": rows})


DOES = {
    protocol.Key: GameSession._key,
    protocol.Act: GameSession._act,
    protocol.Release: GameSession._release,
    protocol.New: GameSession._new,
    protocol.Pause: GameSession._pause,
    protocol.Step: GameSession._step,
    protocol.Player: GameSession._player,
    protocol.Panes: GameSession._panes,
    protocol.Tune: GameSession._tune,
    protocol.Resync: GameSession._resync,
    protocol.Keep: GameSession._keep,
    protocol.Back: GameSession._back,
    protocol.Forget: GameSession._forget,
    Film: GameSession.watch,
}


def _score(score: Any) -> dict[str, Any]:
    """A side's score for the HUD."""
    trust = None if score.trust is None else round(score.trust, 4)
    numbers = {
        "step": score.steps,
        "reward": round(score.reward, 4),
        "return": round(score.return_, 4),
    }
    return {**numbers, "trust": trust, "ending": score.ending}
