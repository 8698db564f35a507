"""The world map's evaluator: do frames move as the window does, and is what was in sight kept?

N transitions, R rollouts, H horizon. A shift (rows, columns) is how far the window moved: what a
frame shows at (y, x) was at (y, x) + shift in the frame before. Where an action was without effect
(the map's edge) follows from the recording.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation import metrics
from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.evaluator import (
    Evaluator,
    GameStep,
    Moved,
    Runs,
    Target,
    as_tensor,
    mean,
    median,
)
from world_models.evaluation.rollouts import Rollouts
from world_models.evaluation.worlds.worldmap_windows import masked_psnr, shown, window
from world_models.protocols import WorldSpec

HORIZONS = (1, 5, 10, 20, 32, 64)
DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
MARGIN = 2  # pixels beyond the stride in which a shift is looked for
# gray levels (root mean square) that a frame must differ from itself, moved, to show a shift
TEXTURE = 2.0
CORRECT_SHIFT, CORRECT_PSNR = 0.5, 25.0  # pixels, dB: from here on a dreamed frame is correct
LANDFALL = 0.5  # rewards above are paid for land
FEWEST = 64  # pixels of a frame that must still be known for it to count


class MapTransitions(NamedTuple):
    """Of each transition, (N, ...)."""

    motion: np.ndarray  # (N, 2) int64 true shift of the recording
    # (N, 2) float64 as measured, which differs from the true one by the error of the measurement
    real_shift: np.ndarray
    dream_shift: np.ndarray  # (N, 2) float64
    decisive: np.ndarray  # (N,) bool: there is enough texture to show a shift
    # (N, 2) float64 PSNR of the dream and of the last frame, on the pixels that the last one shows
    known: np.ndarray
    new: np.ndarray  # (N,) float64 PSNR of the dream on the others; nan where there are none


class MapSteps(NamedTuple):
    """Of each step of a closed loop, (L, ...)."""

    shift: np.ndarray  # (L, 2)
    decisive: np.ndarray  # (L,)


class WorldMapEvaluator(Evaluator):
    """`stride` pixels per move; `action_names` are up, down, left and right in some order."""

    card = (
        "rules.shift_error",
        "rules.known_psnr",
        "rules.rollout.known_psnr.32",
        "rules.landfall.one_step.f1",
        "action_sensitivity.dream_random_actions",
    )
    opposites = (("up", "down"), ("right", "left"), ("down", "up"), ("left", "right"))
    needs_game = True
    targets = (
        Target("rules.known_psnr", "what was in sight, next frame", 30, unit="dB"),
        Target("rules.rollout.known_psnr.1", "what was in sight, 1 step", 30, unit="dB"),
        Target("rules.rollout.known_psnr.32", "what was in sight, 32 steps", 26, unit="dB"),
        Target("rules.shift_error", "shift error", most=0.5, unit="px"),
        Target("rules.landfall.one_step.f1", "landfall, F1"),
    )

    def __init__(self, stride: int, action_names: tuple[str, ...] = tuple(DIRECTIONS), landed=None):
        self.landed = landed  # of the game: frames (N, H, W, C) -> (N,) bool; None: not known
        self.stride, self.reach = stride, stride + MARGIN
        self.moves = stride * np.array([DIRECTIONS[name] for name in action_names])  # (A, 2)

    @classmethod
    def build(cls, spec: WorldSpec, game: Any = None) -> "WorldMapEvaluator":
        """With the stride of `game`, a RealWorldMap."""
        return cls(game.stride, spec.action_names, game.landed)

    def decode_batch(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> MapTransitions:
        last = context[:, -1]
        motion = self.motion(last, real, action)
        known = window(motion, motion, last.shape[1:3])
        columns = [masked_psnr(frames, real, known) for frames in (dreamed, last)]
        real_shift, dream_shift = (
            measured_shift(last, frames, self.reach) for frames in (real, dreamed)
        )
        new = masked_psnr(dreamed, real, ~known)
        decisive, psnrs = textured(last, self.reach), np.stack(columns, 1)
        return MapTransitions(motion, real_shift, dream_shift, decisive, psnrs, new)

    def decode_step(self, before: np.ndarray, after: np.ndarray) -> MapSteps:
        return MapSteps(measured_shift(before, after, self.reach), textured(before, self.reach))

    def game_step(self, before: np.ndarray, moved: Moved, after: np.ndarray) -> GameStep:
        over = self.landed(after) if self.landed else None
        return GameStep({"landfalls": moved.reward > LANDFALL}, over)

    def psnr_in_sight(
        self, first: np.ndarray, last: np.ndarray, action: np.ndarray, steps: int
    ) -> np.ndarray:
        away = -steps * self.moves[action]
        kept = window(away, away, first.shape[1:3])
        enough = kept.sum((1, 2)) >= FEWEST
        return np.where(enough, masked_psnr(last, first, kept), np.nan)

    def motion(self, last: np.ndarray, real: np.ndarray, action: np.ndarray) -> np.ndarray:
        """(N, 2) int64 true shifts of recorded frames (N, H, W, C):
        the action's, or none where that fits better.
        """
        move = self.moves[action]
        known = window(move, move, last.shape[1:3])
        moved, still = (masked_psnr(frames, real, known) for frames in (shown(last, move), last))
        return np.where((moved >= still)[:, None], move, 0)

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        run, opened = runs.one_step, runs.rollouts
        decoded, decisive = run.decoded, run.decoded.decisive
        error = shift_error(decoded)
        moved = (decoded.motion != 0).any(1)
        return {
            "shift_error": mean(error[decisive]),
            "shift_error_median": median(error[decisive]),
            "shift_within_half_pixel": mean(error[decisive] <= CORRECT_SHIFT),
            "samples_shift": int(decisive.sum()),
            "known_psnr": mean(decoded.known[:, 0]),
            "known_psnr_copy_last_frame": mean(decoded.known[moved, 1]),
            "known_psnr_moving": mean(decoded.known[moved, 0]),
            "new_strip_psnr": mean(decoded.new[moved]),
            "samples_moving": int(moved.sum()),
            "samples": len(moved),
            "rollout": self._rollout_figures(opened),
            "landfall": self._landfall(runs),
        }

    def _rollout_figures(self, opened: Rollouts) -> dict:
        """After h steps: PSNR on the pixels that were in sight since the start,
        and the error of the last shift.
        """
        real, dream, actions = (
            values.numpy() for values in (opened.real_frames, opened.frames, opened.actions)
        )
        going = (opened.real_running & opened.running).numpy()
        place = low = high = np.zeros((len(real), 2), np.int64)
        figures: dict[str, dict] = {
            name: {} for name in ("known_psnr", "samples", "shift_error", "samples_shift")
        }
        for h in range(1, real.shape[1]):
            motion = self.motion(real[:, h - 1], real[:, h], actions[:, h - 1])
            place = place + motion
            low, high = np.minimum(low, place), np.maximum(high, place)
            if h not in HORIZONS:
                continue
            known = window(place - low, place - high, real.shape[2:4])
            rows = going[:, h - 1] & (known.sum((1, 2)) >= FEWEST)
            figures["known_psnr"][str(h)] = mean(
                masked_psnr(dream[rows, h], real[rows, h], known[rows])
            )
            figures["samples"][str(h)] = int(rows.sum())
            rows = (
                going[:, h - 1]
                & textured(dream[:, h - 1], self.reach)
                & textured(real[:, h - 1], self.reach)
            )
            pairs = [measured_shift(f[rows, h - 1], f[rows, h], self.reach) for f in (real, dream)]
            figures["shift_error"][str(h)] = mean(_length(pairs[0] - pairs[1]))
            figures["samples_shift"][str(h)] = int(rows.sum())
        return figures

    def _landfall(self, runs: Runs) -> dict:
        """The largest reward at the right step, where the recording or the dream has it."""
        run, opened = runs.one_step, runs.rollouts
        both = opened.running & opened.real_running
        pairs = {
            "one_step": (run.reward, run.real_reward),
            "rollout": (opened.rewards[both], opened.real_rewards[both]),
        }
        return {
            name: metrics.class_score(*(r > LANDFALL for r in pair))._asdict()
            for name, pair in pairs.items()
        }

    def action_figures(self, runs: Runs) -> dict:
        """The action is recognized by the shift: it is the one whose move is nearest. Transitions
        at the map's edge are left out.
        """
        run, other, figures = runs.one_step, runs.random_actions, {}
        moved = run.decoded.decisive & (run.decoded.motion != 0).any(1)
        sources = {
            "dream": (run.decoded.dream_shift, run.action, moved),
            "real": (run.decoded.real_shift, run.action, moved),
            "dream_random_actions": (
                other.decoded.dream_shift,
                other.action,
                other.decoded.decisive,
            ),
        }
        for name, (shift, action, decisive) in sources.items():
            near = _length(shift[decisive, None] - self.moves)  # (M, A)
            credit = (near.argmin(1) == action.numpy()[decisive]) & (near.min(1) < self.stride / 2)
            figures[name], figures[f"samples_{name}"] = mean(credit), int(decisive.sum())
        return figures

    def correctness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """Correct frames moved as the window did and keep what was in sight."""
        decoded = runs.one_step.decoded
        correct = (shift_error(decoded) <= CORRECT_SHIFT) | ~decoded.decisive
        return runs.one_step.trust, as_tensor(correct & (decoded.known[:, 0] >= CORRECT_PSNR))

    def survival_figures(self, run: ClosedLoop, score: Any) -> dict:
        """Share of steps that move by the action's stride or, as at the map's edge, not at all."""
        move = self.moves[run.actions]  # (T, L, 2)
        error = np.minimum(_length(run.decoded.shift - move), _length(run.decoded.shift))
        decisive = run.decoded.decisive
        return {
            "lawful_moves": mean(error[decisive] <= CORRECT_SHIFT),
            "frames_with_texture": mean(decisive),
        }


def _length(shift: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(shift).sum(-1))


def shift_error(decoded: MapTransitions) -> np.ndarray:
    """(N,) pixels between the shift in the dream and in the recording, measured alike."""
    return _length(decoded.dream_shift - decoded.real_shift)


def mismatch(last: np.ndarray, frames: np.ndarray, reach: int) -> np.ndarray:
    """(N, 2 * reach + 1, 2 * reach + 1) mean square between the middle of `frames`
    and `last` moved by each shift.

    The middle is what stays in sight under every shift up to `reach` rows or columns. By FFT, in
    gray levels.
    """
    if not len(frames):
        return np.zeros((0, 2 * reach + 1, 2 * reach + 1))
    before, after = (torch.from_numpy(f.mean(-1, dtype=np.float64)) for f in (last, frames))
    mean_gray = before.mean((1, 2), keepdim=True)
    before, after = before - mean_gray, after - mean_gray  # small numbers: less rounding
    inside = torch.zeros_like(after[0])
    inside[reach:-reach, reach:-reach] = 1
    size = before.shape[1:]
    template, spectrum = torch.fft.rfft2(after * inside), torch.fft.rfft2(before)
    product = torch.fft.irfft2(template.conj() * spectrum, s=size)
    weights, squares = torch.fft.rfft2(inside), torch.fft.rfft2(before.square())
    power = torch.fft.irfft2(weights.conj() * squares, s=size)
    whole = (after.square() * inside).sum((1, 2))[:, None, None]
    side = 2 * reach + 1
    found = torch.roll(whole + power - 2 * product, (reach, reach), (1, 2))[:, :side, :side]
    return (found / inside.sum()).clamp_min(0).numpy()


def measured_shift(last: np.ndarray, frames: np.ndarray, reach: int) -> np.ndarray:
    """(N, 2) shifts that fit best, to a fraction of a pixel
    by a parabola through the best one's neighbors.
    """
    surface, side = mismatch(last, frames, reach), 2 * reach + 1
    lane = np.arange(len(surface))
    best = np.stack(
        np.unravel_index(surface.reshape(len(surface), side * side).argmin(1), (side, side)), 1
    )
    inner = np.clip(best, 1, side - 2)
    found = best - float(reach)
    for axis, step in enumerate(((1, 0), (0, 1))):
        before, here, after = (
            surface[lane, inner[:, 0] + k * step[0], inner[:, 1] + k * step[1]] for k in (-1, 0, 1)
        )
        bend = before + after - 2 * here
        part = np.where(bend > 1e-9, (before - after) / (2 * np.maximum(bend, 1e-9)), 0)
        found[:, axis] += np.where((best == inner).all(1), np.clip(part, -0.5, 0.5), 0)
    return found


def textured(frames: np.ndarray, reach: int) -> np.ndarray:
    """(N,) bool: a frame that differs from itself moved by one pixel or more,
    so that a shift of it is visible.
    """
    surface = mismatch(frames, frames, reach)
    surface[:, reach, reach] = np.inf
    return surface.min((1, 2)) > TEXTURE**2
