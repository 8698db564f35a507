"""What the play window shows: the worlds side by side, their scores, and who plays. Drawing only;
it changes nothing.

`Hud(session, ...)` fixes the layout once; `draw(status)` paints the session as it is now on the
surface it was given.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pygame

from collectors.media import to_rgb
from neural_envs.play.canvas import (
    AMBER,
    BLUE,
    FAINT,
    GREEN,
    GROUND,
    LINE,
    RED,
    TEXT,
    VIOLET,
    Canvas,
    trust_colour,
)
from neural_envs.play.player_view import TRAIL, Score, Side
from neural_envs.play.session import PlaySession

MARGIN, HEADER, TITLE, STATS, GAP = 24, 46, 34, 116, 8
HELP_LINE, HELP_ENTRY = 24, 110  # height, least width
PICTURE, NARROWEST = (
    448,
    496,
)  # longest side of a picture on the screen, and least width of the window
PICTURE_OF_THREE = 384  # so that three panes fit the width of a laptop's screen
ACCENTS = (VIOLET, BLUE)
APART = 8  # of 255: pixels that differ by more are counted as different
HELP = (
    *(("R", "new game"), ("P", "pause"), ("N", "step"), ("TAB", "who plays")),
    *(("S", "snapshot"), ("1-9", "sampler"), ("G", "guidance"), ("F", "filmstrip")),
    *(
        ("D", "difference"),
        ("C", "resync"),
        ("A", "action grid"),
        ("V", "record"),
        ("ESC", "leave"),
    ),
)


class View(NamedTuple):
    """Which panes are open apart from the worlds."""

    difference: bool = False
    filmstrip: bool = False


CLOSED = View()


class Status(NamedTuple):
    """What the window knows and the session does not."""

    fps: float
    recording: bool
    policy: str
    strip: list[np.ndarray] = []  # (H, W, 3) uint8 each, from noise to picture


class Layout(NamedTuple):
    """Where things are, in screen pixels."""

    panes: int
    picture: tuple[int, int]  # width, height of one pane's picture
    size: tuple[int, int]  # of the whole window
    thumb: tuple[int, int]  # width, height of a picture of the filmstrip
    view: View
    help: tuple[int, int]  # columns, lines

    def left(self, index: int) -> int:
        """Where the picture of a pane begins; all of them are in the middle of the window."""
        across = self.panes * (self.picture[0] + MARGIN) - MARGIN
        return (self.size[0] - across) // 2 + index * (self.picture[0] + MARGIN)

    @property
    def below(self) -> int:
        """Where the panes end."""
        return HEADER + TITLE + self.picture[1] + STATS


def layout_for(session: PlaySession, scale: int = 0, view: View = CLOSED) -> Layout:
    """The layout of a session; frames are enlarged `scale` times, 0 for as much as fits."""
    height, width = session.sides[0].score.frame.shape[:2]
    panes = len(session.sides) + view.difference
    scale = scale or max(1, (PICTURE if panes < 3 else PICTURE_OF_THREE) // max(height, width))
    picture = scale * width, scale * height
    across = max(MARGIN + panes * (picture[0] + MARGIN), NARROWEST)
    side = (96 if panes == 1 else 128) / max(height, width)
    thumb = round(side * width), round(side * height)
    entries = len(help_for(session))
    lines = math.ceil(entries / ((across - 2 * MARGIN) // HELP_ENTRY))
    strip = TITLE + thumb[1] + MARGIN if view.filmstrip else 0
    down = HEADER + TITLE + picture[1] + STATS + strip + 36 + HELP_LINE * lines
    return Layout(panes, picture, (across, down), thumb, view, (math.ceil(entries / lines), lines))


def help_for(session: PlaySession) -> tuple[tuple[str, str], ...]:
    """Keys and what they do, those that do something in this session."""
    has = {
        "D": len(session.sides) > 1,
        "C": len(session.sides) > 1,
        "F": session.denoises,
        "1-9": session.denoises,
    }
    return tuple(
        (key, does) for key, does in HELP if has.get(key, True) and (key != "G" or session.guides)
    )


class Hud:
    """Paints a session on `surface`, which has the layout's size."""

    def __init__(self, session: PlaySession, surface: pygame.Surface, layout: Layout, world: str):
        self.session, self.layout, self.world = session, layout, world
        self.surface, self.canvas = surface, Canvas(surface)

    def draw(self, status: Status) -> None:
        """Paint everything anew."""
        self.surface.fill(GROUND)
        self._header(status)
        for index, side in enumerate(self.session.sides):
            self._side(side, self.layout.left(index), ACCENTS[index % 2])
        if self.layout.view.difference:
            self._difference(self.layout.left(len(self.session.sides)))
        if self.layout.view.filmstrip:
            self._filmstrip(status.strip)
        self._footer(status)

    def _header(self, status: Status) -> None:
        right, middle, badge = self.layout.size[0] - MARGIN, HEADER // 2 + 4, self.canvas.badge
        self.canvas.text(self.world.upper(), 32, TEXT, (MARGIN, middle))
        if self.session.policy_plays:
            right = badge(f"POLICY  {status.policy}", AMBER, right, middle)
        else:
            right = badge("YOU PLAY", GREEN, right, middle)
        if self.session.paused:
            right = badge("PAUSED", FAINT, right, middle)
        if status.recording:
            badge("REC", RED, right, middle)

    def _pane(
        self, title: str, left: int, accent: tuple[int, int, int], note: str, frame: np.ndarray
    ) -> pygame.Rect:
        """A pane with its picture; returns the picture's area."""
        width, height = self.layout.picture
        self.canvas.panel(
            pygame.Rect(left - 8, HEADER, width + 16, TITLE + height + STATS - 10),
            title,
            accent,
            note,
        )
        self.canvas.picture(frame, (left, HEADER + TITLE), self.layout.picture)
        return pygame.Rect(left, HEADER + TITLE, width, height)

    def _side(self, side: Side, left: int, accent: tuple[int, int, int]) -> None:
        note, score = "snapshot kept" if self.session.saved is not None else "", side.score
        area = self._pane(side.title, left, accent, note, score.frame)
        if score.ending:
            self.canvas.ribbon(
                score.ending.upper(), area, RED if score.ending == "game over" else AMBER
            )
        elif self.session.waiting:
            self.canvas.ribbon("press a key to begin", area, TEXT)
        self._stats(score, left, area.bottom + 12, area.width)

    def _stats(self, score: Score, left: int, top: int, width: int) -> None:
        """Four columns: return, reward, steps, trust; under them trust now as a bar, and its course
        as a line.
        """
        column, number = width / 4, self.canvas.number
        sign = GREEN if score.reward > 0 else RED if score.reward < 0 else FAINT
        number("RETURN", f"{score.return_:.4g}", TEXT, (left, top))
        number(
            "REWARD", f"{score.reward:+.3g}" if score.reward else "0", sign, (left + column, top)
        )
        number("STEP", str(score.steps), TEXT, (left + 2 * column, top))
        if score.trust is not None:
            colour = trust_colour(score.trust)
            number("TRUST", f"{score.trust:.2f}", colour, (left + 3 * column, top))
            self.canvas.bar(pygame.Rect(left, top + 56, width, 6), score.trust, colour)
            self.canvas.sparkline(
                pygame.Rect(left, top + 68, width, 18), score.trail, TRAIL, colour
            )

    def _difference(self, left: int) -> None:
        """Where the worlds differ, and how much of the picture does."""
        pictures = [to_rgb(side.score.frame).astype(np.int16) for side in self.session.sides[:2]]
        share = 100 * (np.abs(pictures[0] - pictures[1]).max(-1) > APART).mean()
        area = self._pane("difference", left, AMBER, "", self.session.difference())
        colour = FAINT if share == 0 else TEXT
        self.canvas.number("PIXELS APART", f"{share:.1f} %", colour, (left, area.bottom + 12))
        self.canvas.bar(
            pygame.Rect(left, area.bottom + 68, area.width, 6),
            share / 100,
            AMBER if share else LINE,
        )

    def _filmstrip(self, strip: list[np.ndarray]) -> None:
        """From noise to picture; of more frames than fit some are left out."""
        left, top, (width, height) = MARGIN, self.layout.below, self.layout.thumb
        room = self.layout.size[0] - 2 * MARGIN
        fit = max(2, (room + GAP) // (width + GAP))
        picked = [strip[round(i)] for i in np.linspace(0, len(strip) - 1, min(fit, len(strip)))]
        note = (
            f"{len(picked)} of {len(strip)} frames"
            if len(picked) < len(strip)
            else f"{len(strip)} frames"
        )
        box = pygame.Rect(left - 8, top, room + 16, TITLE + height + 14)
        self.canvas.panel(box, "from noise to picture", VIOLET, note if strip else "")
        for index, frame in enumerate(picked):
            self.canvas.picture(
                frame, (left + index * (width + GAP), top + TITLE), self.layout.thumb
            )
        if not strip:
            self.canvas.text("of the next step", 22, FAINT, box.center, align="centre")

    def _footer(self, status: Status) -> None:
        (width, height), (columns, lines) = self.layout.size, self.layout.help
        line = height - HELP_LINE * lines - 22
        facts, message, room = self._facts(status), self.session.message, width - 3 * MARGIN
        while (
            message
            and len(facts) > 1
            and sum(map(self.canvas.width, ("   ".join(facts), message))) > room
        ):
            facts = facts[1:]  # a message is soon gone
        used = self.canvas.text("   ".join(facts), 22, FAINT, (width - MARGIN, line), align="right")
        self.canvas.text(self.canvas.fitted(message, 22, room - used), 22, AMBER, (MARGIN, line))
        for index, (key, does) in enumerate(help_for(self.session)):
            row, place = divmod(index, columns)
            left, middle = (
                MARGIN + place * (width - 2 * MARGIN) / columns,
                line + 28 + row * HELP_LINE,
            )
            after = self.canvas.text(key, 20, TEXT, (left, middle))
            self.canvas.text(does, 20, FAINT, (left + after + 6, middle))

    def _facts(self, status: Status) -> list[str]:
        """Pace, settings that somebody chose, and which game it is."""
        session = self.session
        facts = [f"{status.fps:.0f} fps"] if status.fps else []
        facts += [f"{session.sampler_steps} sampler steps"] if session.sampler_steps else []
        facts += [f"guidance {session.guidance:g}"] if session.guidance is not None else []
        return [*facts, f"game {session.episode}"]
