"""Dreams beside a recording, one step or open loop, from which evaluation computes its figures.

N transitions, R rollouts, H horizon, K context frames. Every function is a batched pass under
inference_mode that returns what happened; evaluators decode and score it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from collectors.progress import progress
from world_models.evaluation.metrics import exact, psnr, ssim
from world_models.evaluation.test_split import Place, SplitReader, Window
from world_models.noise import NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Context,
    SamplingOptions,
    State,
    Transition,
    WorldModel,
)

# Evaluator.decode_batch
DecodeBatch = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any]
ROLLOUT_SEED = 1_000_003  # of the first rollout; apart from the seeds of single steps
Leaves = TypeVar("Leaves", Context, NoiseStream)


class Drawing(NamedTuple):
    """How transitions are dreamed."""

    batch: int = 128  # in one forward
    options: SamplingOptions = DEFAULT_OPTIONS


DRAWING = Drawing()


class OneStep(NamedTuple):
    """Teacher-forced transitions, (N,) each."""

    quality: dict[str, Tensor]  # psnr, ssim, exact of the dreamed frame
    copy_quality: dict[str, Tensor]  # the same of the last frame, copied
    action: Tensor
    reward: Tensor
    termination: Tensor
    trust: Tensor
    real_reward: Tensor
    real_termination: Tensor
    reward_confidence: Tensor | None  # probability of the reward; None: the model gives none
    termination_confidence: Tensor | None  # probability of going on, or of the termination
    decoded: Any  # what the evaluator decoded from the frames, or None
    signals: dict[str, Tensor] = {}  # other signals of a wrong frame, see trust_scores


@torch.inference_mode()
def one_step(
    model: WorldModel,
    test_split: SplitReader,
    places: list[Place],
    decode_batch: DecodeBatch | None = None,
    drawing: Drawing = DRAWING,
    actions: Tensor | None = None,
    signals: Callable[..., dict[str, Tensor]] | None = None,
) -> OneStep:
    """Dreams one step from each real context, with the recorded actions or with `actions` (N,).

    `decode_batch` is an evaluator's, None keeps nothing of the frames. `signals(state, action,
    frame, noise)` gives further numbers (B,) of a batch, by name. Transition i draws the noise of
    seed i.
    """
    rows, (batch, options) = [], drawing
    for start in progress(range(0, len(places), batch), desc="one step"):
        window = test_split.window(places[start : start + batch])
        action = window.actions[:, 0] if actions is None else actions[start : start + batch]
        seeds = torch.arange(start, start + len(action))
        state = model.init(to_model(window.context, model))
        noise = to_model(NoiseStream.from_seeds(seeds), model)
        chosen = action.to(device_of(model))
        dream = model.step(state, chosen, noise, options)
        more = signals(state, chosen, dream.frame, noise) if signals else {}
        confidences = _confidences(model, state, chosen, dream)
        row = _compared(model, window, action, on_cpu(dream), decode_batch)
        rows.append(
            row._replace(
                reward_confidence=confidences[0],
                termination_confidence=confidences[1],
                signals=more,
            )
        )
    return _joined(rows)


def _compared(
    model: WorldModel,
    window: Window,
    action: Tensor,
    dream: Transition,
    decode_batch: DecodeBatch | None,
) -> OneStep:
    """A batch of dreamed transitions beside the recorded ones."""
    last, real = window.frames[:, 0], window.frames[:, 1]
    decoded = None
    if decode_batch is not None:
        frames = (window.context.frames.numpy(), real.numpy(), dream.frame.numpy())
        decoded = decode_batch(*frames, window.actions[:, 0].numpy())
    copied, target, dreamed = (_newest(f, model) for f in (last, real, dream.frame))
    return OneStep(
        quality=_quality(dreamed, target),
        copy_quality=_quality(copied, target),
        action=action,
        reward=dream.reward,
        termination=dream.termination,
        trust=dream.trust,
        real_reward=window.rewards[:, 0],
        real_termination=window.terminations[:, 0],
        reward_confidence=None,
        termination_confidence=None,
        decoded=decoded,
    )


def _confidences(
    model: WorldModel, state: State, action: Tensor, dream: Transition
) -> tuple[Tensor | None, Tensor | None]:
    """Probabilities (B,) of the reward and of the termination,
    or its absence, that a dream gave.
    """
    found = model.outcome_probabilities(state, action, dream.frame)
    if found is None:
        return None, None
    rewards, termination = found
    values = rewards.new_tensor(model.spec.reward_values)
    given = (dream.reward[:, None] - values).abs().argmin(1, keepdim=True)
    reward = rewards.gather(1, given)[:, 0]
    termination = torch.where(dream.termination, termination, 1 - termination)
    return reward.float().cpu(), termination.float().cpu()


def _newest(frames: Tensor, model: WorldModel) -> Tensor:
    """What a step adds to frames (..., C): of a stack of images the newest one."""
    return frames[..., -model.image_channels :]


def _quality(frames: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {
        "psnr": psnr(frames, target),
        "ssim": ssim(frames, target),
        "exact": exact(frames, target),
    }


def _joined(rows: list[OneStep]) -> OneStep:
    """The batches one after another."""

    def join(values: tuple) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {key: torch.cat([v[key] for v in values]) for key in values[0]}
        if isinstance(values[0], tuple):
            columns = [np.concatenate(column) for column in zip(*values, strict=True)]
            return type(values[0])(*columns)
        return torch.cat(values)

    return OneStep(*[join(column) for column in zip(*rows, strict=True)])


class Rollouts(NamedTuple):
    """Open-loop dreams beside the recording, same actions.

    A dream that ended stays on its last frame.

    Where frames are stacks of images, these are the newest of each stack: the others are old.
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
    model: WorldModel,
    test_split: SplitReader,
    places: list[Place],
    horizon: int,
    options: SamplingOptions = DEFAULT_OPTIONS,
    actions: Tensor | None = None,
) -> Rollouts:
    """Dreams of `horizon` steps from R real contexts with the recorded actions, or with `actions`
    (R, H).
    """
    window = test_split.window(places, horizon)
    window = window if actions is None else window._replace(actions=actions)
    state, device = model.init(to_model(window.context, model)), device_of(model)
    noise = to_model(NoiseStream.from_seeds(torch.arange(len(places)) + ROLLOUT_SEED), model)
    running, frames, rows = torch.ones(len(places), dtype=torch.bool), [window.frames[:, 0]], []
    for h in progress(range(horizon), desc="open loop"):
        dream = model.step(state, window.actions[:, h].to(device), noise, options)
        state, noise, dream = dream.state, noise.next(), on_cpu(dream)
        frames.append(torch.where(running[:, None, None, None], dream.frame, frames[-1]))
        rows.append((dream.reward * running, dream.termination & running, dream.trust, running))
        running = running & ~dream.termination
    columns = [torch.stack(column, 1) for column in zip(*rows, strict=True)]
    return Rollouts(
        frames=_newest(torch.stack(frames, 1), model),
        real_frames=_newest(window.frames, model),
        actions=window.actions,
        rewards=columns[0],
        terminations=columns[1],
        trust=columns[2],
        real_rewards=window.rewards,
        real_terminations=window.terminations,
        running=columns[3],
        real_running=torch.arange(horizon) < window.lengths[:, None],
        earlier=_newest(window.context.frames[:, -2:][:, 0], model),
    )


def device_of(model: WorldModel) -> torch.device:
    """Where a model is; one without parameters is on the CPU."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def to_model(leaves: Leaves, model: WorldModel) -> Leaves:
    """A context or a noise stream on the model's device."""
    device = device_of(model)
    return type(leaves)(*(leaf.to(device) for leaf in leaves))


def on_cpu(dream: Transition) -> Transition:
    """A transition's outputs on the CPU, without its state."""
    _, *outputs = dream
    return Transition(None, *(output.cpu() for output in outputs))
