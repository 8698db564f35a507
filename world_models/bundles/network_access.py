"""Bundles from the network: the Hugging Face Hub, for a name with a slash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collectors import network_access
from collectors.extras import optional
from world_models.bundles import FILES, BundleError


def download_bundle(repository: str, **options: Any) -> Path:
    """The directory with the files of a bundle on the Hub, downloaded once; without a network, the
    copy that was downloaded before.

    `options` are those of `huggingface_hub.snapshot_download`. Raises BundleError with the reason.
    """
    constants = optional("huggingface_hub.constants")
    snapshot_download = optional("huggingface_hub").snapshot_download

    local = options.pop("local_files_only", False)
    reason = "" if local else network_access.offline()
    options = {"allow_patterns": list(FILES), **options, "local_files_only": bool(local or reason)}
    cache = Path(options.get("cache_dir") or constants.HF_HUB_CACHE)
    folder = cache / f"models--{repository.replace('/', '--')}"
    try:
        return Path(
            network_access.run_unless_stalled(
                lambda: snapshot_download(repository, **options),
                lambda: network_access.bytes_in(folder),
                f"{constants.ENDPOINT} answered, and then",
            )
        )
    except Exception as error:  # the Hub raises many kinds: offline, not found, gated, bad name
        text = reason or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(text) from error
