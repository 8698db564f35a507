"""Bundles from the network: the Hugging Face Hub, for a name with a slash.

A repository is pinned: the commit that was fetched first is taken again, without asking the Hub,
until somebody asks for a revision by name, as in `organization/repository@main`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from collectors import network_access
from collectors.extras import optional
from world_models.bundles import FILES, BundleError

NEEDED = ("config.json", "model.safetensors", "contexts.npz")
COMMIT = re.compile("[0-9a-f]{40}")


def split_revision(name: str) -> tuple[str, str]:
    """ "organization/repository@revision" -> the repository and the revision, "" without one."""
    repository, _, revision = name.partition("@")
    return repository, revision


def download_bundle(repository: str, **options: Any) -> Path:
    """The directory with the files of a bundle on the Hub, `organization/repository` or that with
    `@revision`, downloaded once; without a network, the copy that was downloaded before. Its name
    is the commit.

    `options` are those of `huggingface_hub.snapshot_download`. Raises BundleError with the reason.
    """
    constants = optional("huggingface_hub.constants")
    snapshot_download = optional("huggingface_hub").snapshot_download
    name, revision = split_revision(repository)
    revision = str(options.pop("revision", None) or revision)
    cache = Path(options.get("cache_dir") or constants.HF_HUB_CACHE)
    folder = cache / f"models--{name.replace('/', '--')}"
    if not options.get("force_download") and (found := _pinned(folder, revision)):
        return found
    local = options.pop("local_files_only", False)
    reason = "" if local else network_access.offline()
    options = {"allow_patterns": list(FILES), **options, "local_files_only": bool(local or reason)}
    if revision:
        options["revision"] = revision
    try:
        return Path(
            network_access.run_unless_stalled(
                lambda: snapshot_download(name, **options),
                lambda: network_access.bytes_in(folder),
                f"{constants.ENDPOINT} answered, and then",
            )
        )
    except Exception as error:  # the Hub raises many kinds: offline, not found, gated, bad name
        text = reason or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(text) from error


def _pinned(folder: Path, revision: str) -> Path | None:
    """The whole copy in the Hub's cache that needs no question: of a commit, or without a revision
    of the one that was fetched first.
    """
    commit = revision
    if not revision:
        try:
            commit = (folder / "refs" / "main").read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
    path = folder / "snapshots" / commit
    whole = COMMIT.fullmatch(commit) and all((path / name).is_file() for name in NEEDED)
    return path if whole else None
