"""Start contexts that bundles of one folder share, and copies of bundles that are whole.

Bundles of one world that were trained on the same data begin from the same contexts. Such a bundle
has, in place of contexts.npz, a contexts.json with their sha256; the file itself is
`shared/FIRST_16_DIGITS.npz` beside the bundles. Only what is packaged is stored so: a copy of a
bundle, and what goes to the Hub, is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import defaultdict
from pathlib import Path

from collectors.files import put_in_place, write_atomically
from collectors.untrusted_files import DamagedFileError, checked_json, read_regular_file, reason_of
from world_models.bundles import FILES, BundleError

OWN, REFERENCE, FOLDER = "contexts.npz", "contexts.json", "shared"
MOST_BYTES = 4096  # of a reference
LEAST_BYTES = 100_000  # of contexts that are worth sharing


def contexts_file(path: Path) -> Path:
    """The file with the start contexts of the bundle in `path`: its own, or the shared one.

    Raises BundleError for a reference that leads to no file of its hash.
    """
    if (path / OWN).exists() or not (path / REFERENCE).exists():
        return path / OWN
    digest = _digest(path / REFERENCE)
    file = path.parent / FOLDER / f"{digest[:16]}.npz"
    if not file.is_file():
        raise BundleError(
            f"{path} shares its start contexts with other bundles, and {FOLDER}/{file.name} is not "
            "beside it: copy a bundle with `neural-envs migrate BUNDLE --out DIR`, which makes it "
            "whole"
        )
    if hashlib.sha256(read_regular_file(file)).hexdigest() != digest:
        raise BundleError(f"{file} is damaged: it has another sha256 than {path / REFERENCE} says")
    return file


def copy_bundle(path: Path, out: Path) -> None:
    """Copies the files of a bundle into a directory that is there; the copy is whole."""
    sources = {name: path / name for name in FILES if (path / name).is_file()}
    if (path / REFERENCE).exists():
        sources[OWN] = contexts_file(path)
    for name, source in sources.items():
        if source.resolve() != (out / name).resolve():
            shutil.copyfile(source, out / name)


def share_contexts(folder: Path, least: int = LEAST_BYTES) -> list[str]:
    """Replaces equal contexts.npz of bundles in `folder` by references to one file; the names of
    the bundles that share. Files of less than `least` bytes, and those that nothing else equals,
    stay where they are.
    """
    equal: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob(f"*/{OWN}")):
        if file.stat().st_size < least:
            continue
        equal[hashlib.sha256(file.read_bytes()).hexdigest()].append(file)
    for reference in sorted(folder.glob(f"*/{REFERENCE}")):
        equal[_digest(reference)].append(reference)
    shared = {digest: files for digest, files in equal.items() if len(files) > 1}
    for digest, files in shared.items():
        target = folder / FOLDER / f"{digest[:16]}.npz"
        target.parent.mkdir(exist_ok=True)
        for file in files:
            if file.name == OWN:
                write_atomically(file.parent / REFERENCE, json.dumps({"sha256": digest}) + "\n")
                put_in_place(file, target)
    return sorted(file.parent.name for files in shared.values() for file in files)


def _digest(reference: Path) -> str:
    """The sha256 that a reference names. Raises BundleError."""
    try:
        found = checked_json(read_regular_file(reference), MOST_BYTES)
        digest = found.get("sha256") if isinstance(found, dict) else None
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise DamagedFileError("it names no sha256")
    except (DamagedFileError, OSError) as error:
        raise BundleError(f"{reference} is damaged: {reason_of(error)}") from None
    return digest
