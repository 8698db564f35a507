"""`neural-envs migrate BUNDLE [--out DIR]`: writes a bundle in the newest format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collectors.settings.parse import setting
from collectors.settings.run_command import command
from neural_envs.bundles import resolve_bundle


@dataclass(frozen=True)
class MigrateSettings:
    """Writes a bundle of an older format in the newest one. What it dreams stays the same."""

    bundle: str = setting(help="released name or directory")
    out: Path | None = setting(None, "new directory for the result; without it, in place")


def run(settings: MigrateSettings) -> str:
    """Migrate the bundle; return where it is. Raises BundleError."""
    from world_models.bundles.bundle import migrate_bundle
    from world_models.bundles.migration import FORMAT_VERSION

    path = migrate_bundle(resolve_bundle(settings.bundle), settings.out)
    return f"{path} has format {FORMAT_VERSION}"


def main(argv: list[str] | None = None) -> int:
    """The verb `migrate`; returns the exit code."""
    return command(MigrateSettings, run, argv, "neural-envs migrate", ("bundle",))
