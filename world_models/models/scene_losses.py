"""What a scene model learns from: clips as steps, and how likely it takes what became of sprites.

B clips or lanes, K context frames, S steps of a clip, P sprites, A changing patches, M moves and U
places along an axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models.networks.actions import put_null
from world_models.networks.scene_dynamics import SceneLogits
from world_models.protocols import Clips

if TYPE_CHECKING:
    from world_models.models.scene import SceneModel

NEVER = -1e4  # log-probability of what does not explain the next frame
SURE = (-13.8, -1e-6)  # log-probabilities that trust is learned from: nothing is quite (im)possible


class SceneState(NamedTuple):
    """The state of a scene model."""

    center: Tensor  # (B, K, P, 2) float32 row and column of each sprite, pixels; oldest first
    there: Tensor  # (B, K, P) bool
    codes: Tensor  # (B, A) int64, of the changing patches
    actions: Tensor  # (B, K - 1, *row), between the frames


def step_losses(
    model: SceneModel, numbers: Tensor, clips: Clips, dropout: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Losses (B * S,) by name of all steps of clips, S as in numbers (B, K + S, 3 P + A).

    "wrong" is no loss: whether a likeliest choice is not what happened.
    """
    steps, device = numbers.shape[1] - model.context_length, numbers.device
    state, action, after = windows(model, clips, numbers, steps)
    if model.training:
        drop = torch.rand(len(action), generator=generator).to(device) < dropout
        action = put_null(action, drop, model.spec.null_action)
    history = model.history(state, action)
    if model.training and model.config.jitter:
        noise = torch.randn(history.center.shape, generator=generator).to(device)
        history = history._replace(center=history.center + model.config.jitter * noise)
    reward, over = (
        part[:, :steps].to(device).flatten() for part in (clips.reward_classes, clips.terminations)
    )
    outcome = 2 * reward + over.long()
    read = model.dynamics.read(history)
    logits = model.dynamics(read, outcome, history, model.scene.neighbors)
    joint = model.outcome_logits(read).log_softmax(1)
    of_reward = joint.unflatten(1, (-1, 2)).logsumexp(2).gather(1, reward[:, None])[:, 0]
    of_both = joint.gather(1, outcome[:, None])[:, 0]
    outcomes = {"reward": -of_reward, "termination": of_reward - of_both}
    return {**scene_losses(model, logits, state, after), **outcomes}


def scene_losses(
    model: SceneModel,
    logits: SceneLogits,
    state: SceneState,
    after: tuple[Tensor, Tensor, Tensor],
) -> dict[str, Tensor]:
    """Losses (B,) of the scene after a step, (centers, presence, codes); see `step_losses`."""
    *sprites, codes = after
    missed, wrong = sprite_losses(model, logits, state, *sprites)
    target = torch.where(codes == state.codes, 0, codes + 1)
    patches = F.cross_entropy(logits.patch.flatten(0, 1), target.flatten(), reduction="none")
    wrong = wrong | (logits.patch.argmax(2) != target).any(1)
    return {
        "frame": missed + patches.unflatten(0, target.shape).sum(1),
        "trust": trust_loss(likelihood_of_best(logits), wrong),
        "wrong": wrong.float(),
    }


def trust_loss(likely: Tensor, wrong: Tensor) -> Tensor:
    """Cross-entropy (B,) of log-probabilities `likely` (B,) that a step is right with wrong (B,)
    bool; torch's own, of probabilities, is refused under autocast.
    """
    sure = likely.float().clamp(*SURE)
    return -torch.where(wrong, (-torch.expm1(sure)).log(), sure)


def windows(
    model: SceneModel, clips: Clips, numbers: Tensor, steps: int
) -> tuple[SceneState, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """All B * S steps of clips: states before, actions, and (centers, presence, codes) after;
    numbers (B, K + S, 3 P + A).
    """
    length = model.context_length
    if clips.context_actions is None:
        raise ValueError("a scene model learns from clips with the actions of their context")
    center, there, codes = model.unpack(numbers[:, : length + steps])
    past = torch.cat((clips.context_actions, clips.actions[:, :steps]), 1).to(numbers.device)
    actions = past.unfold(1, length, 1).movedim(-1, 2).flatten(0, 1)  # (B * S, K, *row)
    center_before, there_before = (
        part[:, :-1].unfold(1, length, 1).movedim(-1, 2).flatten(0, 1) for part in (center, there)
    )
    before = codes[:, length - 1 : -1].flatten(0, 1)
    state = SceneState(center_before, there_before, before, actions[:, :-1])
    next_center, next_there, next_codes = (
        part[:, length:].flatten(0, 1) for part in (center, there, codes)
    )
    return state, actions[:, -1], (next_center, next_there, next_codes)


def sprite_losses(
    model: SceneModel, logits: SceneLogits, state: SceneState, center: Tensor, there: Tensor
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood (B,) of centers (B, P, 2) and presence (B, P), and whether the
    likeliest choices miss one (B,) bool.

    A sprite may have moved, or been put, where it is: both explain it, and their probabilities
    add up. What no entry explains counts as nothing.
    """
    fate = logits.fate.log_softmax(2)
    moves = model.scene.move_codes(center - state.center[:, -1])
    present = (there & state.there[:, -1])[..., None]
    moves = torch.where(present, moves, model.config.moves)
    places = torch.where(there[..., None], model.scene.place_codes(center), model.config.places)
    by_move, best_move = explained(logits.move, moves)
    by_place, best_place = explained(logits.place, places)
    gone = torch.where(there, NEVER, 0.0)
    ways = torch.stack((by_place, by_move, gone), 2)  # in the order of PUT, MOVE, GONE
    known = ways.amax(2) > NEVER / 2
    missed = -torch.where(known, (fate + ways).logsumexp(2), 0.0).sum(1)
    right = torch.stack((best_place, best_move, ~there), 2)
    chosen = right.gather(2, logits.fate.argmax(2, keepdim=True))[..., 0]
    return missed, (~chosen & known).any(1)


def explained(logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability (B, P) of codes (B, P, 2) in both axes under logits (B, P, 2, N), `NEVER`
    where there is no such code; and whether they are the likeliest.
    """
    known = codes < logits.shape[-1]
    index = torch.where(known, codes, 0)
    likelihood = logits.log_softmax(-1).gather(-1, index[..., None])[..., 0]
    likelihood = torch.where(known, likelihood, NEVER).sum(2).clamp(min=NEVER)
    return likelihood, ((logits.argmax(-1) == codes) & known).all(2)


def likelihood_of_best(logits: SceneLogits) -> Tensor:
    """(B,) log-probability that all likeliest choices are right."""
    fate, which = logits.fate.log_softmax(2).max(2)
    place, move = (part.log_softmax(3).amax(3).sum(2) for part in (logits.place, logits.move))
    detail = torch.stack(
        (place, move, torch.zeros_like(move)), 2
    )  # in the order of PUT, MOVE, GONE
    sprites = fate + detail.gather(2, which[..., None])[..., 0]
    return sprites.sum(1) + logits.patch.log_softmax(2).amax(2).sum(1)
