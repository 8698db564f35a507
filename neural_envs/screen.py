"""The play window: keys in, pictures out, at the world's pace. All that a key does is a call on the `PlaySession`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame  # the greeting is for people, not for a command's output

from neural_envs.hud import Hud, Status, layout_for
from neural_envs.session import PlaySession
from neural_envs.video import VideoWriter, open_video

COMMANDS = {
    pygame.K_r: PlaySession.reset,
    pygame.K_p: PlaySession.toggle_pause,
    pygame.K_n: PlaySession.single_step,
    pygame.K_TAB: PlaySession.toggle_player,
    pygame.K_s: PlaySession.snapshot_or_restore,
}
DIGITS = {pygame.K_0 + digit: digit for digit in range(1, 10)}
RESERVED = frozenset({*COMMANDS, *DIGITS, pygame.K_v, pygame.K_ESCAPE})


class DisplayError(RuntimeError):
    """There is no screen to open a window on."""


def open_display() -> None:
    """Start pygame's display (no audio). DisplayError where there is no screen and no SDL_VIDEODRIVER was chosen."""
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise DisplayError(f"no window can be opened ({error}); {_remedy()}") from error
    if not os.environ.get("SDL_VIDEODRIVER") and driver in ("offscreen", "dummy"):
        pygame.display.quit()
        raise DisplayError(f"this machine has no screen to play on; {_remedy()}")


class Screen:
    """A window on a session. `fps` 0 is the world's own pace, `scale` 0 as large as fits. Needs `open_display` first.

    `policy` is the name shown while the policy plays; recordings go to `record`, or for key V to the next free
    ``<world>-001.mp4`` in the working directory.
    """

    def __init__(
        self, session: PlaySession, world: str, policy: str = "", fps: int = 0, scale: int = 0, record: str = ""
    ):
        self.session, self.world, self.policy, self.fps = session, world, policy, fps or session.fps
        layout = layout_for(session, scale)
        self.surface = pygame.display.set_mode(layout.size)
        pygame.display.set_caption(f"neural-envs: {world}")
        self.hud, self.clock = Hud(session, self.surface, layout, world), pygame.time.Clock()
        self.film: VideoWriter | None = open_video(record, self.fps) if record else None
        self.recorded: list[Path] = []
        self.open = True

    def run(self, max_steps: int = 0) -> None:
        """Play until ESC, the window's cross, or `max_steps` moments (0: no limit). Always finishes a recording."""
        try:
            self.show()
            while self.open and not (max_steps and self.session.moments >= max_steps):
                before = self.session.moments
                self.read_keys()
                self.session.tick()
                self.show(record=self.session.moments > before)
                self.clock.tick(self.fps)
        finally:
            self.stop_film()

    def read_keys(self) -> None:
        """Take in what was pressed and released since the last call."""
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self.open = False
            elif event.type == pygame.KEYDOWN:
                self._press(event.key, getattr(event, "mod", 0))
            elif event.type == pygame.KEYUP:
                self.session.keys.release(event.key)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self.session.keys.held.clear()  # their KEYUP goes to another window

    def show(self, record: bool = True) -> None:
        """Draw the session as it is now, and film it if the camera runs and `record`."""
        self.hud.draw(Status(self.clock.get_fps(), self.film is not None, self.policy))
        pygame.display.flip()
        if self.film is not None and record:
            self.film.add(self.picture())

    def picture(self) -> np.ndarray:
        """The window as it was last drawn, (H, W, 3) uint8."""
        return pygame.surfarray.array3d(self.surface).swapaxes(0, 1)

    def toggle_film(self) -> None:
        """Start a recording, or finish the one that runs."""
        if self.film is not None:
            self.stop_film()
            return self.session.say(f"recorded {self.recorded[-1].name}" if self.recorded else "nothing recorded")
        try:
            self.film = open_video(_free_name(self.world), self.fps)
        except (ImportError, OSError) as error:  # no ffmpeg, a directory that cannot be written
            return self.session.say(str(error))
        self.session.say(f"recording {self.film.path.name}")

    def stop_film(self) -> None:
        """Finish a recording, if one runs; one without a picture leaves no file."""
        film, self.film = self.film, None
        if film is None:
            return
        if film.count:
            film.close()
            self.recorded.append(film.path)
        else:
            film.discard()

    def _press(self, key: int, modifiers: int) -> None:
        session = self.session
        if session.keys.press(key):
            return
        if key == pygame.K_ESCAPE:
            self.open = False
        elif key == pygame.K_v:
            self.toggle_film()
        elif key == pygame.K_s and modifiers & pygame.KMOD_SHIFT:
            session.snapshot()
        elif key in DIGITS:
            session.set_sampler_steps(DIGITS[key])
        elif key in COMMANDS:
            COMMANDS[key](session)


def _free_name(world: str) -> Path:
    stem = world.replace("/", "-").replace(":", "-")
    return next(path for n in range(1, 10**6) if not (path := Path(f"{stem}-{n:03d}.mp4")).exists())


def _remedy() -> str:
    return "set DISPLAY, or SDL_VIDEODRIVER=dummy to play unseen (with --record FILE.mp4 --policy NAME --max-steps N)"
