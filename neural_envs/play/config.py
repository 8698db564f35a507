"""The settings of the verb `play`."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.settings.parse import check_settings, setting
from collectors.video_writers import WRITERS
from collectors.worlds.table import WORLDS, find_world
from neural_envs.own_keys import keys_setting
from neural_envs.replays.replay_file import SUFFIX


@dataclass(frozen=True)
class PlayConfig:
    """Play a dream. A held key is the action; with no key the world goes on. Keys: R new game, P
    pause, N single step, TAB you or the policy, S snapshot and back to it (shift+S: a new one), 1-9
    sampler steps, G more guidance (shift+G: less), D difference, C resync, F filmstrip of the
    denoising, A film of every action, V record, ESC leave."""

    world: str = setting(
        "", "which game: " + ", ".join(WORLDS) + "; none: the bundle's, without a bundle snake"
    )
    real: bool = setting(
        False, "show the real game beside the dream, with the same start and the same keys"
    )
    twin: str = setting(
        "",
        "show this real game beside the dream, any Gymnasium id; --real is that of a world of ours",
    )
    real_options: tuple[str, ...] = setting((), "of the game of --twin, as continuous=true")
    keys: tuple[str, ...] = keys_setting()
    policy: str = setting(
        "",
        "let this policy play from the start (TAB takes over): random, the world's own, as astar, "
        "or policy.zip of ppo",
    )
    bundle: str = setting(
        "", "another bundle of any game: released name, directory or Hub repository"
    )
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")
    sampler_steps: int = setting(
        0, "denoising steps per frame, where the model has them; 0 is the bundle's own", least=0
    )
    guidance: float | None = setting(
        None, "guidance on the action, 1 for none; none is the bundle's own"
    )
    temperature: float | None = setting(
        None,
        "of categorical draws, where it has them; 0 takes the likeliest; none is the bundle's own",
        least=0,
    )
    difference: bool = setting(
        False, "open the panel with the difference between dream and real game (D)"
    )
    filmstrip: bool = setting(False, "open the panel with the frames from noise to result (F)")
    fps: int = setting(0, "steps per second; 0 is the world's own rate", least=0)
    scale: int = setting(0, "screen pixels per world pixel; 0 is as large as fits", least=0)
    max_steps: int = setting(
        0,
        "leave after this many steps (waiting for the first key counts too); 0 is never",
        least=0,
    )
    record: str = setting("", "record from the start into this .mp4 or .gif")
    overwrite: bool = setting(False, "replace the files of record and dream_file where they exist")
    dream_file: str = setting(
        "", "save the last dream into this .dream file on leaving; replay and video read it"
    )
    seed: int | None = setting(None, "seed of the first game; none draws one", least=0)

    def __post_init__(self) -> None:
        if self.world:
            find_world(self.world)
        check_settings(self)
        if self.difference and not (self.real or self.twin):
            raise ValueError(
                "setting 'difference' needs the real game beside the dream: add --real"
            )
        if self.real_options and not self.twin:
            raise ValueError("setting 'real_options' is of the real game: name it with --twin ID")
        if self.record and not self.record.lower().endswith(tuple(WRITERS)):
            raise ValueError(
                f"setting 'record' is a file name ending in {' or '.join(WRITERS)}, got "
                f"'{self.record}'"
            )
        if self.dream_file and not self.dream_file.endswith(SUFFIX):
            raise ValueError(
                f"setting 'dream_file' is a file name ending in {SUFFIX}, got '{self.dream_file}'"
            )
