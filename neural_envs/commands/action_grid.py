"""`neural-envs action-grid BUNDLE`: a film of every action, held from the same start."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.files import check_free
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.video_writers import WRITERS, write_video
from neural_envs.branching import branches, branches_film, start_state
from neural_envs.bundles import label_of
from neural_envs.simulator import Simulator
from world_models.protocols import SamplingOptions


@dataclass(frozen=True)
class ActionGridConfig:
    """Film every action of a dream, held from one start with the same random numbers."""

    bundle: str = setting("snake", "released name, directory or Hub repository of a bundle")
    frames: int = setting(32, "steps that each action is held for", least=1)
    seed: int = setting(0, "of the start and of the dream's random numbers", least=0)
    out: str = setting("", "the .mp4 or .gif to write; none: BUNDLE-actions.mp4 here")
    overwrite: bool = setting(False, "replace the file where it is there already")
    fps: int = setting(0, "frames per second; 0 is the world's own rate", least=0)
    sampler_steps: int = setting(
        0, "denoising steps per frame, where the model has them; 0 is the bundle's own", least=0
    )
    guidance: float | None = setting(
        None, "on the action, where the model has it; none is the bundle's own"
    )
    temperature: float | None = setting(
        None,
        "of categorical draws, where it has them; 0 takes the likeliest; none is the bundle's own",
        least=0,
    )
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.out and not self.out.lower().endswith(tuple(WRITERS)):
            raise ValueError(
                f"setting 'out' is a file name ending in {' or '.join(WRITERS)}, got '{self.out}'"
            )


def run(config: ActionGridConfig) -> str:
    """Write the film; returns the return of each action and where the film is."""
    out = config.out or f"{label_of(config.bundle)}-actions.mp4"
    check_free(out, config.overwrite)
    simulator = Simulator(config.bundle, config.device)
    options = SamplingOptions(config.sampler_steps or None, config.guidance, config.temperature)
    state = start_state(simulator, config.seed)
    found = branches(simulator, state, config.frames, simulator.checked_options(options))
    fps = config.fps or simulator.model.spec.fps
    path = write_video(out, branches_film(found), fps, scale=1)
    lines = []
    for name, return_, over in zip(found.names, found.returns[-1], found.terminated.T, strict=True):
        end = f", over at step {over.argmax()}" if over.any() else ""
        lines.append(f"{name}: return {return_:g}{end}")
    return "\n".join([*lines, f"wrote {path}"])


def main(argv: list[str] | None = None) -> int:
    """The verb `action-grid`; returns the exit code."""
    return command(ActionGridConfig, run, argv, "neural-envs action-grid", ("bundle",))
