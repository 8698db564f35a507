"""The only way from here to the network: the Hugging Face Hub, for a name with a slash."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from world_models.bundles import FILES, BundleError

ANSWER_SECONDS = 5.0  # for the first sign of the Hub, names looked up included


def download_bundle(repository: str, **options: Any) -> Path:
    """The directory with the files of a bundle on the Hub, downloaded once; without a network, the
    copy that was downloaded before.

    `options` are those of `huggingface_hub.snapshot_download`. Raises BundleError with the reason.
    """
    from huggingface_hub import snapshot_download

    local = options.pop("local_files_only", False)
    reason = "" if local else offline()
    options = {"allow_patterns": list(FILES), **options, "local_files_only": bool(local or reason)}
    try:
        return Path(snapshot_download(repository, **options))
    except Exception as error:  # the Hub raises many kinds: offline, not found, gated, bad name
        text = reason or (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BundleError(text) from error


def offline() -> str:
    """Why the Hub cannot be asked, as half a sentence; "" where it can."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "no network: HF_HUB_OFFLINE is set"
    return unreachable(constants.ENDPOINT)


def unreachable(address: str, seconds: float = ANSWER_SECONDS) -> str:
    """Why nothing answers at an http(s) address within `seconds`, as half a sentence; "" where
    something does.
    """
    found = [f"{address} does not answer within {seconds:g} seconds"]

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
            found.append("")
        except urllib.error.HTTPError:
            found.append("")
        except TimeoutError:
            pass
        except (OSError, ValueError) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if not isinstance(cause, TimeoutError):
                # a certificate is for the Hub's own client to judge
                certificate = type(cause).__name__.startswith("SSL")
                found.append("" if certificate else f"no network: {address} cannot be reached")

    # a daemon, because looking up a name cannot be given a time limit
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return found[-1]
