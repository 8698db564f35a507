"""How a bundle shows itself: in one line, and in a notebook with a few of its starts.

H x W pixels a frame.
"""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import cv2
import numpy as np

from collectors.media import to_rgb

if TYPE_CHECKING:
    from world_models.bundles.bundle import Bundle

STARTS, SCALE = 8, 1.5  # pictures in a notebook, and screen pixels a world pixel


def line(bundle: Bundle) -> str:
    """Name, kind, world, size and what the model card says first."""
    spec, weights = (
        bundle.model.spec,
        sum(parameter.numel() for parameter in bundle.model.parameters()),
    )
    return (
        f"<Bundle {bundle.path.name}: {bundle.config.get('kind', 'a')} model of {spec.world}, "
        f"{weights / 1e6:.2g} M parameters, {len(spec.action_names)} actions, "
        f"{len(bundle.contexts)} starts>"
    )


def html(bundle: Bundle) -> str:
    """The same with pictures of starts and the measured scores, for notebooks."""
    frames = to_rgb(
        bundle.contexts.frames[np.linspace(0, len(bundle.contexts) - 1, STARTS).astype(int), -1]
    )
    strip = np.concatenate(
        list(np.pad(frames, ((0, 0), (0, 0), (0, 4), (0, 0)), constant_values=255)), 1
    )
    _, packed = cv2.imencode(".png", np.ascontiguousarray(strip[..., ::-1]))  # OpenCV writes BGR
    picture = f"data:image/png;base64,{base64.b64encode(packed.tobytes()).decode()}"
    width = f"width:{round(SCALE * strip.shape[1])}px;max-width:100%;image-rendering:pixelated"
    scores = {
        name: v for name, v in bundle.config.get("scores", {}).items() if isinstance(v, int | float)
    }
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in scores.items()
    )
    actions = ", ".join(bundle.model.spec.action_names)
    return (
        f"<p><b>{escape(line(bundle)[1:-1])}</b><br>actions: {escape(actions)}</p>"
        f'<img style="{width}" alt="starts" src="{picture}">'
        f"<details><summary>measured</summary><table>{rows}</table></details>"
    )
