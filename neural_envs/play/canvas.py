"""What the play window is drawn with: a surface, fonts, colors, and the shapes of its panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pygame

from collectors.media import to_rgb

Color = tuple[int, int, int]
BACKGROUND, PANEL, LINE = (13, 15, 24), (24, 27, 40), (46, 51, 72)
TEXT, MUTED = (228, 232, 244), (128, 137, 164)
GREEN, AMBER, RED, BLUE, VIOLET = (
    (86, 204, 128),
    (245, 190, 82),
    (238, 92, 98),
    (98, 170, 255),
    (178, 140, 255),
)


class Canvas:
    """A surface to draw on."""

    def __init__(self, surface: pygame.Surface):
        pygame.font.init()
        self.surface = surface
        self.fonts = {size: pygame.font.Font(None, size) for size in (20, 22, 26, 32, 46)}

    def text(
        self, text: str, size: int, color: Color, place: Sequence[float], align: str = "left"
    ) -> int:
        """Draw `text` with its middle line at place[1]; returns its width."""
        image = self.fonts[size].render(text, True, color)
        anchor = {"left": "midleft", "right": "midright", "center": "center"}[align]
        self.surface.blit(image, image.get_rect(**{anchor: (round(place[0]), round(place[1]))}))
        return image.get_width()

    def width(self, text: str, size: int = 22) -> int:
        """Width of a text in pixels."""
        return self.fonts[size].size(text)[0]

    def fitted(self, text: str, size: int, room: int) -> str:
        """`text`, cut with dots where it is wider than `room`."""
        if self.width(text, size) <= room:
            return text
        while text and self.width(text + "...", size) > room:
            text = text[:-1]
        return text.rstrip() + "..."

    def panel(self, box: pygame.Rect, title: str, accent: Color, note: str = "") -> None:
        """A box; in its first line, 34 pixels high, a title at the left and a note at the right."""
        middle, left, right = box.top + 17, box.left + 8, box.right - 8
        pygame.draw.rect(self.surface, PANEL, box, border_radius=10)
        pygame.draw.rect(self.surface, accent, (left, middle - 8, 5, 16), border_radius=2)
        used = self.text(title.upper(), 22, TEXT, (left + 14, middle + 1)) + 28
        self.text(
            self.fitted(note, 20, right - left - used),
            20,
            MUTED,
            (right, middle + 1),
            align="right",
        )

    def badge(self, text: str, color: Color, right: int, middle: int) -> int:
        """A pill that ends at `right`; returns where the next one to its left may end."""
        box = pygame.Rect(0, 0, self.width(text) + 24, 26)
        box.midright = right, middle
        pygame.draw.rect(self.surface, color, box, border_radius=13)
        self.text(text, 22, BACKGROUND, (box.centerx, box.centery + 1), align="center")
        return box.left - 8

    def ribbon(self, text: str, area: pygame.Rect, color: Color) -> None:
        """Words over the middle of a frame."""
        ribbon = pygame.Surface((area.width, 52), pygame.SRCALPHA)
        ribbon.fill((*PANEL, 225))
        ribbon.fill((*color, 255), (0, 0, area.width, 2))
        ribbon.fill((*color, 255), (0, 50, area.width, 2))
        self.surface.blit(ribbon, (area.left, area.centery - 26))
        size = 32 if self.width(text, 32) < area.width - 16 else 22
        self.text(text, size, color, area.center, align="center")

    def number(self, name: str, value: str, color: Color, place: tuple[float, float]) -> None:
        """A large value under its small name."""
        self.text(name, 20, MUTED, (place[0], place[1] + 6))
        self.text(value, 46, color, (place[0], place[1] + 34))

    def bar(self, box: pygame.Rect, share: float, color: Color) -> None:
        """A bar filled from the left to `share`, 0 to 1."""
        pygame.draw.rect(self.surface, LINE, box, border_radius=3)
        width = max(box.height, round(box.width * min(1.0, max(0.0, share))))
        pygame.draw.rect(self.surface, color, (*box.topleft, width, box.height), border_radius=3)

    def sparkline(
        self, box: pygame.Rect, values: Sequence[float], length: int, color: Color
    ) -> None:
        """A curve of the last `length` values, the newest at the right, from 0 to 1 over `box`."""
        pygame.draw.line(self.surface, LINE, box.bottomleft, box.bottomright)
        values = values[-length:]
        step = box.width / (length - 1)
        points = [
            (
                box.right - step * (len(values) - 1 - i),
                box.bottom - 1 - (box.height - 2) * min(1.0, max(0.0, value)),
            )
            for i, value in enumerate(values)
        ]
        if len(points) > 1:
            pygame.draw.lines(self.surface, color, False, points, 2)

    def frame(self, frame: np.ndarray, place: tuple[int, int], size: tuple[int, int]) -> None:
        """A frame (H, W, C) uint8 at `place`, enlarged to `size`, width and height."""
        frame = to_rgb(frame)
        columns = np.ascontiguousarray(frame.swapaxes(0, 1))  # (W, H, 3)
        surface = pygame.surfarray.make_surface(columns)
        self.surface.blit(pygame.transform.scale(surface, size), place)


def trust_color(trust: float) -> Color:
    """Green, amber or red for a trust in [0, 1]."""
    return GREEN if trust >= 0.8 else AMBER if trust >= 0.4 else RED
