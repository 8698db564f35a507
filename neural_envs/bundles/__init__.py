"""Finding and loading bundles: a released name, a local directory, or a Hugging Face repository.

Released bundles are the folders beside this file. Some that are no world's default are in the
repository only, so that the package stays small. Importing this imports no torch.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from world_models.bundles import FILES, BundleError
from world_models.bundles.shared_contexts import REFERENCE

if TYPE_CHECKING:
    import torch

    from world_models.bundles.bundle import Bundle
    from world_models.protocols import WorldModel

_HERE = Path(__file__).parent
# in the repository, not in the package: pyproject.toml excludes them
NOT_PACKAGED = (
    "coinrun-latent",
    "coinrun-pixel",
    "pong-forcing",
    "worldmap-ddpm",
    "worldmap-diffusion",
    "worldmap-distilled",
    "worldmap-flow",
)
# names of bundles that were released once and whose presets are still there
RETIRED = ("snake-edm",)


def released_names() -> list[str]:
    """The names of the bundles that came with the package, sorted."""
    return sorted(path.parent.name for path in _HERE.glob("*/config.json"))


def resolve_bundle(name_or_path: str | Path, network: bool = True) -> Path:
    """The directory of a bundle.

    Tried in turn: a released name ("snake"), an existing local directory, a Hub repository
    ("organization/repository", downloaded once and then kept at that commit; with "@revision" that
    one). Raises BundleError, listing the released names,
    where none of them fits. `network=False` is for names that a file gave and nobody typed: of a
    repository only the copy that was downloaded before is taken.
    """
    name = str(name_or_path)
    if name in released_names():
        return _HERE / name
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise BundleError(
                f"the directory '{name}' holds no config.json, so it is not a bundle; {_choices()}"
            )
        return Path(name).resolve()
    if is_repository(name):
        return _download(name) if network else _downloaded(name)
    if name in NOT_PACKAGED:
        raise BundleError(
            f"the bundle '{name}' does not come with the package, which stays small: train it with "
            f"`neural-envs release {name}` and give its directory, or clone the project's "
            f"repository, which has it in neural_envs/bundles/{name}"
        )
    if name in RETIRED:
        raise BundleError(
            f"the bundle '{name}' is not released any more, for its preset alone did not reach its "
            f"figures: train it with `neural-envs train {name}` and give runs/{name}/bundle"
        )
    raise BundleError(
        f"no bundle '{name}': it is neither a released name nor a directory here; "
        f"{_nearest(name)}{_choices()}"
    )


def label_of(name_or_path: str | Path) -> str:
    """A short name for the files that are made of a bundle, which no bundle beside it shares.

    "snake" is the released one's, "runs-snake" that of runs/snake/bundle, "org-name" that of a
    repository.
    """
    name = str(name_or_path)
    if name in released_names():
        return name
    parts = re.split("[/@]", name) if is_repository(name) else list(Path(name).resolve().parts)
    if parts[-1] == "bundle" and len(parts) > 2:
        parts.pop()
    kept = parts if is_repository(name) else parts[-2:]
    return "-".join(part for part in kept if part.strip("/"))


def is_repository(name: str) -> bool:
    """Whether this can only name a Hub repository: it is no released name and no directory here."""
    parts = name.partition("@")[0].split("/")
    looks_so = len(parts) == 2 and all(parts) and not name.startswith((".", "~"))
    return looks_so and not Path(name).is_dir()


def load(name_or_path: str | Path, device: str = "cpu") -> Bundle:
    """The bundle, loaded once per process for each (path, device), again if its files change."""
    path, files = resolve_bundle(name_or_path), (*FILES, REFERENCE)
    times = tuple((path / file).stat().st_mtime_ns for file in files if (path / file).exists())
    return _load(path, str(checked_device(device)), times)


def load_model(name_or_path: str | Path) -> WorldModel:
    """The model of a bundle, loaded anew: nobody else has this one."""
    from world_models.bundles.bundle import load_bundle

    return load_bundle(resolve_bundle(name_or_path)).model


def checked_device(device: str) -> torch.device:
    """The torch.device of that name.

    Raises ValueError, naming the devices of this machine, where it cannot be used.
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
    from world_models.bundles.network_access import download_bundle

    try:
        return download_bundle(repository)
    except BundleError as error:
        raise BundleError(
            f"no bundle '{repository}': there is no such directory here, and the Hub repository of "
            f"that name could not be fetched ({error}); {_choices()}"
        ) from error


def _downloaded(repository: str) -> Path:
    from world_models.bundles.network_access import download_bundle

    try:
        return download_bundle(repository, local_files_only=True)
    except BundleError:
        raise BundleError(
            f"the file asks for the Hub repository '{repository}', and no file reaches the network "
            f"by itself; if you trust that repository, give it as --bundle {repository}"
        ) from None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, released_names(), 1)
    return f"did you mean '{near[0]}'? If not, " if near else ""


def _choices() -> str:
    names = ", ".join(released_names()) or "none in this installation"
    return f"use a released name ({names}), a bundle directory, or organization/repository"
