"""Runs of a world model that evaluation computes its figures from: one step, open, closed loop.

N transitions, R rollouts, H horizon, L lanes, K context frames. Every function is a batched pass
under inference_mode that returns what happened; evaluators decode and score it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.progress import progress
from world_models.evaluation.metrics import exact, psnr, ssim
from world_models.evaluation.test_split import Place, SplitReader, Window
from world_models.lanes import put_lanes
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions

DecodeBatch = Callable[
    [np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any
]  # Evaluator.decode_batch
DecodeStep = Callable[[np.ndarray, np.ndarray], Any]  # Evaluator.decode_step
KEPT_FRAMES = 200  # of a closed loop's first lane, for the film


class Drawing(NamedTuple):
    """How transitions are dreamed."""

    batch: int = 128  # in one forward
    options: SamplingOptions = DEFAULT_OPTIONS


DRAWING = Drawing()


class OneStep(NamedTuple):
    """Teacher-forced transitions, (N,) each; `decoded` is what the evaluator made of their frames,
    or None.
    """

    quality: dict[str, Tensor]  # psnr, ssim, exact of the dreamed frame
    copy_quality: dict[str, Tensor]  # the same of the last frame, copied
    action: Tensor
    reward: Tensor
    termination: Tensor
    trust: Tensor
    real_reward: Tensor
    real_termination: Tensor
    reward_confidence: (
        Tensor | None
    )  # the model's probability of the reward it gave; None where it gives none
    termination_confidence: Tensor | None
    decoded: Any
    signals: dict[str, Tensor] = {}  # other signals of a wrong frame, see trust_scores


def _confidence(model, state, action: Tensor, dream) -> tuple[Tensor | None, Tensor | None]:
    """Probabilities of the reward and the termination that a dream gave, from a model that has
    them.

    `model.outcome_probabilities(state, action, frame)` gives (B, R) over spec.reward_values and
    (B,) of termination.
    """
    if not hasattr(model, "outcome_probabilities"):
        return None, None
    reward, termination = model.outcome_probabilities(state, action, dream.frame)
    given = (
        (dream.reward[:, None] - reward.new_tensor(model.spec.reward_values))
        .abs()
        .argmin(1, keepdim=True)
    )
    return reward.gather(1, given)[:, 0].float().cpu(), torch.where(
        dream.termination, termination, 1 - termination
    ).float().cpu()


def _new(frames: Tensor, model) -> Tensor:
    """What a step adds to frames (..., C): where the game stacks frames in the channels, the
    newest one.
    """
    return frames[..., -getattr(model, "colors", frames.shape[-1]) :]


def _quality(frames: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {
        "psnr": psnr(frames, target),
        "ssim": ssim(frames, target),
        "exact": exact(frames, target),
    }


@torch.inference_mode()
def one_step(
    model,
    test_split: SplitReader,
    places: list[Place],
    decode_batch: DecodeBatch | None = None,
    drawing: Drawing = DRAWING,
    actions: Tensor | None = None,
    signals: Callable[..., dict[str, Tensor]] | None = None,
) -> OneStep:
    """Dreams one step from each real context, with the recorded actions or with `actions` (N,).

    `decode_batch` is an evaluator's, None keeps nothing of the frames. `signals(state, action,
    frame, noise)` gives further numbers (B,) of a batch, by name.
    """
    rows, (batch, options) = [], drawing
    for start in progress(range(0, len(places), batch), desc="one step"):
        window = test_split.window(places[start : start + batch])
        action = window.actions[:, 0] if actions is None else actions[start : start + batch]
        rows.append(_dream_once(model, window, action, decode_batch, start, signals, options))
    return _joined(rows)


def _dream_once(
    model,
    window: Window,
    action: Tensor,
    decode_batch: DecodeBatch | None,
    seed: int,
    signals: Callable[..., dict[str, Tensor]] | None,
    options: SamplingOptions,
) -> OneStep:
    """One batch of transitions; lane i draws the noise of seed + i."""
    noise = to_model(NoiseStream.from_seeds(torch.arange(seed, seed + len(action))), model)
    state, chosen = model.init(to_model(window.context, model)), action.to(_device(model))
    dream = model.step(state, chosen, noise, options)
    sure = _confidence(model, state, chosen, dream)
    more = signals(state, chosen, dream.frame, noise) if signals else {}
    dream = _on_cpu(dream)
    real = window.frames[:, 1]
    frames = (window.context.frames.numpy(), real.numpy(), dream.frame.numpy())
    decoded = decode_batch and decode_batch(*frames, window.actions[:, 0].numpy())
    outcomes = (action, dream.reward, dream.termination, dream.trust)
    true = (window.rewards[:, 0], window.terminations[:, 0])
    last, target, dreamed = (_new(f, model) for f in (window.frames[:, 0], real, dream.frame))
    return OneStep(
        _quality(dreamed, target), _quality(last, target), *outcomes, *true, *sure, decoded, more
    )


def _joined(rows: list[OneStep]) -> OneStep:
    def join(values):
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {key: torch.cat([v[key] for v in values]) for key in values[0]}
        if isinstance(values[0], tuple):
            return type(values[0])(
                *(np.concatenate(column) for column in zip(*values, strict=True))
            )
        return torch.cat(values)

    return OneStep(*(join(column) for column in zip(*rows, strict=True)))


class Rollouts(NamedTuple):
    """Open-loop dreams beside the recording, same actions. A dream that ended stays on its last
    frame.

    Where the game stacks several frames in the channels, frames are the newest of each stack: the
    others are old.
    """

    frames: Tensor  # (R, H + 1, H', W, C) uint8
    real_frames: Tensor
    actions: Tensor  # (R, H)
    rewards: Tensor  # (R, H)
    terminations: Tensor  # (R, H)
    trust: Tensor  # (R, H)
    real_rewards: Tensor
    real_terminations: Tensor
    running: Tensor  # (R, H) bool: the dream had not ended before this step
    real_running: Tensor  # (R, H) bool: nor had the recording
    # (R, H', W, C) uint8: the context's frame before the first; that one again where there is none
    earlier: Tensor


@torch.inference_mode()
def rollouts(
    model,
    test_split: SplitReader,
    places: list[Place],
    horizon: int,
    options: SamplingOptions = DEFAULT_OPTIONS,
) -> Rollouts:
    """Dreams of `horizon` steps from R real contexts with the recorded actions."""
    window = test_split.window(places, horizon)
    state, device = model.init(to_model(window.context, model)), _device(model)
    noise = to_model(NoiseStream.from_seeds(torch.arange(len(places)) + 1_000_003), model)
    running, frames, rows = torch.ones(len(places), dtype=torch.bool), [window.frames[:, 0]], []
    for h in progress(range(horizon), desc="open loop"):
        dream = model.step(state, window.actions[:, h].to(device), noise, options)
        state, noise, dream = dream.state, noise.next(), _on_cpu(dream)
        frames.append(torch.where(running[:, None, None, None], dream.frame, frames[-1]))
        rows.append((dream.reward * running, dream.termination & running, dream.trust, running))
        running = running & ~dream.termination
    rewards, terminations, trust, was_running = (
        torch.stack(column, 1) for column in zip(*rows, strict=True)
    )
    real_running = torch.arange(horizon) < window.lengths[:, None]
    newest = (_new(f, model) for f in (torch.stack(frames, 1), window.frames))
    return Rollouts(*newest, window.actions, rewards, terminations, trust,
                    window.rewards, window.terminations, was_running, real_running,
                    _new(window.context.frames[:, -2:][:, 0], model))  # fmt: skip


class ClosedLoop(NamedTuple):
    """Dreams that a policy plays, restarted from a stored context when they end.

    T steps of L lanes, (T, L) each.
    """

    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    # what the evaluator decoded from each step: arrays (T, L, ...), or None
    decoded: Any
    finite: bool
    frames: np.ndarray  # (T', H, W, C): the first lane's first frames, to look at


class _Player:
    """L dreams, one policy and its randomness for each; dreams that end start again from a stored
    context.
    """

    def __init__(
        self,
        model,
        contexts,
        make_policy: Callable[[], Callable],
        lanes: int,
        seed: int,
        options: SamplingOptions,
    ):
        self.model, self.contexts, self.device = model, contexts, _device(model)
        self.options = options
        self.generator = np.random.default_rng(seed)
        self.policies = [make_policy() for _ in range(lanes)]
        self.noise = to_model(
            NoiseStream.from_seeds(torch.arange(lanes) + 7919 * (seed + 1)), model
        )
        self.state, self.frames = self._fresh(lanes)
        self._reset_policies(range(lanes))

    def _fresh(self, count: int):
        context = self.contexts.choose(
            torch.from_numpy(self.generator.integers(len(self.contexts), size=count))
        )
        return self.model.init(to_model(context, self.model)), context.frames[:, -1].numpy()

    def _reset_policies(self, lanes) -> None:
        for lane in lanes:
            self.policies[lane].reset(np.random.default_rng(self.generator.integers(2**63)))

    def step(self):
        """Every policy acts on its frame; returns the actions (L,) and the transition on the
        CPU.
        """
        action = np.array(
            [policy(frame) for policy, frame in zip(self.policies, self.frames, strict=True)],
            np.int64,
        )
        moved = torch.from_numpy(action).to(self.device)
        dream = self.model.step(self.state, moved, self.noise, self.options)
        self.state, self.noise, dream = dream.state, self.noise.next(), _on_cpu(dream)
        self.frames = dream.frame.numpy().copy()
        return action, dream

    def restart(self, lanes: np.ndarray) -> None:
        """New contexts for `lanes` (M,)."""
        fresh, self.frames[lanes] = self._fresh(len(lanes))
        self.state = put_lanes(self.state, torch.from_numpy(lanes).to(self.device), fresh)
        self._reset_policies(lanes)


@torch.inference_mode()
def closed_loop(
    model,
    contexts,
    make_policy: Callable[[], Callable],
    size: tuple[int, int],
    decode_step: DecodeStep | None = None,
    seed: int = 0,
    options: SamplingOptions = DEFAULT_OPTIONS,
) -> ClosedLoop:
    """A policy plays `size` = (T steps, L dreams); `make_policy()` gives a lane its pixel policy.

    `decode_step` is an evaluator's, None keeps nothing of the frames.
    """
    steps, lanes = size
    player = _Player(model, contexts, make_policy, lanes, seed, options)
    finite, rows, decoded, kept = True, [], [], []
    for _ in progress(range(steps), desc="closed loop"):
        before = player.frames
        action, dream = player.step()
        finite = finite and bool(
            torch.isfinite(dream.reward).all() and torch.isfinite(dream.trust).all()
        )
        if len(kept) < KEPT_FRAMES:
            kept.append(player.frames[0].copy())
        decoded.append(decode_step and decode_step(before, player.frames))
        rows.append((action, dream.reward.numpy(), dream.termination.numpy()))
        ended = np.flatnonzero(dream.termination.numpy())
        if len(ended):
            player.restart(ended)
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    return ClosedLoop(*columns, _stacked(decoded), finite, np.stack(kept))


def _stacked(rows: list):
    """T NamedTuples of arrays (L, ...) as one of arrays (T, L, ...); None of Nones."""
    return rows[0] and type(rows[0])(*(np.stack(column) for column in zip(*rows, strict=True)))


def _device(model) -> torch.device:
    """Where a model lives; test doubles without parameters live on the CPU."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def to_model(leaves, model):
    """A context or a noise stream on the model's device."""
    return type(leaves)(*(leaf.to(_device(model)) for leaf in leaves))


def _on_cpu(dream):
    """A transition's outputs on the CPU, without its state."""
    outputs = {
        name: getattr(dream, name).cpu() for name in ("frame", "reward", "termination", "trust")
    }
    return dream._replace(state=None, **outputs)
