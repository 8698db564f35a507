"""One bundle in the exported folder: graphs, start contexts and their states, and its row."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collectors.files import write_atomically
from neural_envs import bundles
from neural_envs.simulator import CONTEXT_SALT
from neural_envs.web.agent_list import AgentList
from neural_envs.web.catalogue import BundleInfo
from neural_envs.web_export.exported_agents import export_agents
from neural_envs.web_export.graphs import dream_graphs
from neural_envs.web_export.page_actions import page_actions
from world_models.bundles.identity import bundle_hashes
from world_models.protocols import SamplingOptions

GAMES = {(world, (64, 64, 3)) for world in ("snake", "pong", "worldmap")}  # in games.js


def export_dream(info: BundleInfo, folder: Path, agents: AgentList) -> dict[str, Any]:
    """Write a bundle's files into `folder`, with the agents that play it; returns its row of the
    page's list.

    Raises ExportError where its step is no graph, and what `bundles.load` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bundle = bundles.load(info.source, "cpu")
    path, spec = bundles.resolve_bundle(info.source), bundle.model.spec
    graphs = dream_graphs(bundle, info.name, folder / "start.onnx")
    write_atomically(folder / "step.onnx", graphs.step.read_bytes())
    shutil.copyfile(path / "README.md", folder / "README.md")  # its license and provenance
    options = bundle.model.default_options
    return {
        "name": info.name,
        "world": info.world,
        "about": info.about,
        "folder": folder.name,
        "hashes": list(bundle_hashes(path)),
        "spec": spec.as_dict(),
        **page_actions(spec),
        "draws": graphs.draws,
        "salt": CONTEXT_SALT,
        "start": graphs.start is not None,
        "twin": graphs.start is not None and (info.world, spec.frame_shape) in GAMES,
        "starts": _write_starts(bundle.contexts, graphs.states, folder / "starts.bin"),
        "options": options._asdict(),
        "agents": export_agents(agents, spec, folder),
        "note": note_of(options),
    }


def note_of(options: SamplingOptions) -> str:
    """What the page says in place of sliders: how the frames of this graph are drawn."""
    named = {"steps": "sampler steps", "guidance": "guidance", "temperature": "temperature"}
    given = [f"{words} {value:g}" for name, words in named.items()
             if (value := options._asdict()[name]) is not None]  # fmt: skip
    if not given:
        return "This model draws a frame in one call: no sampler steps to choose."
    return f"Exported with {', '.join(given)}."


def _write_starts(contexts: Any, states: list[torch.Tensor], file: Path) -> dict[str, Any]:
    """Write N start contexts and their states as one compressed file of plain arrays, one after
    another in rows, actions encoded; returns their forms, in the file's order. A state that is
    the frames themselves is not written again.
    """
    count = len(contexts)
    context = contexts.choose(torch.arange(count))
    frames, *others = [part.numpy() for part in (context.frames, context.actions, *states)]
    again = [frames.dtype == x.dtype and np.array_equal(frames, x) for x in others]
    written = [frames, *(x for x, same in zip(others, again, strict=True) if not same)]
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in written)
    write_atomically(file, gzip.compress(content, 9, mtime=0))
    first = {"type": frames.dtype.name, "shape": [1, *frames.shape[1:]]}
    actions, *leaves = [
        {"type": x.dtype.name, "shape": [1, *x.shape[1:]], "frames": same}
        for x, same in zip(others, again, strict=True)
    ]
    return {"count": count, "frames": first, "actions": actions, "state": leaves}
