"""`neural-envs play WORLD`: play a dream with the keyboard, alone or beside the real game."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.extras import install
from collectors.files import check_free
from collectors.interrupts import deferred_interrupts
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.action_keys import choices_of
from neural_envs.play.config import PlayConfig
from neural_envs.play.session import PlaySession
from neural_envs.play.twins import PlayError, default_policy, make_session, world_name

if TYPE_CHECKING:
    from neural_envs.play.twins import AgentMaker
    from neural_envs.play.window import PlayWindow

UNSEEN = "SDL_VIDEODRIVER=dummy to play unseen (with --record FILE.mp4 --policy NAME --max-steps N)"


def run(config: PlayConfig, agents: AgentMaker | None = None) -> str:
    """Open the window and play until it is closed; returns the scores and the files written.

    `agents` makes trained agents of files.
    """
    for file in filter(None, (config.record, config.dream_file)):
        check_free(file, config.overwrite)
    try:
        from neural_envs.play.window import RESERVED, PlayWindow, open_display
    except ImportError as error:
        raise PlayError(f"the window needs pygame: {install('play')} ({error})") from error
    open_display(UNSEEN)
    session = make_session(config, RESERVED, agents)
    name = world_name(config)
    policy = config.policy or default_policy(name)
    window = PlayWindow(session, name, policy, config.fps, config.scale, config.record)
    window.show_panels(config.difference, config.filmstrip)
    if config.keys or name not in WORLDS:
        spec = session.dream.simulator.model.spec
        print(f"keys: {session.keys.described(choices_of(spec, session.keys.table))}")
    with deferred_interrupts() as stop:  # what was played is saved however the window is closed
        window.run(config.max_steps, stop)
        files = saved(session, window, config)
    if stop:
        stop.end("; ".join(files))
    lines = [
        f"{view.title}: return {view.score.return_:g} after {view.score.steps} steps"
        for view in session.views
    ]
    lines.append(f"game {session.episode}, first one from --seed {session.seed}")
    return "\n".join([*lines, *files])


def saved(session: PlaySession, window: PlayWindow, config: PlayConfig) -> list[str]:
    """Save the dream, where that is asked for; a line per file of the game."""
    lines = [f"recorded {path}" for path in window.files]
    file = session.views[0].dream_file() if config.dream_file else None
    if file is not None:
        file.save(config.dream_file)
        again = f"neural-envs replay {config.dream_file} dreams it again"
        lines.append(f"dream saved as {config.dream_file}; {again}")
    return lines


def main(argv: list[str] | None = None, agents: AgentMaker | None = None) -> int:
    """The verb `play`; returns the exit code. `agents`: see `run`."""
    return command(
        PlayConfig, lambda config: run(config, agents), argv, "neural-envs play", ("world",)
    )
