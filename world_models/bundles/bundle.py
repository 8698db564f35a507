"""Loading and writing bundles. No pickle anywhere in one.

The files of a bundle:

- config.json: format version, kind of model and its config, WorldSpec, provenance, results
- model.safetensors: averaged weights in half precision
- contexts.npz: real start contexts as uint8 (of packaged bundles perhaps in `shared_contexts`)
- README.md: the model card
- trust.npz: only where trust was calibrated, see `models.trust_calibration`
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save

from collectors.files import write_atomically
from collectors.settings.fields import to_dict
from world_models.bundles import BundleError, notebook_display
from world_models.bundles.assembly import (
    build_model,
    check_plays,
    load_trust,
    load_weights,
    read_contexts,
)
from world_models.bundles.card import model_card
from world_models.bundles.contexts import Contexts
from world_models.bundles.identity import EARLIER_HASH, bundle_hash
from world_models.bundles.migration import FORMAT_VERSION, migrate_config
from world_models.bundles.reading import read_config, read_tensors, stored_elements
from world_models.bundles.shared_contexts import contexts_file, copy_bundle
from world_models.protocols import WorldModel


class OldBundleWarning(UserWarning):
    """A bundle of an older format was read and migrated in memory."""


class Bundle(NamedTuple):
    """A loaded bundle."""

    model: WorldModel  # in eval mode
    contexts: Contexts
    config: dict
    path: Path

    def __repr__(self) -> str:
        return notebook_display.line(self)

    def _repr_html_(self) -> str:
        return notebook_display.html(self)


def save_bundle(
    path: Path, model: WorldModel, contexts: Contexts, provenance: dict, scores: dict
) -> None:
    """Writes a bundle directory file by file, each complete before it takes its name; config.json
    comes last.
    """
    path.mkdir(parents=True, exist_ok=True)
    weights, precise = {}, model.full_precision
    for name, value in model.state_dict().items():
        full = bool(precise) and name.startswith(precise)
        weights[name] = (value if full else value.half()).detach().cpu().contiguous()
    _write_tensors(path / "model.safetensors", weights)
    write_atomically(
        path / "contexts.npz",
        lambda file: np.savez_compressed(file, frames=contexts.frames, actions=contexts.actions),
    )
    config = {
        "format_version": FORMAT_VERSION,
        "kind": model.kind,
        "model": to_dict(model.config),
        "spec": model.spec.as_dict(),
        "provenance": {**provenance, "torch": torch.__version__.split("+")[0]},
        "scores": scores,
    }
    _write_config(path, config)


def update_scores(path: Path, scores: dict) -> None:
    """Puts measured scores into the config and the model card of a bundle."""
    path = migrate_bundle(Path(path))
    _write_config(path, {**read_config(path), "scores": scores})


def update_provenance(path: Path, facts: dict) -> None:
    """Puts more facts about how a bundle was made into its config and its model card."""
    path = migrate_bundle(Path(path))
    config = read_config(path)
    _write_config(path, {**config, "provenance": {**config["provenance"], **facts}})


def migrate_bundle(path: Path, out: Path | None = None) -> Path:
    """Writes a bundle in the newest format, in place or to the directory `out`; returns where.

    In place every file is complete before it takes its name, config.json last, and what an
    interruption leaves behind still loads. A bundle of the newest format is left as it is. The
    provenance keeps the hash of before, by which `.dream` files name the bundle. Raises BundleError
    for what is no bundle, and where `out` holds files already.
    """
    config = read_config(path)
    if out is not None and out.resolve() != path.resolve():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BundleError(f"{out} is there already: name a directory that is new or empty")
        out.mkdir(parents=True, exist_ok=True)
        copy_bundle(path, out)
        path = out
    if config["format_version"] < FORMAT_VERSION:
        tensors = read_tensors(path / "model.safetensors", config)
        hashed = {f"{EARLIER_HASH}{config['format_version']}": bundle_hash(path)}
        _write_tensors(path / "model.safetensors", tensors)
        migrated = migrate_config(config)
        _write_config(path, {**migrated, "provenance": {**migrated["provenance"], **hashed}})
    return path


def load_bundle(path: str | Path, device: str | torch.device = "cpu") -> Bundle:
    """Loads and checks a bundle.

    Raises BundleError with one sentence for anything missing, altered or newer.
    """
    path = Path(path)
    stored = read_config(path)
    config = migrate_config(stored)
    weights = path / "model.safetensors"
    model = build_model(path, config, stored_elements(weights))
    load_weights(weights, model, stored)
    contexts = read_contexts(contexts_file(path), model.spec, model.context_length)
    load_trust(path, model)
    check_plays(path, model, contexts)
    # torch's stubs know no memory_format
    model = model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model = model.eval().requires_grad_(False)
    if stored["format_version"] < FORMAT_VERSION:
        warnings.warn(
            f"{path} has format {stored['format_version']} and was migrated in memory; write it in "
            f"format {FORMAT_VERSION} with: neural-envs migrate {path}",
            OldBundleWarning,
            stacklevel=2,
        )
    return Bundle(model, contexts, config, path)


def _write_tensors(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    # bytes: safetensors' save_file would make a file that other users cannot read
    write_atomically(file, save(tensors))


def _write_config(path: Path, config: dict) -> None:
    write_atomically(path / "README.md", model_card(config))
    write_atomically(path / "config.json", json.dumps(config, indent=1) + "\n")
