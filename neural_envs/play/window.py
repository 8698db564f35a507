"""The play window: keys in, pictures out, at the world's pace.

All that a key does is a call on the `PlaySession`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
import pygame  # the greeting is for people, not for a command's output

from collectors.video_writers import VideoWriter, open_video, write_video
from neural_envs.play.hud import Hud, Status, View, layout_for
from neural_envs.play.session import PlaySession

COMMANDS = {
    pygame.K_r: PlaySession.reset,
    pygame.K_p: PlaySession.toggle_pause,
    pygame.K_n: PlaySession.single_step,
    pygame.K_TAB: PlaySession.toggle_player,
    pygame.K_s: PlaySession.snapshot_or_restore,
    pygame.K_c: PlaySession.resync,
}
DIGITS = {pygame.K_0 + digit: digit for digit in range(1, 10)}
OWN = (pygame.K_a, pygame.K_d, pygame.K_f, pygame.K_g, pygame.K_v, pygame.K_ESCAPE)
RESERVED = frozenset({*COMMANDS, *DIGITS, *OWN})
GUIDANCE_STEP, HELD_FRAMES = 0.5, 32


class DisplayError(RuntimeError):
    """There is no screen to open a window on."""


def open_display() -> None:
    """Start pygame's display (no audio).

    DisplayError where there is no screen and no SDL_VIDEODRIVER was chosen.
    """
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise DisplayError(f"no window can be opened ({error}); {_remedy()}") from error
    if not os.environ.get("SDL_VIDEODRIVER") and driver in ("offscreen", "dummy"):
        pygame.display.quit()
        raise DisplayError(f"this machine has no screen to play on; {_remedy()}")


class Screen:
    """A window on a session. `fps` 0 is the world's own pace, `scale` 0 as large as fits. Needs
    `open_display` first.

    `policy` is the name shown while the policy plays; recordings go to `record`, or for key V to
    the next free ``<world>-001.mp4`` in the working directory.
    """

    def __init__(
        self,
        session: PlaySession,
        world: str,
        policy: str = "",
        fps: int = 0,
        scale: int = 0,
        record: str = "",
    ):
        self.session, self.world, self.policy, self.fps = session, world, policy, fps or session.fps
        self.scale, self.view, self.clock = scale, View(), pygame.time.Clock()
        self._fit()
        pygame.display.set_caption(f"neural-envs: {world}")
        self.film: VideoWriter | None = open_video(record, self.fps) if record else None
        self.recorded: list[Path] = []
        self.open = True
        self._strip: tuple[Any, Any, list[np.ndarray]] = (
            None,
            None,
            [],
        )  # of which frame and settings; the strip

    def run(self, max_steps: int = 0) -> None:
        """Play until ESC, the window's cross, or `max_steps` moments (0: no limit).

        Always finishes a recording.
        """
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
        self.hud.draw(
            Status(self.clock.get_fps(), self.film is not None, self.policy, self.strip())
        )
        pygame.display.flip()
        if self.film is not None and record:
            try:
                self.film.add(self.picture())
            except ImportError as error:  # no ffmpeg: the game goes on
                self.stop_film()
                self.session.say(str(error))

    def picture(self) -> np.ndarray:
        """The window as it was last drawn, (H, W, 3) uint8."""
        return pygame.surfarray.array3d(self.surface).swapaxes(0, 1)

    def strip(self) -> list[np.ndarray]:
        """The frames of the filmstrip, computed once a step; none while its pane is closed."""
        session = self.session
        if not self.view.filmstrip:
            return []
        frame, settings = session.sides[0].score.frame, (session.sampler_steps, session.guidance)
        if frame is not self._strip[0] or settings != self._strip[1]:
            self._strip = frame, settings, session.denoising()
        return self._strip[2]

    def open_panes(self, difference: bool, filmstrip: bool) -> None:
        """Open or close the panes beside the worlds, where there is something to show in them; else
        say why not.
        """
        session, why = self.session, ""
        if self.film is not None and self.film.count:
            return session.say(
                "the window keeps its size while it is recorded: V ends the recording"
            )
        if difference and len(session.sides) < 2:
            difference, why = False, "there is no real game to differ from: start with --real"
        if filmstrip and not session.denoises:
            filmstrip, why = False, "drawn in one call: nothing between noise and picture"
        if why:
            session.say(why)
        if View(difference, filmstrip) != self.view:
            self.view = View(difference, filmstrip)
            self._fit()

    def film_actions(self) -> None:
        """Write a film of every action, held from what the dream shows now, beside the
        recordings.
        """
        dream = self.session.sides[0].env.unwrapped
        if not hasattr(dream, "simulator"):
            return self.session.say("this dream cannot be branched")
        from neural_envs.commands.action_grid import branches, film_of

        found = branches(dream.simulator, dream.get_state(), HELD_FRAMES, dream.sampling)
        try:
            path = write_video(
                _free_name(f"{self.world}-actions"), film_of(found), self.fps, scale=1
            )
        except (ImportError, OSError) as error:
            return self.session.say(str(error))
        self.recorded.append(path)
        self.session.say(f"every action from here, {HELD_FRAMES} steps: {path.name}")

    def toggle_film(self) -> None:
        """Start a recording, or finish the one that runs."""
        if self.film is not None:
            self.stop_film()
            return self.session.say(
                f"recorded {self.recorded[-1].name}" if self.recorded else "nothing recorded"
            )
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

    def _fit(self) -> None:
        """Give the window the size of what it shows."""
        layout = layout_for(self.session, self.scale, self.view)
        self.surface = pygame.display.set_mode(layout.size)
        self.hud = Hud(self.session, self.surface, layout, self.world)

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
        elif key == pygame.K_g:
            session.change_guidance(
                -GUIDANCE_STEP if modifiers & pygame.KMOD_SHIFT else GUIDANCE_STEP
            )
        elif key == pygame.K_d:
            self.open_panes(not self.view.difference, self.view.filmstrip)
        elif key == pygame.K_f:
            self.open_panes(self.view.difference, not self.view.filmstrip)
        elif key == pygame.K_a:
            self.film_actions()
        elif key in DIGITS:
            session.set_sampler_steps(DIGITS[key])
        elif key in COMMANDS:
            COMMANDS[key](session)


def _free_name(world: str) -> Path:
    stem = world.replace("/", "-").replace(":", "-")
    return next(path for n in range(1, 10**6) if not (path := Path(f"{stem}-{n:03d}.mp4")).exists())


def _remedy() -> str:
    return (
        "set DISPLAY, or SDL_VIDEODRIVER=dummy to play unseen (with --record FILE.mp4 --policy "
        "NAME --max-steps N)"
    )
