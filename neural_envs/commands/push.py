"""`neural-envs push BUNDLE organization/repository`: puts a bundle on the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from collectors.settings.parse import setting
from collectors.settings.run_command import command
from neural_envs.bundles import resolve_bundle
from world_models.bundles.hub_files import FILM

FILM_STEPS, FILM_SCALE = 120, 4


@dataclass(frozen=True)
class PushSettings:
    """Uploads a bundle to the Hugging Face Hub with its card, a film of a dream, and env.py, by
    which it is an environment of LeRobot's EnvHub; log in first with `hf auth login`."""

    bundle: str = setting(help="released name or directory")
    repository: str = setting(help="organization/repository; made if it is not there")
    private: bool = setting(False, "make a new repository private")
    message: str = setting("A neural-envs bundle", "of the commit")
    film: bool = setting(True, "dream a film for the card")


def run(settings: PushSettings) -> str:
    """Push the bundle; return its address. Raises BundleError with the reason of the Hub."""
    from collectors import network_access
    from world_models.bundles import BundleError
    from world_models.bundles.hub import HubBundle

    bundle = HubBundle.from_pretrained(resolve_bundle(settings.bundle))
    if reason := network_access.offline():
        raise BundleError(f"{settings.repository} could not be pushed: {reason}")
    film = dream_film(str(bundle.bundle.path)) if settings.film else b""
    try:
        return bundle.push_to_hub(
            settings.repository,
            film=film,
            private=settings.private or None,
            commit_message=settings.message,
        )
    except Exception as error:  # the Hub raises many kinds: no login, a wrong name, a broken line
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(
            f"{settings.repository} could not be pushed ({reason}); is `hf auth login` done?"
        ) from error


def dream_film(bundle: str) -> bytes:
    """A GIF of a dream that its world's best policy plays, a random one where there is none."""
    from collectors.video_writers import write_video
    from neural_envs.bundles import load
    from neural_envs.play.twins import default_policy
    from neural_envs.replays.frame_sources import of_bundle

    world = load(bundle).model.spec.world
    source = of_bundle(bundle, default_policy(world), FILM_STEPS)
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / FILM, source.frames, source.fps, FILM_SCALE)
        return path.read_bytes()


def main(argv: list[str] | None = None) -> int:
    """The verb `push`; returns the exit code."""
    return command(PushSettings, run, argv, "neural-envs push", ("bundle", "repository"))
