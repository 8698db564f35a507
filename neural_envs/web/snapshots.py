"""The snapshots of a game that the page shows."""

from __future__ import annotations

from typing import Any, NamedTuple

from collectors.media import to_rgb
from neural_envs.play.session import PlaySession, SavedGame
from neural_envs.web.frames import png

MAX_SNAPSHOTS = 12


class ShownSnapshot(NamedTuple):
    """A snapshot with what the page shows of it."""

    game: SavedGame
    step: int
    return_: float
    image: str  # PNG in base64


class SnapshotList:
    """The last `MAX_SNAPSHOTS` snapshots by number, oldest first."""

    def __init__(self) -> None:
        self.snapshots: dict[int, ShownSnapshot] = {}
        self._taken = 0

    def take(self, session: PlaySession) -> bool:
        """Take one of the session; the oldest makes room. False where its game cannot be copied
        (the session's message says so).
        """
        if not session.snapshot() or session.saved is None:
            return False
        score = session.views[0].score
        self._taken += 1
        self.snapshots[self._taken] = ShownSnapshot(
            session.saved, score.steps, score.return_, png(to_rgb(score.frame))
        )
        while len(self.snapshots) > MAX_SNAPSHOTS:
            self.snapshots.pop(next(iter(self.snapshots)))
        return True

    def restore(self, number: int, session: PlaySession) -> None:
        """Let the session go back to a snapshot. ValueError where there is none of this number."""
        if number not in self.snapshots:
            raise ValueError(f"there is no snapshot {number}")
        session.saved = self.snapshots[number].game
        session.restore()

    def discard(self, number: int) -> None:
        """Forget a snapshot; it may be gone already."""
        self.snapshots.pop(number, None)

    def clear(self) -> None:
        """Forget them all."""
        self.snapshots.clear()

    def message(self) -> dict[str, Any]:
        """The message that shows them on the page."""
        rows = [
            {"id": number, "step": shot.step, "return": shot.return_, "image": shot.image}
            for number, shot in self.snapshots.items()
        ]
        return {"type": "snapshots", "snapshots": rows}
