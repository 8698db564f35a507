"""Finding and loading bundles: a released name, a local directory, or a Hugging Face repository.

Released bundles are the folders beside this file. Importing this imports no torch.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from world_models.bundles.bundle import Bundle

_HERE = Path(__file__).parent
_FILES = ("config.json", "model.safetensors", "contexts.npz", "trust.npz", "README.md")


def released_names() -> list[str]:
    """The names of the bundles that came with the package, sorted."""
    return sorted(path.parent.name for path in _HERE.glob("*/config.json"))


def resolve_bundle(name_or_path: str | Path) -> Path:
    """The directory of a bundle.

    Tried in turn: a released name ("snake"), an existing local directory, a Hub repository
    ("organisation/repository", downloaded once). Raises BundleError, listing the released names,
    where none of them fits.
    """
    name = str(name_or_path)
    if name in released_names():
        return _HERE / name
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise _bundle_error(
                f"the directory '{name}' holds no config.json, so it is not a bundle; {_choices()}"
            )
        return Path(name).resolve()
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and not name.startswith((".", "~")):
        return _download(name)
    raise _bundle_error(
        f"no bundle '{name}': it is neither a released name nor a directory here; {_choices()}"
    )


def load(name_or_path: str | Path, device: str = "cpu") -> Bundle:
    """The bundle, loaded once per process for each (path, device) and again only if its files
    change.
    """
    path = resolve_bundle(name_or_path)
    times = tuple((path / file).stat().st_mtime_ns for file in _FILES if (path / file).exists())
    return _load(path, str(checked_device(device)), times)


def checked_device(device: str):
    """The torch.device of that name; raises ValueError with a remedy where this machine has
    none.
    """
    import torch

    try:
        found = torch.device(device)
        if found.type != "meta":
            torch.empty(1, device=found)
            return found
        reason = "it stores no numbers"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
    usable = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    raise ValueError(f"cannot use device {device!r} ({reason}); usable here: {', '.join(usable)}")


@lru_cache(maxsize=8)
def _load(path: Path, device: str, times: tuple[int, ...]) -> Bundle:
    from world_models.bundles.bundle import load_bundle

    return load_bundle(path, device=device)


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, allow_patterns=list(_FILES)))
    except Exception as error:  # the hub raises many kinds: offline, not found, gated, bad name
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _bundle_error(
            f"no bundle '{repository}': there is no such directory here, and the Hub repository of "
            "that name could not "
            f"be fetched ({reason}); {_choices()}"
        ) from error


def _choices() -> str:
    names = ", ".join(released_names()) or "none in this installation"
    return f"use a released name ({names}), a bundle directory, or organisation/repository"


def _bundle_error(message: str) -> ValueError:
    from world_models.bundles.bundle import BundleError

    return BundleError(message)
