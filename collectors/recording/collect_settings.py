"""The settings of the command `collect`, and those that a recording's name stands for."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.extras import optional
from collectors.recording import presets
from collectors.settings.parse import check_settings, setting


@dataclass(frozen=True)
class CollectSettings:
    """Plays a real game with a policy and writes a dataset. With a name alone it is the recording
    that the training presets of that name want; what is given differs from it."""

    world: str = setting(
        "",
        f"the game or the recording: {', '.join(presets.recordings())}; or an id of a real game",
    )
    env: str = setting("", "instead: any Gymnasium id with images, as ALE/Pong-v5")
    frames: int = setting(200_000, "steps to collect, at least; may grow with --resume", least=1)
    policy: str = setting(
        "mix",
        "random, sticky:0.8, mix, one of the world's own, or a trained agent, policy.zip:0.1 (a "
        "tenth random); several with commas are a mixture by episodes, with shares as astar@2",
    )
    workers: int = setting(2, "processes; the data do not depend on their number", least=1)
    seed: int = setting(0, "decides the data", least=0)
    out: str = setting("", "directory to write; data/NAME if empty")
    shard_steps: int = setting(
        20_000, "steps per shard; a killed worker loses the one it plays", least=1
    )
    lanes: int = setting(
        16, "games at once in a worker, where that is faster; not in the data", least=1
    )
    ray: str = setting("", "play on a Ray cluster: its address, or local to start one")
    options: tuple[str, ...] = setting((), "of the game, as grid_size=32,wrap=true")
    compress: bool = setting(
        False, "frames without loss in a seventh of the room or less, which are slower to read"
    )
    resume: bool = setting(False, "go on with the dataset that is there")

    def __post_init__(self):
        if bool(self.world) == bool(self.env):
            raise ValueError("name the game to collect: a world, or any Gymnasium id as --env ID")
        check_settings(self)
        if self.compress:
            optional("zstandard")  # before anything is played


def settings_of(name: str) -> CollectSettings:
    """The settings of `collect NAME`: of a recording, or the defaults for an id of a real game."""
    recording = presets.recordings().get(name)
    if recording is None:
        return CollectSettings(name)
    _, _, policy, frames, seed, shard_steps, _ = recording
    chosen = {"policy": policy, "frames": frames, "seed": seed, "shard_steps": shard_steps}
    return CollectSettings(name, options=recording.words(), **chosen)
