"""The window of render_mode="human": frames enlarged by a whole number, no audio."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from collectors.media import enlarge

_LONGEST_SIDE = 512  # pixels on the screen
_IDLE = ("noop", "none", "stay", "nothing")


class Window:
    """A pygame window that opens at the first frame shown."""

    def __init__(self, title: str, fps: int) -> None:
        self._title, self._fps = title, fps
        self._surface: Any = None  # pygame's, once there is a frame
        self._clock: Any = None

    def show(self, frame: np.ndarray) -> None:
        """Draw one frame (H, W, 3) uint8 and wait, so that there are `fps` frames per second."""
        pygame = _pygame()
        scale = max(1, _LONGEST_SIDE // max(frame.shape[:2]))
        image = enlarge(frame, scale).swapaxes(0, 1)  # (W, H, 3)
        if self._surface is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._surface = pygame.display.set_mode(image.shape[:2])
            self._clock = pygame.time.Clock()
        pygame.event.pump()
        self._surface.blit(pygame.surfarray.make_surface(image), (0, 0))
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window; it may be closed already."""
        if self._surface is not None:
            _pygame().display.quit()
            self._surface = self._clock = None


def keys_to_action(action_names: tuple[str, ...]) -> dict[tuple, int]:
    """The keyboard for gymnasium.utils.play, {(key, ...): action}.

    Arrows and WASD are directions ("up_left" and "upleft" are two keys at once). Any other action
    has the key of its number, from 10 on a letter that is free: e, t, y, ...
    """
    pygame = _pygame()
    arrows = {
        "up": pygame.K_UP,
        "down": pygame.K_DOWN,
        "left": pygame.K_LEFT,
        "right": pygame.K_RIGHT,
    }
    letters = {"up": "w", "down": "s", "left": "a", "right": "d", "fire": " ", "serve": " "}
    if "up" not in action_names:
        arrows["forward"], letters["forward"] = arrows["up"], letters["up"]
    keys: dict[tuple, int] = {}
    spare = iter("etyuiofghjklzxcbm")
    for action, name in enumerate(action_names):
        words = _key_words(name, letters)
        if re.split("[-_]", name.lower())[0] in _IDLE:
            keys[()] = action  # no key pressed
        elif words:
            keys[tuple(arrows.get(word, letters[word]) for word in words)] = action
            keys[tuple(letters[word] for word in words)] = action
        elif key := str(action) if action < 10 else next(spare, ""):
            keys[(key,)] = action
    return keys


def _key_words(name: str, known: Iterable[str]) -> list[str]:
    """The known words that a name such as "up-left" consists of; none if it has others too."""
    word = "|".join(known)
    text = name.lower()
    return re.findall(word, text) if re.fullmatch(f"({word})([-_]?({word}))*", text) else []


def _pygame():
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled("a window needs pygame: pip install pygame") from error
    return pygame
