"""What the play window shows: the worlds side by side, their scores, and who plays. Drawing only; it changes nothing.

`Hud(session, ...)` fixes the layout once; `draw(status)` paints the session as it is now on the surface it was given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pygame

from neural_envs.session import PlaySession, Score, Side
from world_models.frames import shown

MARGIN, HEADER, TITLE, STATS, HELP_LINE = 24, 46, 34, 92, 24
PICTURE, NARROWEST = 448, 496  # longest side of a picture on the screen, and least width of the window
GROUND, PANEL, LINE = (13, 15, 24), (24, 27, 40), (46, 51, 72)
TEXT, FAINT = (228, 232, 244), (128, 137, 164)
GREEN, AMBER, RED, BLUE, VIOLET = (86, 204, 128), (245, 190, 82), (238, 92, 98), (98, 170, 255), (178, 140, 255)
ACCENTS = (VIOLET, BLUE)
HELP = (
    (("R", "new game"), ("P", "pause"), ("N", "step"), ("TAB", "who plays")),
    (("S", "snapshot, back"), ("1-9", "sampler"), ("V", "record"), ("ESC", "leave")),
)


class Status(NamedTuple):
    """What the window knows and the session does not."""

    fps: float
    recording: bool
    policy: str


class Layout(NamedTuple):
    """Where things are, in screen pixels."""

    scale: int
    picture: tuple[int, int]  # width, height of one world
    size: tuple[int, int]  # of the whole window
    footer: int  # height of what is below the worlds

    def left(self, index: int) -> int:
        """Where the picture of a side begins."""
        return MARGIN + index * (self.picture[0] + MARGIN)


def layout_for(session: PlaySession, scale: int = 0) -> Layout:
    """The layout of a session; frames are enlarged `scale` times, 0 for as much as fits."""
    height, width = session.sides[0].score.frame.shape[:2]
    scale = scale or max(1, PICTURE // max(height, width))
    picture = scale * width, scale * height
    across = max(MARGIN + len(session.sides) * (picture[0] + MARGIN), NARROWEST)
    footer = 36 + HELP_LINE * (1 if across > 1.5 * NARROWEST else len(HELP))
    return Layout(scale, picture, (across, HEADER + TITLE + picture[1] + STATS + footer), footer)


class Hud:
    """Paints a session on `surface`, which has the layout's size."""

    def __init__(self, session: PlaySession, surface: pygame.Surface, layout: Layout, world: str):
        pygame.font.init()
        self.session, self.surface, self.layout, self.world = session, surface, layout, world
        self.fonts = {size: pygame.font.Font(None, size) for size in (20, 22, 26, 32, 46)}

    def draw(self, status: Status) -> None:
        """Paint everything anew."""
        self.surface.fill(GROUND)
        self._header(status)
        for index, side in enumerate(self.session.sides):
            self._side(side, self.layout.left(index), ACCENTS[index % 2])
        self._footer(status)

    def _header(self, status: Status) -> None:
        right = self.layout.size[0] - MARGIN
        middle = HEADER // 2 + 4
        self._text(self.world.upper(), 32, TEXT, (MARGIN, middle))
        if self.session.policy_plays:
            right = self._badge(f"POLICY  {status.policy}", AMBER, right, middle)
        else:
            right = self._badge("YOU PLAY", GREEN, right, middle)
        if self.session.paused:
            right = self._badge("PAUSED", FAINT, right, middle)
        if status.recording:
            self._badge("REC", RED, right, middle)

    def _side(self, side: Side, left: int, accent: tuple[int, int, int]) -> None:
        width, height = self.layout.picture
        top = HEADER + TITLE
        box = pygame.Rect(left - 8, HEADER, width + 16, TITLE + height + STATS - 10)
        pygame.draw.rect(self.surface, PANEL, box, border_radius=10)
        pygame.draw.rect(self.surface, accent, (left, HEADER + TITLE // 2 - 8, 5, 16), border_radius=2)
        self._text(side.title.upper(), 22, TEXT, (left + 14, HEADER + TITLE // 2 + 1))
        if self.session.saved is not None:
            self._text("snapshot kept", 20, FAINT, (left + width, HEADER + TITLE // 2 + 1), align="right")
        self.surface.blit(picture_of(side.score.frame, self.layout.scale), (left, top))
        self._caption(side.score, pygame.Rect(left, top, width, height))
        self._stats(side.score, left, top + height + 12, width)

    def _caption(self, score: Score, area: pygame.Rect) -> None:
        """The words over the picture, when there is something to say."""
        if score.ending:
            self._ribbon(score.ending.upper(), area, RED if score.ending == "game over" else AMBER)
        elif self.session.waiting:
            self._ribbon("press a key to begin", area, TEXT)

    def _ribbon(self, text: str, area: pygame.Rect, colour: tuple[int, int, int]) -> None:
        ribbon = pygame.Surface((area.width, 52), pygame.SRCALPHA)
        ribbon.fill((*PANEL, 225))
        ribbon.fill((*colour, 255), (0, 0, area.width, 2))
        ribbon.fill((*colour, 255), (0, 50, area.width, 2))
        self.surface.blit(ribbon, (area.left, area.centery - 26))
        size = 32 if self.fonts[32].size(text)[0] < area.width - 16 else 22
        self._text(text, size, colour, area.center, align="centre")

    def _stats(self, score: Score, left: int, top: int, width: int) -> None:
        """Four columns: return, reward, steps, trust."""
        column = width / 4
        sign = GREEN if score.reward > 0 else RED if score.reward < 0 else FAINT
        self._number("RETURN", f"{score.return_:.4g}", TEXT, (left, top))
        self._number("REWARD", f"{score.reward:+.3g}" if score.reward else "0", sign, (left + column, top))
        self._number("STEP", str(score.steps), TEXT, (left + 2 * column, top))
        if score.trust is not None:
            colour = trust_colour(score.trust)
            self._number("TRUST", f"{score.trust:.2f}", colour, (left + 3 * column, top))
            bar = pygame.Rect(left, top + 56, width, 6)
            pygame.draw.rect(self.surface, LINE, bar, border_radius=3)
            bar.width = max(6, round(width * min(1.0, max(0.0, score.trust))))
            pygame.draw.rect(self.surface, colour, bar, border_radius=3)

    def _number(self, name: str, value: str, colour: tuple[int, int, int], place: tuple[float, float]) -> None:
        self._text(name, 20, FAINT, (place[0], place[1] + 6))
        self._text(value, 46, colour, (place[0], place[1] + 34))

    def _footer(self, status: Status) -> None:
        width, height = self.layout.size
        steps = self.session.sampler_steps
        pace = f"{status.fps:.0f} fps   " if status.fps else ""
        facts = pace + (f"{steps} sampler steps   " if steps else "") + f"game {self.session.episode}"
        line = height - self.layout.footer + 14
        used = self._text(facts, 22, FAINT, (width - MARGIN, line), align="right")
        room = width - 3 * MARGIN - used
        self._text(self._fitted(self.session.message, 22, room), 22, AMBER, (MARGIN, line))
        lines = HELP if self.layout.footer > 36 + HELP_LINE else (sum(HELP, ()),)
        for index, entries in enumerate(lines):
            self._help_line(entries, line + 28 + index * HELP_LINE)

    def _help_line(self, entries: tuple[tuple[str, str], ...], middle: int) -> None:
        """Keys and what they do, spread over the width."""
        widths = [self.fonts[20].size(f"{key}  {does}")[0] for key, does in entries]
        gap = (self.layout.size[0] - 2 * MARGIN - sum(widths)) / max(1, len(entries) - 1)
        at = float(MARGIN)
        for (key, does), width in zip(entries, widths, strict=True):
            used = self._text(key, 20, TEXT, (at, middle))
            self._text(does, 20, FAINT, (at + used + 6, middle))
            at += width + gap

    def _badge(self, text: str, colour: tuple[int, int, int], right: int, middle: int) -> int:
        """A pill that ends at `right`; returns where the next one to its left may end."""
        box = pygame.Rect(0, 0, self.fonts[22].size(text)[0] + 24, 26)
        box.midright = right, middle
        pygame.draw.rect(self.surface, colour, box, border_radius=13)
        self._text(text, 22, GROUND, (box.centerx, box.centery + 1), align="centre")
        return box.left - 8

    def _text(self, text: str, size: int, colour: tuple[int, int, int], place, align: str = "left") -> int:
        """Draw `text` with its middle line at place[1]; returns its width."""
        image = self.fonts[size].render(text, True, colour)
        anchor = {"left": "midleft", "right": "midright", "centre": "center"}[align]
        self.surface.blit(image, image.get_rect(**{anchor: (round(place[0]), round(place[1]))}))
        return image.get_width()

    def _fitted(self, text: str, size: int, room: int) -> str:
        """`text`, cut with dots where it is wider than `room`."""
        if self.fonts[size].size(text)[0] <= room:
            return text
        while text and self.fonts[size].size(text + "...")[0] > room:
            text = text[:-1]
        return text.rstrip() + "..."


def picture_of(frame: np.ndarray, scale: int) -> pygame.Surface:
    """A frame (H, W, C) uint8 as a surface, each pixel `scale` pixels wide."""
    frame = shown(frame)
    surface = pygame.surfarray.make_surface(np.ascontiguousarray(frame.swapaxes(0, 1)))  # (W, H, 3)
    return pygame.transform.scale(surface, (frame.shape[1] * scale, frame.shape[0] * scale))


def trust_colour(trust: float) -> tuple[int, int, int]:
    """Green, amber or red for a trust in [0, 1]."""
    return GREEN if trust >= 0.8 else AMBER if trust >= 0.4 else RED
