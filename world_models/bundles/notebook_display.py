"""How a bundle shows itself: in one line, and in a notebook with a few of its start frames."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from collectors.media import png, to_rgb

if TYPE_CHECKING:
    from world_models.bundles.bundle import Bundle

STARTS = 8  # frames in a notebook
SCALE = 1.5  # screen pixels per pixel of a frame
GAP = 4  # white pixels between two frames


class ShownConfig(dict[str, Any]):
    """A bundle's configuration, provenance and scores, folded up where a notebook shows it."""

    def _repr_html_(self) -> str:
        short = {name: value for name, value in self.items() if isinstance(value, str | int)}
        facts = ", ".join(f"{name} {value}" for name, value in short.items())
        parts = "".join(
            f"<details><summary>{escape(name)}</summary>"
            f"<pre>{escape(json.dumps(value, indent=1, default=str))}</pre></details>"
            for name, value in self.items()
            if name not in short
        )
        return f"<p><b>Bundle</b> {escape(facts)}</p>{parts}"


def line(bundle: Bundle) -> str:
    """Name, kind, world, size and number of starts."""
    spec = bundle.model.spec
    weights = sum(parameter.numel() for parameter in bundle.model.parameters())
    return (
        f"<Bundle {bundle.path.name}: {bundle.config.get('kind', 'a')} model of {spec.world}, "
        f"{weights / 1e6:.2g} M parameters, {spec.actions_in_words}, "
        f"{len(bundle.contexts)} starts>"
    )


def html(bundle: Bundle) -> str:
    """The same with start frames and results, for notebooks."""
    starts = np.linspace(0, len(bundle.contexts) - 1, STARTS).astype(int)
    frames = to_rgb(bundle.contexts.frames[starts, -1])  # (N, H, W, 3)
    padded = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
    strip = np.concatenate(list(padded), 1)
    source = f"data:image/png;base64,{base64.b64encode(png(strip)).decode()}"
    style = f"width:{round(SCALE * strip.shape[1])}px;max-width:100%;image-rendering:pixelated"
    scores = bundle.config.get("scores", {})
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>"
        for name, value in scores.items()
        if isinstance(value, int | float)
    )
    actions = ", ".join(bundle.model.spec.action_names)
    return (
        f"<p><b>{escape(line(bundle)[1:-1])}</b><br>actions: {escape(actions)}</p>"
        f'<img style="{style}" alt="starts" src="{source}">'
        f"<details><summary>results</summary><table>{rows}</table></details>"
    )
