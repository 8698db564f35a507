"""Does a dream hold? Sharpness, KID and counted things by depth: `hold` of evaluation.json.

N frames, H x W x C each. A depth counts the steps since a game began.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from collectors.media import to_rgb, write_strip
from world_models.evaluation import metrics
from world_models.evaluation.estimates import share_estimate
from world_models.evaluation.game_play import DeepFrames, GamePlay
from world_models.evaluation.ratios import compared

DEPTHS = (1, 32, 100, 200, 500, 1000)  # the map's games have 200 steps
FEWEST = 8  # frames of a depth that a figure needs
Reconstruct = Callable[[np.ndarray], np.ndarray | None]


def sharpness(frames: np.ndarray) -> np.ndarray:
    """(N,) float64: mean absolute Laplacian of the gray levels of frames (N, H, W, C) uint8."""
    gray = to_rgb(frames).mean(-1, dtype=np.float32)
    return np.array([np.abs(cv2.Laplacian(one, cv2.CV_32F)).mean() for one in gray], np.float64)


def hold_figures(
    plays: dict[str, tuple[GamePlay, GamePlay]],
    reconstruct: Reconstruct,
    kid_frames: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """{depth: {"sharpness", "kid", "counts", "policy", "policies"}} of (dream, real) by policy.

    The figures of a depth are those of the last policy that has enough frames there;
    `policies` has those of each. `kid_frames`: at most so many for KID, under 2 leaves it out.
    """
    found: dict[str, Any] = {}
    depths = next(iter(plays.values()))[0].deep
    for depth in depths:
        rows = {
            name: _at_depth(dream.deep[depth], real.deep[depth], bool(dream.right), reconstruct,
                            kid_frames, generator)
            for name, (dream, real) in plays.items()
        }  # fmt: skip
        full = [name for name, row in rows.items() if "omitted" not in row]
        last = rows[full[-1]] if full else {"omitted": f"too few games last {depth} steps"}
        found[str(depth)] = {**last, "policy": full[-1] if full else None, "policies": rows}
    return found


def _at_depth(
    dream: DeepFrames,
    real: DeepFrames,
    counted: bool,
    reconstruct: Reconstruct,
    kid_frames: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    sizes = len(dream.frames), len(real.frames)
    if min(sizes) < FEWEST:
        return {"omitted": f"{sizes[0]} dreamed and {sizes[1]} real games last so long; "
                f"{FEWEST} of each are needed"}  # fmt: skip
    return {
        "sharpness": compared(sharpness(dream.frames), sharpness(real.frames), generator),
        "kid": _kid(dream, real, reconstruct, kid_frames),
        "counts": {
            **share_estimate(dream.right.astype(float), generator),
            "real": share_estimate(real.right.astype(float), generator),
        }
        if counted
        else {"omitted": "the frames of this world show nothing that can be counted"},
    }


def _kid(
    dream: DeepFrames, real: DeepFrames, reconstruct: Reconstruct, most: int
) -> dict[str, Any]:
    """KID of dreamed frames to real ones; beside it that of the dreams' start frames, and of the
    real frames as the model's own encoder and decoder give them back, where it has such.
    """
    if most < 2:
        return {"omitted": "no frames for KID were asked for"}
    others = {"value": dream.frames[:most], "copy_start": dream.starts[:most]}
    again = reconstruct(real.frames[:most])
    if again is not None:
        others["reconstruction"] = again
    frames = {name: torch.from_numpy(np.ascontiguousarray(f)) for name, f in others.items()}
    return metrics.kid(torch.from_numpy(np.ascontiguousarray(real.frames[:most])), frames)


def write_hold_strip(path: Path, dream: GamePlay, real: GamePlay) -> Path | None:
    """A PNG: one frame of each depth, the dream above and the real game below.

    None where no depth has a frame on both sides.
    """
    pairs = [(dream.deep[d].frames, real.deep[d].frames) for d in dream.deep]
    pairs = [pair for pair in pairs if len(pair[0]) and len(pair[1])]
    if not pairs:
        return None
    rows = [[to_rgb(pair[side][0]) for pair in pairs] for side in (0, 1)]
    return write_strip(path, rows, labels=("dream", "game"))
