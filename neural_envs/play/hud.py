"""What the play window shows: the worlds side by side, their scores, and who plays.

Drawing only; it changes nothing. `Hud(session, ...)` fixes the layout once; `draw(status)` draws
the session as it is now on the surface it was given.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pygame

from collectors.media import to_rgb
from neural_envs.play.canvas import (
    AMBER,
    BACKGROUND,
    BLUE,
    GREEN,
    LINE,
    MUTED,
    RED,
    TEXT,
    VIOLET,
    Canvas,
    Color,
    trust_color,
)
from neural_envs.play.player_view import TRUST_STEPS, PlayerView, Score
from neural_envs.play.session import PlaySession

MARGIN, HEADER, TITLE, STATS, GAP = 24, 46, 34, 116, 8
HELP_LINE, HELP_ENTRY = 24, 110  # height, least width
FRAME_SIDE, MIN_WIDTH = 448, 496  # longest side of a frame on the screen, least width of the window
FRAME_SIDE_OF_THREE = 384  # so that three frames fit the width of a laptop's screen
ACCENTS = (VIOLET, BLUE)
DIFFERENCE_THRESHOLD = 8  # of 255: pixels that differ by more are counted as different
HELP = (
    ("R", "new game"),
    ("P", "pause"),
    ("N", "step"),
    ("TAB", "who plays"),
    ("S", "snapshot"),
    ("1-9", "sampler"),
    ("G", "guidance"),
    ("F", "filmstrip"),
    ("D", "difference"),
    ("C", "resync"),
    ("A", "action grid"),
    ("V", "record"),
    ("ESC", "leave"),
)


class Panels(NamedTuple):
    """Which panels are open beside the worlds."""

    difference: bool = False
    filmstrip: bool = False


CLOSED = Panels()


class Status(NamedTuple):
    """What the window knows and the session does not."""

    fps: float
    recording: bool
    policy: str
    filmstrip: list[np.ndarray] = []  # (H, W, 3) uint8 each, from noise to result


class Layout(NamedTuple):
    """Where things are, in screen pixels."""

    count: int  # frames side by side: the worlds, and the difference where it is open
    frame: tuple[int, int]  # width, height of one of them
    size: tuple[int, int]  # of the whole window
    thumbnail: tuple[int, int]  # width, height of a frame of the filmstrip
    panels: Panels
    help: tuple[int, int]  # columns, lines

    def left(self, index: int) -> int:
        """Where the frame of this index begins; all of them are in the middle of the window."""
        across = self.count * (self.frame[0] + MARGIN) - MARGIN
        return (self.size[0] - across) // 2 + index * (self.frame[0] + MARGIN)

    @property
    def bottom(self) -> int:
        """Where the worlds and their scores end."""
        return HEADER + TITLE + self.frame[1] + STATS


def layout_for(session: PlaySession, scale: int = 0, panels: Panels = CLOSED) -> Layout:
    """The layout of a session; frames are enlarged `scale` times, 0 for as much as fits."""
    height, width = session.views[0].score.frame.shape[:2]
    count = len(session.views) + panels.difference
    longest = FRAME_SIDE if count < 3 else FRAME_SIDE_OF_THREE
    scale = scale or max(1, longest // max(height, width))
    frame = scale * width, scale * height
    across = max(MARGIN + count * (frame[0] + MARGIN), MIN_WIDTH)
    side = (96 if count == 1 else 128) / max(height, width)
    thumbnail = round(side * width), round(side * height)
    entries = len(help_for(session))
    lines = math.ceil(entries / ((across - 2 * MARGIN) // HELP_ENTRY))
    strip = TITLE + thumbnail[1] + MARGIN if panels.filmstrip else 0
    down = HEADER + TITLE + frame[1] + STATS + strip + 36 + HELP_LINE * lines
    columns = math.ceil(entries / lines)
    return Layout(count, frame, (across, down), thumbnail, panels, (columns, lines))


def help_for(session: PlaySession) -> tuple[tuple[str, str], ...]:
    """Keys and what they do, those that do something in this session."""
    real, dream = session.real is not None, session.dream
    useful = {
        "D": real,
        "C": real,
        "F": dream.denoises,
        "1-9": dream.denoises,
        "G": dream.guides,
    }
    return tuple((key, does) for key, does in HELP if useful.get(key, True))


class Hud:
    """Draws a session on `surface`, which has the layout's size."""

    def __init__(self, session: PlaySession, surface: pygame.Surface, layout: Layout, world: str):
        self.session, self.layout, self.world = session, layout, world
        self.surface, self.canvas = surface, Canvas(surface)

    def draw(self, status: Status) -> None:
        """Draw everything anew."""
        self.surface.fill(BACKGROUND)
        self._header(status)
        for index, view in enumerate(self.session.views):
            self._view(view, self.layout.left(index), ACCENTS[index % 2])
        if self.layout.panels.difference:
            self._difference(self.layout.left(len(self.session.views)))
        if self.layout.panels.filmstrip:
            self._filmstrip(status.filmstrip)
        self._footer(status)

    def _header(self, status: Status) -> None:
        right, middle, badge = self.layout.size[0] - MARGIN, HEADER // 2 + 4, self.canvas.badge
        self.canvas.text(self.world.upper(), 32, TEXT, (MARGIN, middle))
        if self.session.policy_plays:
            right = badge(f"POLICY  {status.policy}", AMBER, right, middle)
        else:
            right = badge("YOU PLAY", GREEN, right, middle)
        if self.session.paused:
            right = badge("PAUSED", MUTED, right, middle)
        if status.recording:
            badge("REC", RED, right, middle)

    def _panel(
        self, title: str, left: int, accent: Color, note: str, frame: np.ndarray
    ) -> pygame.Rect:
        """A panel with a frame; returns the frame's area."""
        width, height = self.layout.frame
        self.canvas.panel(
            pygame.Rect(left - 8, HEADER, width + 16, TITLE + height + STATS - 10),
            title,
            accent,
            note,
        )
        self.canvas.frame(frame, (left, HEADER + TITLE), self.layout.frame)
        return pygame.Rect(left, HEADER + TITLE, width, height)

    def _view(self, view: PlayerView, left: int, accent: Color) -> None:
        note, score = "snapshot taken" if self.session.saved is not None else "", view.score
        area = self._panel(view.title, left, accent, note, score.frame)
        if score.ending:
            self.canvas.ribbon(
                score.ending.upper(), area, RED if score.ending == "game over" else AMBER
            )
        elif self.session.waiting:
            self.canvas.ribbon("press a key to begin", area, TEXT)
        self._stats(score, left, area.bottom + 12, area.width)

    def _stats(self, score: Score, left: int, top: int, width: int) -> None:
        """Four columns: return, reward, steps, trust; below them trust as a bar and as a curve."""
        column, number = width / 4, self.canvas.number
        sign = GREEN if score.reward > 0 else RED if score.reward < 0 else MUTED
        number("RETURN", f"{score.return_:.4g}", TEXT, (left, top))
        number(
            "REWARD", f"{score.reward:+.3g}" if score.reward else "0", sign, (left + column, top)
        )
        number("STEP", str(score.steps), TEXT, (left + 2 * column, top))
        if score.trust is not None:
            color = trust_color(score.trust)
            number("TRUST", f"{score.trust:.2f}", color, (left + 3 * column, top))
            self.canvas.bar(pygame.Rect(left, top + 56, width, 6), score.trust, color)
            self.canvas.sparkline(
                pygame.Rect(left, top + 68, width, 18), score.trust_history, TRUST_STEPS, color
            )

    def _difference(self, left: int) -> None:
        """Where the worlds differ, and the share of pixels that do."""
        shown = self.session.difference()
        if shown is None:
            return
        dream, real = (to_rgb(view.score.frame).astype(np.int16) for view in self.session.views)
        share = 100 * (np.abs(dream - real).max(-1) > DIFFERENCE_THRESHOLD).mean()
        area = self._panel("difference", left, AMBER, "", shown)
        color = MUTED if share == 0 else TEXT
        self.canvas.number("PIXELS THAT DIFFER", f"{share:.1f} %", color, (left, area.bottom + 12))
        self.canvas.bar(
            pygame.Rect(left, area.bottom + 68, area.width, 6),
            share / 100,
            AMBER if share else LINE,
        )

    def _filmstrip(self, strip: list[np.ndarray]) -> None:
        """From noise to result; of more frames than fit some are left out."""
        left, top, (width, height) = MARGIN, self.layout.bottom, self.layout.thumbnail
        room = self.layout.size[0] - 2 * MARGIN
        fit = max(2, (room + GAP) // (width + GAP))
        picked = [strip[round(i)] for i in np.linspace(0, len(strip) - 1, min(fit, len(strip)))]
        note = (
            f"{len(picked)} of {len(strip)} frames"
            if len(picked) < len(strip)
            else f"{len(strip)} frames"
        )
        box = pygame.Rect(left - 8, top, room + 16, TITLE + height + 14)
        self.canvas.panel(box, "from noise to result", VIOLET, note if strip else "")
        for index, frame in enumerate(picked):
            self.canvas.frame(
                frame, (left + index * (width + GAP), top + TITLE), self.layout.thumbnail
            )
        if not strip:
            self.canvas.text("of the next step", 22, MUTED, box.center, align="center")

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
        used = self.canvas.text("   ".join(facts), 22, MUTED, (width - MARGIN, line), align="right")
        self.canvas.text(self.canvas.fitted(message, 22, room - used), 22, AMBER, (MARGIN, line))
        for index, (key, does) in enumerate(help_for(self.session)):
            row, place = divmod(index, columns)
            left, middle = (
                MARGIN + place * (width - 2 * MARGIN) / columns,
                line + 28 + row * HELP_LINE,
            )
            after = self.canvas.text(key, 20, TEXT, (left, middle))
            self.canvas.text(does, 20, MUTED, (left + after + 6, middle))

    def _facts(self, status: Status) -> list[str]:
        """Frame rate, settings that somebody chose, and which game it is."""
        session, sampling = self.session, self.session.dream.sampling
        facts = [f"{status.fps:.0f} fps"] if status.fps else []
        facts += [f"{sampling.steps} sampler steps"] if sampling.steps else []
        facts += [f"guidance {sampling.guidance:g}"] if sampling.guidance is not None else []
        if sampling.temperature is not None:
            facts.append(f"temperature {sampling.temperature:g}")
        return [*facts, f"game {session.episode}"]
