"""Reward, termination and trust of a predicted frame:
their losses, and what a step makes of the logits.

B lanes, C x H x W a frame, R reward classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models.protocols import WorldSpec

OUTCOMES = ("reward", "termination", "trust")  # names of the losses of `outcome_losses`
# a patch with a larger mean squared error (of [-1, 1]) counts as wrong, for trust
WRONG_PATCH = 0.02


def wrong_frames(predicted: Tensor, target: Tensor, patch: int) -> Tensor:
    """(B,) 1.0 where a patch of a predicted frame (B, C, H, W) is far from that
    of its target, for trust; else 0.0.
    """
    error = F.avg_pool2d((predicted - target) ** 2, patch).mean(1).amax((1, 2))
    return (error >= WRONG_PATCH).float()


def outcome_losses(
    logits: tuple[Tensor, ...], reward: Tensor, termination: Tensor, wrong: Tensor
) -> dict[str, Tensor]:
    """Losses (B,) of the logits of an outcome head;
    reward (B,) class, termination (B,) bool, wrong (B,) float.

    "wrong" is not a loss (weight 0): the share of frames with a wrong patch.
    """
    binary = F.binary_cross_entropy_with_logits
    return {
        "reward": F.cross_entropy(logits[0], reward, reduction="none"),
        "termination": binary(logits[1], termination.float(), reduction="none"),
        "trust": binary(logits[2], 1 - wrong, reduction="none"),
        "wrong": wrong,
    }


def final_classes(spec: WorldSpec) -> Tensor:
    """(R,) bool: the reward classes after which a game is always over."""
    return torch.tensor([value in spec.final_rewards for value in spec.reward_values])


def likeliest_outcome(reward: Tensor, termination: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest pair of reward class (B,) int64
    and termination (B,) bool among those that the game has.

    Logits reward (B, R) and termination (B,) are taken to be independent but for `final` (R,) bool:
    such a class always comes with the termination. Decided apart, a dream would go on after the
    coin that ends the game, and give its reward again.
    """
    over, goes_on = F.logsigmoid(termination)[:, None], F.logsigmoid(-termination)[:, None]
    joint = reward.log_softmax(1) + torch.where(final, over, torch.maximum(over, goes_on))
    chosen = joint.argmax(1)
    return chosen, final[chosen] | (termination > 0)


def drawn_outcome(
    reward: Tensor, termination: Tensor, final: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """Reward class (B,) int64 and termination (B,) bool, from logits as in `likeliest_outcome`. The
    end is drawn by uniform numbers (B,); then the reward is the likeliest one beside it: a final
    one where more than half of the ends come with such.
    """
    shares, probability = reward.softmax(1), termination.sigmoid()
    over = uniform < probability
    last = (shares * final).sum(1) > probability / 2
    with_end, without = (shares.masked_fill(mask, -1).argmax(1) for mask in (~final, final))
    return torch.where(over & last, with_end, without), over


def choose_outcome(
    reward: Tensor, termination: Tensor, final: Tensor, uniform: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`drawn_outcome` by uniform numbers, or `likeliest_outcome` without."""
    if uniform is None:
        return likeliest_outcome(reward, termination, final)
    return drawn_outcome(reward, termination, final, uniform)
