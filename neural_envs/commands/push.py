"""`neural-envs push BUNDLE organization/repository`: puts a bundle on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.settings.parse import setting
from collectors.settings.run_command import command
from neural_envs.bundles import resolve_bundle


@dataclass(frozen=True)
class PushSettings:
    """Uploads a bundle to the Hugging Face Hub; log in first with `hf auth login`."""

    bundle: str = setting(help="released name or directory")
    repository: str = setting(help="organization/repository; made if it is not there")
    private: bool = setting(False, "make a new repository private")
    message: str = setting("A neural-envs bundle", "of the commit")


def run(settings: PushSettings) -> str:
    """Push the bundle; return its address. Raises BundleError with the reason of the Hub."""
    from collectors import network_access
    from world_models.bundles import BundleError
    from world_models.bundles.hub import HubBundle

    bundle = HubBundle.from_pretrained(resolve_bundle(settings.bundle))
    if reason := network_access.offline():
        raise BundleError(f"{settings.repository} could not be pushed: {reason}")
    try:
        return bundle.push_to_hub(
            settings.repository, private=settings.private or None, commit_message=settings.message
        )
    except Exception as error:  # the Hub raises many kinds: no login, a wrong name, a broken line
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(
            f"{settings.repository} could not be pushed ({reason}); is `hf auth login` done?"
        ) from error


def main(argv: list[str] | None = None) -> int:
    """The verb `push`; returns the exit code."""
    return command(PushSettings, run, argv, "neural-envs push", ("bundle", "repository"))
