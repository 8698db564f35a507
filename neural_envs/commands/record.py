"""`neural-envs record WORLD`, or `--env ID`: play a real game with the keyboard, and record it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium

from collectors.extras import install, optional
from collectors.interrupts import deferred_interrupts
from collectors.locks import locked
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.action_keys import as_chosen, as_taken, choices_of, keys_of
from neural_envs.own_keys import keys_setting, own_keys
from neural_envs.play.keyboard import Keys
from neural_envs.play.twins import PlayError
from world_models.world_spec import WorldSpec

if TYPE_CHECKING:
    from collectors.recording.person import PersonRecorder

ENDING_SECONDS = 1.0  # how long the end of a game is shown before the next one starts
REPEAT = 250, 100  # milliseconds until a held key presses again, where the game waits
ESCAPE = 27
RESERVED = frozenset({ord("r"), ord("p"), ESCAPE})


@dataclass(frozen=True)
class RecordSettings:
    """Play a real game with the keyboard; every step is recorded. Keys are those of the game, or
    follow from the names of its actions; R begins a new game, P pauses, ESC ends. Again with the
    same folder adds games."""

    world: str = setting("", "which game: " + ", ".join(WORLDS))
    env: str = setting("", "instead: any Gymnasium id with images, as ALE/Pong-v5")
    out: str = setting("", "directory to write; data/NAME-played if empty")
    options: tuple[str, ...] = setting((), "of the game, as grid_size=32,wrap=true")
    keys: tuple[str, ...] = keys_setting()
    wait: bool | None = setting(
        None, "the game waits for a key, a step per press; none: where no key has no meaning"
    )
    fps: int = setting(0, "steps per second; 0 is the game's own rate", least=0, most=1000)
    seed: int = setting(0, "of the first game; the next ones count up", least=0)
    max_steps: int = setting(0, "end after so many steps; 0 is never", least=0)
    compress: bool = setting(False, "frames without loss in a seventh of the room or less")

    def __post_init__(self):
        if bool(self.world) == bool(self.env):
            raise ValueError("name the game to play: a world, or any Gymnasium id as --env ID")
        check_settings(self)
        if self.compress:
            optional("zstandard")  # before anything is played


def game_keys(env: gymnasium.Env, words: Sequence[str] = ()) -> tuple[Keys, str]:
    """The keys of a game, and what they do in words: by the game's own map for
    `gymnasium.utils.play`, for single actions also by their names, and by `words`, see `own_keys`.
    Raises KeysError.
    """
    game: Any = env.unwrapped
    spec = WorldSpec.from_dict(game.world_spec())
    table = {keys: as_chosen(action) for keys, action in game.get_keys_to_action().items()}
    if spec.actions.is_discrete:
        table = {**keys_of(spec), **table}
    keys = Keys(own_keys(words, spec, table) if words else table, RESERVED)
    return keys, keys.described(choices_of(spec, keys.table))


class RecordWindow:
    """The game in a window, played by keys and recorded by `recorder`."""

    def __init__(self, recorder: Any, keys: Keys, settings: RecordSettings, title: str):
        import pygame

        from collectors.render_window import Window

        self.pygame, self.recorder, self.keys = pygame, recorder, keys
        idle = frozenset() in self.keys.table
        self.waits = not (idle or title in WORLDS) if settings.wait is None else settings.wait
        self.fps = settings.fps or int(recorder.env.metadata.get("render_fps") or 10)
        self.window, self.title = Window(title, self.fps), title
        self.open, self.paused, self.ending = True, False, 0

    def run(self, max_steps: int = 0, stop: object = None) -> None:
        """Play until ESC, the window's cross, so many steps (0: no limit), or `stop` is true."""
        self.show()
        if self.waits:
            self.pygame.key.set_repeat(*REPEAT)
        while self.open and not stop and not 0 < max_steps <= self.recorder.steps:
            for event in self.pygame.event.get():
                self.handle(event)
            self.tick()
            self.show()
        self.window.close()

    def handle(self, event: Any) -> None:
        """What was pressed, released or closed."""
        pygame = self.pygame
        if event.type == pygame.QUIT:
            self.open = False
        elif event.type == pygame.KEYUP:
            self.keys.release(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self.keys.pressed.clear()  # their KEYUP goes to another window
        elif event.type == pygame.KEYDOWN and not self.keys.press(event.key):
            if event.key == pygame.K_ESCAPE:
                self.open = False
            elif event.key == pygame.K_p:
                self.paused = not self.paused
            elif event.key == pygame.K_r:
                self.begin()

    def tick(self) -> None:
        """One frame's time: a step, a wait, or the next game."""
        if self.paused:
            return
        if self.ending > 0:
            self.ending -= 1
            if self.ending == 0:
                self.begin()
            return
        if self.waits:
            action = self.keys.taps.popleft() if self.keys.taps else None
        else:
            action = self.keys.next_action() if self.keys.active else None
        if action is not None and self.recorder.step(self._taken(action)):
            self.ending = max(1, round(ENDING_SECONDS * self.fps))

    def _taken(self, action: Any) -> Any:
        return as_taken(action, self.recorder.env.action_space)

    def begin(self) -> None:
        """The next game, in which nothing pressed before acts."""
        self.ending = 0
        self.recorder.begin()
        self.keys.clear()
        self.keys.taps.clear()

    def show(self) -> None:
        """Draw the game as it is now, and wait for a frame's time."""
        self.window.show(self.recorder.env.unwrapped.image())
        state = "paused" if self.paused else f"return {self.recorder.return_:g}"
        self.pygame.display.set_caption(
            f"{self.title}: game {self.recorder.games + 1}, step {self.recorder.steps}, {state}"
        )


def run(settings: RecordSettings) -> str:
    """Open the window and record until it is closed; return a line about the dataset. Raises
    PlayError without pygame, DisplayError without a screen, and what making the game raises.
    """
    from collectors.dataset.dataset import dataset_name
    from collectors.recording.named_game import make_named_game
    from collectors.recording.person import PersonRecorder

    try:
        from neural_envs.play.window import open_display
    except ImportError as error:
        raise PlayError(f"the window needs pygame: {install('play')} ({error})") from error
    name = settings.world or settings.env
    out = settings.out or f"data/{dataset_name(name)}-played"
    open_display("let a policy play by `neural-envs collect`")
    with make_named_game(settings.world, settings.env, settings.options) as env:
        keys, described = game_keys(env, settings.keys)
        with locked(out):
            recorder = PersonRecorder(env, out, settings.seed, settings.compress)
            window = RecordWindow(recorder, keys, settings, name)
            print(f"keys: {described}")
            with deferred_interrupts() as stop:  # what was played is saved however it is ended
                try:
                    window.run(settings.max_steps, stop)
                except BaseException:
                    print(_saved(recorder))
                    raise
                line = _saved(recorder)
    stop.end(line)
    return line


def _saved(recorder: PersonRecorder) -> str:
    """Writes what was played, and says so."""
    dataset = recorder.close()
    if dataset is None:
        return "nothing was played, nothing is recorded"
    played = f"{recorder.games} games and {recorder.steps} steps more"
    return f"{recorder.out}: {played}, {dataset.steps} in all"


def main(argv: list[str] | None = None) -> int:
    """The verb `record`; returns the exit code."""
    return command(RecordSettings, run, argv, "neural-envs record", ("world",))
