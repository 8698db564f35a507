"""`neural-envs export-web NAME... --out site/`: dreams as a page for any static host"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.extras import optional
from collectors.files import check_free, check_writable, write_atomically
from collectors.settings.run_command import command
from neural_envs.bundles import released_names
from neural_envs.web_export.config import ExportWebConfig

if TYPE_CHECKING:
    from neural_envs.play.twins import AgentMaker
    from neural_envs.web.agent_list import AgentList
    from neural_envs.web.catalogue import BundleInfo

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).parent / "static"
PLAYER = ROOT / "neural_envs" / "web" / "static"
MAP = ROOT / "collectors" / "worlds" / "worldmap" / "assets"
SHARED = ("app.js", "view.js", "pad.js", "style.css", "icon.svg")  # what `serve` has as well
# WebAssembly is compiled from a file of the site: that is what 'wasm-unsafe-eval' allows
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; style-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
ENTRY = '<script type="module" src="/static/serve.js"></script>'  # of the page of `serve`


def main(argv: list[str] | None = None, agents: AgentMaker | None = None) -> int:
    """The verb `export-web`; returns the exit code. `agents` makes trained agents of files."""
    words = list(argv or [])
    bare = next((i for i, word in enumerate(words) if word[:1] == "-" or "=" in word), len(words))
    words = [*filter(None, [",".join(words[:bare])]), *words[bare:]]
    name = "neural-envs export-web"
    return command(ExportWebConfig, lambda config: run(config, agents), words, name, ("bundles",))


def run(config: ExportWebConfig, agents: AgentMaker | None = None) -> str:
    """Write the folder; returns what is in it. Raises ExportError where a bundle is no graph, and
    RuntimeCopyError without the runtime.
    """
    empty = Path(config.out).is_dir() and not any(Path(config.out).iterdir())
    check_free(config.out, config.overwrite or empty)
    check_writable(config.out)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        optional(package)
    import torch

    from neural_envs import __version__
    from neural_envs.web.agent_list import AgentList
    from neural_envs.web_export.runtime import PACKAGE, VERSION, WEBGPU, web_runtime

    torch.set_num_threads(1)
    out, runtime = Path(config.out), web_runtime(config.runtime)
    lines, rows = _write_dreams(config.bundles, out, AgentList(config.policy, agents))
    for name, content in runtime.files.items():
        if config.webgpu or name not in WEBGPU:
            write_atomically(out / "runtime" / name, content)
    notes = _write_map(out) if any(row["world"] == "worldmap" for row in rows) else ""
    write_atomically(out / "LICENSES.txt", licenses() + notes)
    write_page(out)
    listed = {"version": __version__, "runtime": f"{PACKAGE} {VERSION}", "webgpu": config.webgpu}
    listed["dreams"] = rows
    write_atomically(out / "site.json", json.dumps(listed))  # last: the page is complete with it
    lines = [f"runtime: {PACKAGE} {VERSION}, {runtime.source}, checked by sha256", *lines]
    return "\n".join([*lines, f"written: {out}", f"try it: python -m http.server -d {out}"])


def _write_dreams(
    bundles: Sequence[str], out: Path, players: AgentList
) -> tuple[list[str], list[dict]]:
    """The dreams of bundles, each in a folder of its own: lines about them, and their rows in
    `site.json`.
    """
    from neural_envs.web_export.dreams import export_dream

    lines, rows = [], []
    for info in _infos(bundles):
        folder = out / "dreams" / _folder_name(info.name)
        rows.append(export_dream(info, folder, players))
        size = sum(file.stat().st_size for file in folder.iterdir())
        lines.append(f"{info.name}: {size / 1e6:.1f} MB")
    return lines, rows


def _write_map(out: Path) -> str:
    """The map of the real game beside the dream of it; returns where it comes from."""
    write_atomically(
        out / "games" / "world_map.webp", (MAP / "world_map_2700x1350.webp").read_bytes()
    )
    return "\n\n" + (MAP / "ATTRIBUTION.md").read_text()


def write_page(out: Path) -> None:
    """The page with its scripts: that of `serve`, with a worker as the source of its dream."""
    page = (PLAYER / "index.html").read_text()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    assert page.count(ENTRY) == 1, "the page of `serve` has one script"
    page = page.replace(ENTRY, '<script defer src="static/check.js"></script>')
    page = page.replace('="/static/', '="static/')  # wherever on a host the folder lies
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n  {policy}')
    for file in [*(PLAYER / name for name in SHARED), *OWN.iterdir()]:
        write_atomically(out / "static" / file.name, file.read_bytes())
    write_atomically(out / "index.html", page)


def licenses() -> str:
    """The licenses of what is shipped: this project, and ONNX Runtime with what is in it."""
    try:
        own = distribution("neural-envs").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        own = None
    found = find_spec("onnxruntime")
    assert found is not None and found.origin is not None, "was asked for before"
    folder = Path(found.origin).parent
    parts = {
        "neural-envs: the page, the models and what made them": own
        or (ROOT / "LICENSE").read_text(),
        "ONNX Runtime: runtime/": (folder / "LICENSE").read_text(),
        "In ONNX Runtime": (folder / "ThirdPartyNotices.txt").read_text(),
    }
    return "\n\n".join(f"{'=' * 80}\n{name}\n{'=' * 80}\n\n{text}" for name, text in parts.items())


def _infos(sources: Sequence[str]) -> list[BundleInfo]:
    """The bundles that are asked for, in their order. Raises BundleError where one is none."""
    from neural_envs.web.catalogue import BundleCatalogue

    named = {source: source for source in sources}
    catalogue = BundleCatalogue([source for source in named if source not in released_names()])
    found = {info.source: info for info in catalogue.ordered()}
    return [found[source] for source in named]


def _folder_name(name: str) -> str:
    """A name as a folder of the site."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
