"""Which bundle a dream came from: hashes of weights and settings, also in older formats."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from collectors.untrusted_files import check_regular
from world_models.bundles.reading import read_config

EARLIER_HASH = "bundle_hash_in_format_"  # in a bundle's provenance, followed by the version


def bundle_hash(path: str | Path) -> str:
    """sha256 of what a bundle's frames follow from: its weights, and model and spec of its config.

    It is another one in every format, see `bundle_hashes`.
    """
    path = Path(path)
    config = read_config(path)
    check_regular(path / "model.safetensors")
    digest = hashlib.sha256((path / "model.safetensors").read_bytes())
    facts = {name: config[name] for name in ("kind", "model", "spec")}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()


def bundle_hashes(path: str | Path) -> tuple[str, ...]:
    """The bundle's hash, and those that it had before it was migrated to newer formats."""
    provenance = read_config(Path(path))["provenance"]
    earlier = (value for name, value in provenance.items() if name.startswith(EARLIER_HASH))
    return (bundle_hash(path), *earlier)
