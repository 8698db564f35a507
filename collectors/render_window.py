"""The window of render_mode="human": frames enlarged by a whole number, no audio."""

from __future__ import annotations

from typing import Any

import numpy as np

from collectors.extras import optional
from collectors.media import enlarge

_LONGEST_SIDE = 512  # pixels on the screen


class Window:
    """A pygame window that opens at the first frame shown."""

    def __init__(self, title: str, fps: int) -> None:
        self._title, self._fps = title, fps
        self._surface: Any = None  # pygame's, once there is a frame
        self._clock: Any = None

    def show(self, frame: np.ndarray) -> None:
        """Draw one frame (H, W, 3) uint8 and wait, so that there are `fps` frames per second."""
        pygame = optional("pygame")
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
            optional("pygame").display.quit()
            self._surface = self._clock = None
