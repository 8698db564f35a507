"""Loading and writing bundles. No pickle anywhere in one.

The files of a bundle:

- config.json: format version, kind of model and its config, WorldSpec, provenance, results
- model.safetensors: averaged weights in half precision
- contexts.npz: real start contexts as uint8
- README.md: the model card
- trust.npz: only where trust was calibrated, see `models.trust_calibration`
"""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from collectors.files import write_atomically
from collectors.settings.fields import from_dict, to_dict
from world_models.bundles import FILES, BundleError, notebook_display
from world_models.bundles.card import model_card
from world_models.bundles.contexts import Contexts
from world_models.bundles.identity import EARLIER_HASH, bundle_hash
from world_models.bundles.migration import FORMAT_VERSION, migrate_config, migrate_tensors
from world_models.models.table import family, kinds
from world_models.models.trust_calibration import FILE as TRUST_FILE
from world_models.models.trust_calibration import load_scale
from world_models.protocols import WorldModel, WorldSpec

KEYS = {"format_version", "kind", "model", "spec", "provenance", "scores"}


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
    _write_config(path, {**_read_config(path), "scores": scores})


def migrate_bundle(path: Path, out: Path | None = None) -> Path:
    """Writes a bundle in the newest format, in place or to the directory `out`; returns where.

    In place every file is complete before it takes its name, config.json last, and what an
    interruption leaves behind still loads. A bundle of the newest format is left as it is. The
    provenance keeps the hash of before, by which `.dream` files name the bundle. Raises BundleError
    for what is no bundle, and where `out` holds files already.
    """
    config = _read_config(path)
    if out is not None and out.resolve() != path.resolve():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BundleError(f"{out} is there already: name a directory that is new or empty")
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (path / name).is_file():
                shutil.copyfile(path / name, out / name)
        path = out
    if config["format_version"] < FORMAT_VERSION:
        tensors = _migrated_tensors(path / "model.safetensors", config)
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
    stored = _read_config(path)
    config = migrate_config(stored)
    spec, model = _build(path, config)
    _load_weights(path / "model.safetensors", model, stored)
    contexts = _load_contexts(path / "contexts.npz", spec, model.context_length)
    _load_trust(path, model)
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


def _read_config(path: Path) -> dict:
    try:
        config = json.loads((path / "config.json").read_text())
    except FileNotFoundError:
        raise BundleError(f"{path} is not a bundle: it has no config.json") from None
    except json.JSONDecodeError as error:
        raise BundleError(f"{path / 'config.json'} is damaged: {error}") from None
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(f"{path / 'config.json'} has no format_version of 1 or more")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{path} has format {version}, newer than {FORMAT_VERSION}, the newest known: upgrade "
            "neural-envs"
        )
    if set(config) != KEYS:
        unknown, missing = sorted(set(config) - KEYS), sorted(KEYS - set(config))
        raise BundleError(f"{path / 'config.json'}: unknown keys {unknown}, missing keys {missing}")
    return config


def _build(path: Path, config: dict) -> tuple[WorldSpec, WorldModel]:
    model_class = family(config["kind"])
    if model_class is None:
        raise BundleError(f"{path} is of kind '{config['kind']}'; this package knows {kinds()}")
    try:
        spec = WorldSpec.from_dict(config["spec"])
        return spec, model_class(spec, from_dict(model_class.config_class, config["model"]))
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path / 'config.json'}: {error}") from None


def _migrated_tensors(file: Path, config: dict) -> dict[str, torch.Tensor]:
    """The tensors of a file by their newest names; `config` as it is stored beside them."""
    try:
        return migrate_tensors(config, load_file(file))
    except FileNotFoundError:
        raise BundleError(f"{file} is missing") from None
    except (SafetensorError, ValueError) as error:
        raise BundleError(f"{file} is damaged: {error}") from None


def _write_tensors(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    # bytes: safetensors' save_file would make a file that other users cannot read
    write_atomically(file, save(tensors))


def _load_weights(file: Path, model: WorldModel, config: dict) -> None:
    weights = _migrated_tensors(file, config)
    own = model.state_dict()
    missing, extra = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or extra:
        raise BundleError(
            f"{file} does not fit its config: missing tensors {missing[:3]}, unknown tensors "
            f"{extra[:3]}"
        )
    for name, tensor in own.items():
        if weights[name].shape != tensor.shape:
            found, expected = tuple(weights[name].shape), tuple(tensor.shape)
            raise BundleError(
                f"{file}: tensor {name} has shape {found}, the config asks for {expected}"
            )
    model.load_state_dict({name: weights[name].to(tensor.dtype) for name, tensor in own.items()})


def _load_contexts(file: Path, spec: WorldSpec, length: int) -> Contexts:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            contexts = Contexts(arrays["frames"], arrays["actions"].astype(np.int64))
    except FileNotFoundError:
        raise BundleError(f"{file} is missing") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{file} is damaged: {error}") from None
    expected, frames = (length, *spec.frame_shape), contexts.frames
    if frames.shape[1:] != expected or frames.dtype != np.uint8 or not len(contexts):
        raise BundleError(
            f"{file}: contexts of shape {frames.shape}, expected (N, {expected}) uint8, N > 0"
        )
    if contexts.actions.shape != (len(contexts), length - 1):
        raise BundleError(
            f"{file}: actions of shape {contexts.actions.shape}, not ({len(contexts)}, "
            f"{length - 1})"
        )
    return contexts


def _load_trust(path: Path, model: WorldModel) -> None:
    if model.feature_width is None:
        return
    try:
        model.trust_scale = load_scale(path, model.feature_width)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path / TRUST_FILE} is damaged: {error}") from None


def _write_config(path: Path, config: dict) -> None:
    write_atomically(path / "README.md", model_card(config))
    write_atomically(path / "config.json", json.dumps(config, indent=1) + "\n")
