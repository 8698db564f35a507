"""The same start under every action: what a dream makes of each, side by side in one film.

N actions, T frames, H x W x C per frame. Every action is held from the same state with the same
random numbers, so that whatever differs between the tiles is the action's doing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from collectors.media import INK, PAPER, enlarge, tile, to_rgb
from neural_envs.action_keys import choices_of
from neural_envs.simulator import DreamState, Simulator, streams
from world_models.lanes import take_lanes
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions

# Pixels: least length of a tile's longer side, height of its label, margin around both.
TILE, LABEL, GAP = 128, 24, 6
DIM = 0.4  # brightness of a tile after termination
GOOD, BAD = (86, 204, 128), (238, 92, 98)


class Branches(NamedTuple):
    """What came of each action held from one state; step 0 is that state."""

    names: tuple[str, ...]  # N
    frames: np.ndarray  # (T, N, H, W, 3) uint8; after termination the last frame stays
    returns: np.ndarray  # (T, N) float32, the sum of the rewards so far
    terminated: np.ndarray  # (T, N) bool, at this step or before


def action_grid(bundle: Any, frames: int = 32, seed: int = 0, device: str = "cpu") -> np.ndarray:
    """The film (frames + 1, height, width, 3) uint8: one labelled tile per action.

    Every action is held from the start that `NeuralEnv(bundle).reset(seed=seed)` gives. `bundle` is
    what `NeuralEnv` takes.
    """
    simulator = Simulator(bundle, device)
    return branches_film(branches(simulator, start_state(simulator, seed), frames))


def start_state(simulator: Simulator, seed: int) -> DreamState:
    """The state, of one lane, that a single environment's reset with this seed gives."""
    with torch.inference_mode():
        return simulator.start(streams(seed, None, 1, simulator.device))


@torch.inference_mode()
def branches(
    simulator: Simulator,
    state: DreamState,
    frames: int,
    options: SamplingOptions = DEFAULT_OPTIONS,
) -> Branches:
    """Every action held for `frames` steps from `state`, a dream of one lane: a batch of N lanes.
    Of actions in parts those of `choices_of`.

    Raises ValueError where `frames` is less than 1.
    """
    if frames < 1:
        raise ValueError(f"an action is held for at least 1 frame, got frames={frames}")
    spec = simulator.model.spec
    names, chosen = zip(*choices_of(spec), strict=True)
    lanes = torch.zeros(len(names), dtype=torch.int64, device=simulator.device)
    state = take_lanes(state, lanes)
    encoded = spec.actions.encode(np.array(chosen, spec.actions.dtype))
    action = torch.from_numpy(encoded).to(simulator.device)
    steps = [(state.frame, lanes.float(), torch.zeros_like(state.finished))]
    for _ in range(frames):
        frame, return_, over = steps[-1]
        after = simulator.step(state, action, options)
        frame = torch.where(over[:, None, None, None], frame, after.frame)
        return_ = return_ + torch.where(over, 0.0, after.reward)
        over = over | after.termination
        steps.append((frame, return_, over))
        state = DreamState(
            after.state, state.noise.next(), after.frame, state.elapsed + 1, finished=over
        )
    columns = (torch.stack(column).cpu().numpy() for column in zip(*steps, strict=True))
    shown, returns, terminated = columns
    return Branches(tuple(names), to_rgb(shown), returns, terminated)


def branches_film(branches: Branches) -> np.ndarray:
    """The film (T, height, width, 3) uint8: per action a tile with name, return and "over"."""
    count, side = len(branches.names), max(branches.frames.shape[2:4])
    scale, columns = math.ceil(TILE / side), count if count <= 3 else math.ceil(math.sqrt(count))
    film = []
    steps = zip(branches.frames, branches.returns, branches.terminated, strict=True)
    for frames, returns, terminated in steps:
        lanes = zip(frames, branches.names, returns, terminated, strict=True)
        tiles = [
            _tile(enlarge(frame, scale), name, float(return_), bool(over))
            for frame, name, return_, over in lanes
        ]
        film.append(tile(np.stack(tiles), columns, PAPER))
    return np.stack(film)


def _tile(frame: np.ndarray, name: str, return_: float, over: bool) -> np.ndarray:
    """A frame (h, w, 3) under its label, with a margin: (h + LABEL + 2 GAP, w + 2 GAP, 3)."""
    height, width = frame.shape[:2]
    canvas = np.full((height + LABEL + 2 * GAP, width + 2 * GAP, 3), PAPER, np.uint8)
    label = _label(name, f"{return_:+.3g}" if return_ else "", over, width)
    canvas[GAP : GAP + LABEL, GAP : GAP + width] = label
    if over:
        frame = (DIM * frame + (1 - DIM) * np.array(PAPER)).astype(np.uint8)
    canvas[GAP + LABEL : -GAP, GAP : GAP + width] = frame
    return canvas


@lru_cache(maxsize=512)
def _label(name: str, return_: str, over: bool, width: int) -> np.ndarray:
    """(LABEL, width, 3): the name at the left, at the right the return and "over"."""
    from PIL import Image, ImageDraw, ImageFont

    image, font = Image.new("RGB", (width, LABEL), PAPER), ImageFont.load_default(14)
    draw, right, middle = ImageDraw.Draw(image), width - 2, LABEL // 2
    color = BAD if return_.startswith("-") else GOOD
    for text, fill in (("over" if over else "", BAD), (return_, color)):
        if text:
            draw.text((right, middle), text, fill=fill, font=font, anchor="rm")
            right -= int(font.getlength(text)) + 6
    while name and font.getlength(name) > right:
        name = name[:-1]
    draw.text((1, middle), name, fill=INK, font=font, anchor="lm")
    return np.asarray(image)
