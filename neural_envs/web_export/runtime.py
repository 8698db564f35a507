"""ONNX Runtime for the browser: files of the npm package `onnxruntime-web`, checked by hashes.

They come from a local copy, from the cache, by `npm pack`, or from the registry, in this order.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from collectors.files import write_atomically
from neural_envs.backends.graph_files import cache_folder

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
REGISTRY = f"https://registry.npmjs.org/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"
FILES = {  # of dist/, and their sha256; those for WebGPU are asked for where there is a card
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
    "ort.webgpu.bundle.min.mjs": (
        "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2"
    ),
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
    ),
}
WEBGPU = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
SECONDS = 60  # without a byte from the registry
MOST_BYTES = 2**28


class RuntimeCopyError(ValueError):
    """There is no copy of the runtime, or it is another one; the message says what to do."""


class WebRuntime(NamedTuple):
    """The files by name, and in words where they came from."""

    files: dict[str, bytes]
    source: str


def web_runtime(local: str = "") -> WebRuntime:
    """The runtime, from `local` (a .tgz or a folder of the package) where that is given.

    Raises RuntimeCopyError where there is none, or its files are not those of `VERSION`.
    """
    if local:
        return WebRuntime(_checked(_read(Path(local)), local), local)
    kept = cache_folder() / "runtime" / f"{PACKAGE}-{VERSION}"
    if all((kept / name).is_file() for name in FILES):
        return WebRuntime(_checked(_read(kept), str(kept)), f"the copy in {kept}")
    found = _by_npm() or _from_registry()
    for name, content in found.files.items():
        write_atomically(kept / name, content, shared=True)
    return found


def _read(path: Path) -> dict[str, bytes]:
    """The files of a package, of its folder or of a folder with them alone."""
    try:
        if path.is_dir():
            folder = path / "dist" if (path / "dist").is_dir() else path
            return {name: (folder / name).read_bytes() for name in FILES}
        with tarfile.open(path) as archive:
            return {name: _member(archive, name) for name in FILES}
    except (OSError, KeyError, tarfile.TarError) as error:
        raise RuntimeCopyError(
            f"{path} is no copy of {PACKAGE} {VERSION} ({error}); make one with "
            f"`npm pack {PACKAGE}@{VERSION}`"
        ) from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(f"package/dist/{name}")
    stream = archive.extractfile(member)
    if stream is None or member.size > MOST_BYTES:
        raise KeyError(f"{name} is no file, or too large")
    return stream.read()


def _checked(files: dict[str, bytes], source: str) -> dict[str, bytes]:
    """The files; raises RuntimeCopyError where they are not those that this version knows."""
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != FILES[name]:
            raise RuntimeCopyError(
                f"{name} of {source} is not that of {PACKAGE} {VERSION}: its sha256 differs; give "
                f"--runtime a copy made with `npm pack {PACKAGE}@{VERSION}`"
            )
    return files


def _by_npm() -> WebRuntime | None:
    """By `npm pack`, with the registry that npm is set up for; None where that does not work."""
    npm, name = shutil.which("npm"), f"{PACKAGE}@{VERSION}"
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", name, "--silent", "--pack-destination", folder]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        packed = next(Path(folder).glob("*.tgz"), None)
        if done.returncode or packed is None:
            return None
        return WebRuntime(_checked(_read(packed), name), f"npm pack {name}")


def _from_registry() -> WebRuntime:
    try:
        with urllib.request.urlopen(REGISTRY, timeout=SECONDS) as answer:
            content = answer.read(MOST_BYTES)
    except (OSError, urllib.error.URLError) as error:
        raise RuntimeCopyError(
            f"{PACKAGE} {VERSION} cannot be fetched ({error}): where there is a network, make a "
            f"copy with `npm pack {PACKAGE}@{VERSION}`, and give it with --runtime FILE"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        packed = write_atomically(Path(folder) / "package.tgz", content)
        return WebRuntime(_checked(_read(packed), REGISTRY), REGISTRY)
