"""The same start under every action: what a dream makes of each, side by side in one film.

N actions, T frames, H x W x C a frame. Every action is held from the same state with the same
random numbers, so that whatever differs between the tiles is the action's doing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from collectors.media import INK, PAPER, enlarge, tile, to_rgb
from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.video_writers import WRITERS, write_video
from neural_envs.simulator import DreamState, Simulator, streams
from world_models.lanes import take_lanes
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions

TILE, LABEL, GAP = (
    128,
    24,
    6,
)  # least pixels of a tile's longer side, of its label's height, and around it
DIM = 0.4  # of a tile whose game is over
PAID, LOST = (86, 204, 128), (238, 92, 98)


class Branches(NamedTuple):
    """What came of each action held from one state; step 0 is that state."""

    names: tuple[str, ...]  # N
    frames: np.ndarray  # (T, N, H, W, 3) uint8; a game that is over stays as it ended
    returns: np.ndarray  # (T, N) float32, the sum of the rewards so far
    ended: np.ndarray  # (T, N) bool


def action_grid(bundle: Any, frames: int = 32, seed: int = 0, device: str = "cpu") -> np.ndarray:
    """The film (frames + 1, height, width, 3) uint8: a labelled tile for each action, held from the
    start of `seed`.

    bundle: as for `NeuralEnv`. The start is that of its reset(seed=seed).
    """
    simulator = Simulator(bundle, device)
    return film_of(branches(simulator, first_state(simulator, seed), frames))


def first_state(simulator: Simulator, seed: int) -> DreamState:
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
    """Every action held for `frames` steps from `state`, a dream of one lane; one batch of N
    lanes, drawn as the options say.
    """
    if frames < 1:
        raise ValueError(f"an action is held for at least 1 frame, got frames={frames}")
    names = simulator.model.spec.action_names
    state = take_lanes(state, torch.zeros(len(names), dtype=torch.int64, device=simulator.device))
    action, over = (
        torch.arange(len(names), device=simulator.device),
        torch.zeros_like(state.finished),
    )
    kept = [(state.frame, torch.zeros(len(names), device=simulator.device), over)]
    for _ in range(frames):
        moved, (last, paid, over) = simulator.step(state, action, options), kept[-1]
        frame = torch.where(over[:, None, None, None], last, moved.frame)
        kept.append((frame, paid + torch.where(over, 0.0, moved.reward), over | moved.termination))
        state = DreamState(
            moved.state, state.noise.next(), moved.frame, state.elapsed + 1, kept[-1][2]
        )
    pictures, returns, ended = (torch.stack(part).cpu().numpy() for part in zip(*kept, strict=True))
    return Branches(tuple(names), to_rgb(pictures), returns, ended)


def film_of(found: Branches) -> np.ndarray:
    """(T, height, width, 3) uint8: a tile for each action with its name, what it has earned, and
    whether it is over.
    """
    count, side = len(found.names), max(found.frames.shape[2:4])
    scale, columns = math.ceil(TILE / side), count if count <= 3 else math.ceil(math.sqrt(count))
    film = []
    for frames, returns, ended in zip(found.frames, found.returns, found.ended, strict=True):
        tiles = [
            _tile(enlarge(frame, scale), name, float(paid), bool(over))
            for frame, name, paid, over in zip(frames, found.names, returns, ended, strict=True)
        ]
        film.append(tile(np.stack(tiles), columns, PAPER))
    return np.stack(film)


def _tile(picture: np.ndarray, name: str, paid: float, over: bool) -> np.ndarray:
    """A picture (h, w, 3) under its label, with a border: (h + LABEL + 2 GAP, w + 2 GAP, 3)."""
    height, width = picture.shape[:2]
    canvas = np.full((height + LABEL + 2 * GAP, width + 2 * GAP, 3), PAPER, np.uint8)
    canvas[GAP : GAP + LABEL, GAP : GAP + width] = _label(
        name, f"{paid:+.3g}" if paid else "", over, width
    )
    inside = picture if not over else (DIM * picture + (1 - DIM) * np.array(PAPER)).astype(np.uint8)
    canvas[GAP + LABEL : -GAP, GAP : GAP + width] = inside
    return canvas


@lru_cache(maxsize=512)
def _label(name: str, paid: str, over: bool, width: int) -> np.ndarray:
    """(LABEL, width, 3): the name at the left, at the right the return and "over"."""
    from PIL import Image, ImageDraw, ImageFont

    picture, font = Image.new("RGB", (width, LABEL), PAPER), ImageFont.load_default(14)
    draw, right = ImageDraw.Draw(picture), width - 2
    if over:
        draw.text((right, LABEL // 2), "over", fill=LOST, font=font, anchor="rm")
        right -= int(font.getlength("over")) + 6
    if paid:
        draw.text(
            (right, LABEL // 2), paid, fill=LOST if paid[0] == "-" else PAID, font=font, anchor="rm"
        )
        right -= int(font.getlength(paid)) + 6
    while name and font.getlength(name) > right:
        name = name[:-1]
    draw.text((1, LABEL // 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(picture)


@dataclass(frozen=True)
class ActionGridConfig:
    """Film what a dream makes of each of its actions, held from the same start with the same random
    numbers.
    """

    bundle: str = setting("snake", "released name, directory or Hub repository of a bundle")
    frames: int = setting(32, "steps that each action is held for")
    seed: int = setting(0, "of the start and of the dream's random numbers")
    out: str = setting("", "the .mp4 or .gif to write; none: <bundle>-actions.mp4 here")
    fps: int = setting(0, "frames a second; 0 is the world's own pace")
    sampler_steps: int = setting(
        0, "denoising steps a frame, where the model has them; 0 is the bundle's own"
    )
    guidance: float | None = setting(
        None, "on the action, where the model has it; none is the bundle's own"
    )
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("seed", 0), ("fps", 0), ("sampler_steps", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"setting '{name}' is {least} or more, got {getattr(self, name)}")
        if self.out and not self.out.lower().endswith(tuple(WRITERS)):
            raise ValueError(
                f"setting 'out' is a file name ending in {' or '.join(WRITERS)}, got '{self.out}'"
            )


def run(config: ActionGridConfig) -> str:
    """Write the film; return the return of each action and where the film is."""
    simulator = Simulator(config.bundle, config.device)
    options = SamplingOptions(config.sampler_steps or None, config.guidance)
    state = first_state(simulator, config.seed)
    found = branches(simulator, state, config.frames, options)
    out = config.out or f"{Path(config.bundle).resolve().name}-actions.mp4"
    path = write_video(out, film_of(found), config.fps or simulator.model.spec.fps, scale=1)
    rows = zip(found.names, found.returns[-1], found.ended.T, strict=True)
    lines = [
        f"{name}: return {reward:g}" + (f", over at step {ended.argmax()}" if ended.any() else "")
        for name, reward, ended in rows
    ]
    return "\n".join([*lines, f"wrote {path}"])


def main(argv: list[str] | None = None) -> int:
    """The verb `action-grid`; returns the exit code."""
    return command(ActionGridConfig, run, argv, "neural-envs action-grid", ("bundle",))
