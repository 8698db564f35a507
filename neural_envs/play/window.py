"""The play window: keys in, frames out, at the world's frame rate.

All that a key does is a call on the `PlaySession`, or on the window itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # no greeting in a command's output
import pygame

from collectors.video_writers import VideoWriter, open_video, write_video
from neural_envs.branching import branches, branches_film
from neural_envs.play.hud import Hud, Panels, Status, layout_for
from neural_envs.play.session import PlaySession

SESSION_KEYS: dict[int, Callable[[PlaySession], None]] = {
    pygame.K_r: PlaySession.reset,
    pygame.K_p: PlaySession.toggle_pause,
    pygame.K_n: PlaySession.single_step,
    pygame.K_TAB: PlaySession.toggle_player,
    pygame.K_s: PlaySession.snapshot_or_restore,
    pygame.K_c: PlaySession.resync,
}
DIGITS = {pygame.K_0 + digit: digit for digit in range(1, 10)}
WINDOW_KEYS = (pygame.K_a, pygame.K_d, pygame.K_f, pygame.K_g, pygame.K_v, pygame.K_ESCAPE)
RESERVED = frozenset({*SESSION_KEYS, *DIGITS, *WINDOW_KEYS})
GUIDANCE_STEP, HELD_FRAMES = 0.5, 32


class DisplayError(RuntimeError):
    """There is no screen to open a window on."""


def open_display(otherwise: str = "") -> None:
    """Start pygame's display (no audio). `otherwise`: what a command can do without a screen.

    DisplayError where there is no screen and no SDL_VIDEODRIVER was chosen.
    """
    remedy = ", or ".join(filter(None, ["set DISPLAY", otherwise]))
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise DisplayError(f"no window can be opened ({error}); {remedy}") from error
    if not os.environ.get("SDL_VIDEODRIVER") and driver in ("offscreen", "dummy"):
        pygame.display.quit()
        raise DisplayError(f"this machine has no screen to play on; {remedy}")


class PlayWindow:
    """A window on a session; call `open_display` first.

    `fps` 0 is the world's own frame rate, `scale` 0 as large as fits. `policy` is the name shown
    while the policy plays. A recording goes to `record`, or for key V to the next free
    ``<world>-001.mp4`` in the working directory.
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
        self.scale, self.panels, self.clock = scale, Panels(), pygame.time.Clock()
        self._fit()
        pygame.display.set_caption(f"neural-envs: {world}")
        self.recording: VideoWriter | None = open_video(record, self.fps) if record else None
        self.files: list[Path] = []  # recordings so far
        self.open = True
        # The frame and the options that the filmstrip was computed for, and its frames.
        self._strip: tuple[object, object, list[np.ndarray]] = (None, None, [])

    def run(self, max_steps: int = 0, stop: object = None) -> None:
        """Play until ESC, the window's cross, `max_steps` ticks (0: no limit), or until `stop` is
        true.

        Always finishes a recording.
        """
        try:
            self.show()
            while self.open and not stop and not 0 < max_steps <= self.session.ticks:
                before = self.session.ticks
                self.read_keys()
                self.session.tick()
                self.show(record=self.session.ticks > before)
                self.clock.tick(self.fps)
        finally:
            self.stop_recording()

    def read_keys(self) -> None:
        """Handle what was pressed and released since the last call."""
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self.open = False
            elif event.type == pygame.KEYDOWN:
                self._press(event.key, getattr(event, "mod", 0))
            elif event.type == pygame.KEYUP:
                self.session.keys.release(event.key)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self.session.keys.pressed.clear()  # their KEYUP goes to another window

    def show(self, record: bool = True) -> None:
        """Draw the session as it is now and, if `record`, add that to a recording that runs."""
        status = Status(
            self.clock.get_fps(), self.recording is not None, self.policy, self.filmstrip()
        )
        self.hud.draw(status)
        pygame.display.flip()
        if self.recording is not None and record:
            try:
                self.recording.add(self.image())
            except ImportError as error:  # no ffmpeg: the game goes on
                self.stop_recording()
                self.session.show_message(str(error))

    def image(self) -> np.ndarray:
        """The window as it was last drawn, (H, W, 3) uint8."""
        return pygame.surfarray.array3d(self.surface).swapaxes(0, 1)

    def filmstrip(self) -> list[np.ndarray]:
        """The frames from noise to result, once per step; none while the panel is closed."""
        if not self.panels.filmstrip:
            return []
        dream, frame = self.session.dream, self.session.views[0].score.frame
        if frame is not self._strip[0] or dream.sampling != self._strip[1]:
            self._strip = frame, dream.sampling, dream.denoising()
        return self._strip[2]

    def show_panels(self, difference: bool, filmstrip: bool) -> None:
        """Open or close the panels beside the worlds; where there is nothing to show, say why."""
        session, reason = self.session, ""
        if self.recording is not None and self.recording.count:
            reason = "the window keeps its size while it is recorded: V ends the recording"
            return session.show_message(reason)
        if difference and session.real is None:
            difference = False
            reason = "there is no real game to differ from: start with --real"
        if filmstrip and not session.dream.denoises:
            filmstrip, reason = False, "drawn in one call: nothing between noise and result"
        if reason:
            session.show_message(reason)
        if Panels(difference, filmstrip) != self.panels:
            self.panels = Panels(difference, filmstrip)
            self._fit()

    def record_actions(self) -> None:
        """Write a film of every action, held from what the dream shows now."""
        session, dream = self.session, self.session.dream
        found = branches(dream.simulator, dream.get_state(), HELD_FRAMES, dream.sampling)
        path = _free_name(f"{self.world}-actions")
        try:
            self.files.append(write_video(path, branches_film(found), self.fps, scale=1))
        except (ImportError, OSError) as error:
            return session.show_message(str(error))
        session.show_message(f"every action from here, {HELD_FRAMES} steps: {path.name}")

    def toggle_recording(self) -> None:
        """Start a recording, or finish the one that runs."""
        if self.recording is not None:
            self.stop_recording()
            text = f"recorded {self.files[-1].name}" if self.files else "nothing recorded"
            return self.session.show_message(text)
        try:
            self.recording = open_video(_free_name(self.world), self.fps)
        except (ImportError, OSError) as error:  # no ffmpeg, a directory that cannot be written
            return self.session.show_message(str(error))
        self.session.show_message(f"recording {self.recording.path.name}")

    def stop_recording(self) -> None:
        """Finish a recording, if one runs; one without a frame leaves no file."""
        recording, self.recording = self.recording, None
        if recording is None:
            return
        if recording.count:
            recording.close()
            self.files.append(recording.path)
        else:
            recording.discard()

    def _fit(self) -> None:
        """Give the window the size of what it shows."""
        layout = layout_for(self.session, self.scale, self.panels)
        self.surface = pygame.display.set_mode(layout.size)
        self.hud = Hud(self.session, self.surface, layout, self.world)

    def _press(self, key: int, modifiers: int) -> None:
        session, shift = self.session, modifiers & pygame.KMOD_SHIFT
        if session.keys.press(key):
            return
        if key == pygame.K_ESCAPE:
            self.open = False
        elif key == pygame.K_v:
            self.toggle_recording()
        elif key == pygame.K_s and shift:
            session.snapshot()
        elif key == pygame.K_g:
            session.change_guidance(-GUIDANCE_STEP if shift else GUIDANCE_STEP)
        elif key == pygame.K_d:
            self.show_panels(not self.panels.difference, self.panels.filmstrip)
        elif key == pygame.K_f:
            self.show_panels(self.panels.difference, not self.panels.filmstrip)
        elif key == pygame.K_a:
            self.record_actions()
        elif key in DIGITS:
            session.set_sampler_steps(DIGITS[key])
        elif key in SESSION_KEYS:
            SESSION_KEYS[key](session)


def _free_name(world: str) -> Path:
    stem = world.replace("/", "-").replace(":", "-")
    return next(path for n in range(1, 10**6) if not (path := Path(f"{stem}-{n:03d}.mp4")).exists())
