"""Going on with a run: what must be as it was, and whether anything is left to do."""

from __future__ import annotations

import json
from pathlib import Path

from collectors.settings.fields import list_settings
from collectors.settings.values import value_text
from collectors.settings.yaml_file import file_words
from world_models.bundles import BundleError
from world_models.bundles.reading import read_config
from world_models.training.config import TrainConfig
from world_models.training.run_info import RECORD, RESOLVED

# settings that may change when a run goes on: where it is and ends, what it shows, and its speed
FREE = frozenset(
    "data out updates minutes validate_every validation_batches contexts device precision compile "
    "cuda_graphs prefetch threads tracker wandb_mode resume allow_changes".split()
)


def refusal(config: TrainConfig, dataset: str) -> str:
    """Why the run in `config.out` does not go on with these settings and the dataset of this
    fingerprint, as a sentence; "" where it does.

    A setting that the older record lacks is no change: it was written by another version.
    """
    if config.allow_changes:
        return ""
    before, now = recorded(config.out / RESOLVED), texts(config)
    changes = [
        f"{name}={before[name]}, not {text}"
        for name, text in now.items()
        if name in before and before[name] != text and name not in FREE
    ]
    if recorded_dataset(config.out) not in ("", dataset):
        changes.append("other data (the dataset has another fingerprint)")
    if not changes:
        return ""
    return (
        f"{config.out} holds a run with {'; '.join(changes)}. Go on with what it has, choose "
        "another out=, or give allow_changes=true to go on with the new ones"
    )


def texts(config: TrainConfig) -> dict[str, str]:
    """All settings by dotted name, as texts; those of a file read back are the same."""
    values = {row.name: row.default for row in list_settings(config)}
    return {
        name: value if isinstance(value, str) else value_text(value)
        for name, value in values.items()
    }


def recorded(path: Path) -> dict[str, str]:
    """The settings in a run's file; none where it is missing or damaged."""
    try:
        pairs = (word.partition("=") for word in file_words(path))
        return {name: text for name, _, text in pairs}
    except ValueError:
        return {}


def recorded_dataset(out: Path) -> str:
    """The fingerprint of the dataset that a run was last started with; "" where none is known."""
    try:
        return str(json.loads((out / RECORD).read_bytes())["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def bundle_updates(out: Path) -> int:
    """How many updates the bundle of a run has had; 0 without a bundle."""
    try:
        return int(read_config(out / "bundle")["provenance"]["updates"])
    except (BundleError, OSError, ValueError, KeyError, TypeError):
        return 0
