"""What a token model learns from: masked codes of the next frame, on contexts that are corrupted as
dreams are.

B clips, K context frames, S steps, G x G codes per frame, E values of a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from world_models import frames as pixels
from world_models.models.context_corruption import corrupt
from world_models.models.outcomes import OUTCOMES, outcome_losses
from world_models.models.token_scroll import (
    Camera,
    choose_moves,
    context_moves,
    layer_errors,
    rare_weights,
    right_or_better,
    right_sources,
    scrolled,
    watch,
)
from world_models.models.training_masks import draw_masks, mask_shares
from world_models.networks.actions import put_null
from world_models.networks.masked_tokens import CodeFeatures
from world_models.protocols import Clips

if TYPE_CHECKING:
    from world_models.models.tokens import TokensModel

TOKENIZER_FRAMES = 2  # of each clip, from which the tokenizer learns
FAR_OFF = (
    0.05  # mean square distance of two codes' values from which one is a wrong patch, for trust
)


class Window(NamedTuple):
    """What a step is computed from."""

    codes: Tensor  # (B, K, G, G) int64
    actions: Tensor  # (B, K) int64, the last one leads on
    moves: Tensor | None  # (B, K - 1) int64 how the frames scrolled, where the network scrolls


class Target(NamedTuple):
    """What a step leads to."""

    codes: Tensor  # (B, G, G) int64
    reward_class: Tensor  # (B,) int64
    termination: Tensor  # (B,) bool


def some_frames(frames: Tensor, generator: torch.Generator) -> Tensor:
    """A few frames of every clip: (B, T, H, W, C) uint8 -> (B * TOKENIZER_FRAMES, C, H, W)."""
    count, length = frames.shape[:2]
    which = torch.randint(length, (count, min(TOKENIZER_FRAMES, length)), generator=generator)
    return pixels.stack(frames[torch.arange(count)[:, None], which].flatten(0, 1)[:, None])


def dynamics_losses(
    model: TokensModel, clips: Clips, dropout: float, steps: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Mean losses by name over the valid steps; each step but the first is on codes that the model
    decided itself.

    Outcomes count at the rate of the game: see `NextFrameModel.clip_losses`.
    """
    device, length = model.reward_values.device, model.context_length
    codes = model.encode_frames(clips.frames) if clips.frames.ndim == 5 else clips.frames
    codes = codes.to(device).long()
    assert clips.context_actions is not None
    actions = torch.cat((clips.context_actions, clips.actions), 1).to(device)
    classes, over = clips.reward_classes.to(device), clips.terminations.to(device)
    context = codes[:, :length]
    moves = context_moves(model, context)
    sums: dict[str, Tensor] = {}
    importance = (1 / clips.sampling_weight) / (1 / clips.sampling_weight).mean()
    for s in range(steps):
        target = Target(codes[:, length + s], classes[:, s], over[:, s])
        window = Window(context, actions[:, s : s + length], moves)
        own = model.config.own_moves if s + 1 < steps else 0.0
        terms, filled, move = step_losses(model, window, target, dropout, own, generator)
        if moves is not None and move is not None:
            moves = torch.cat((moves[:, 1:], move[:, None]), 1)
        for name, value in terms.items():
            weight = clips.valid[:, s] * (importance if name in OUTCOMES else 1.0)
            sums[name] = sums.get(name, 0) + (value * weight.to(device)).sum()
        context = torch.cat((context[:, 1:], filled[:, None]), 1)
    return {name: value / clips.valid[:, :steps].sum() for name, value in sums.items()}


def step_losses(
    model: TokensModel,
    window: Window,
    target: Target,
    dropout: float,
    own_moves: float,
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], Tensor, Tensor | None]:
    """Losses (B,) of one step.

    Also the next frame's codes (B, G, G) with the likeliest in the place of what was masked, and
    how the frame scrolled (B,), where the network scrolls: in a share `own_moves` of samples as
    the network draws it.
    """
    network, (clean, actions, moves) = model.network, window
    context, count = clean, len(clean)
    device, action = context.device, actions[:, -1]
    level = torch.zeros(count, device=device)
    last = last_frame(model, clean)
    if model.training:
        context, level = corrupt(model, context, last, moves, generator)
        drop = torch.rand(count, generator=generator).to(device) < dropout
        action = put_null(action, drop, model.null_action)
    camera, terms = watch(model, last, context[:, -1], target.codes), {}
    past, frame = actions[:, :-1], None if camera is None else camera.frame
    features = network.encode(context, past, action, model.level_of(level), moves, frame)
    if camera is not None:
        terms["scroll"], camera = choose_moves(model, features, camera, own_moves, generator)
        features = scrolled(model, features, camera.frame, camera.taken)
    shown = last if features.moved is None else features.moved.frame
    terms["frame"], filled = code_losses(model, features, camera, target.codes, shown, generator)
    logits = model.outcome_logits(features.tokens, filled)
    wrong = wrong_share(model, filled, target.codes)
    terms |= outcome_losses(logits, target.reward_class, target.termination, wrong)
    return terms, filled, None if camera is None else camera.taken


def last_frame(model: TokensModel, context: Tensor) -> Tensor | None:
    """The last frame (B, H, W, C) uint8 of context codes (B, K, G, G), where training looks at it:
    to find how it scrolls, and what is rare in it.
    """
    looks = model.training and (model.config.erased > 0 or model.config.rare > 0)
    if not looks and model.network.scroll is None:
        return None
    return model.decode_codes(context[:, -1])


def code_losses(
    model: TokensModel,
    features: CodeFeatures,
    camera: Camera | None,
    target: Tensor,
    shown: Tensor | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (B,) of the hidden codes of the next frame, `target` (B, G, G), and these
    codes with the likeliest in the place of what was hidden. What is rare in the frame `shown`
    (B, H, W, C) weighs more.
    """
    network, moved = model.network, features.moved
    sources = network.sources(features.last, None if moved is None else moved.codes)
    errors = None
    if moved is not None and camera is not None:
        errors = layer_errors(model, moved, camera)
    right = right_sources(model, sources, target, errors)
    masked = hidden_places(model, right, target, generator)
    if camera is not None:
        masked |= camera.wrong[:, None, None]
    h = network(torch.where(masked, network.mask_code, target), features)
    generated = network.head.losses(h, target.flatten(1))
    if camera is not None and right is not None and errors is not None:
        right = right_or_better(model, right, generated[1].view_as(masked), errors, camera)
    error, best = (x.view_as(masked) for x in network.mixture(h, sources, generated, right))
    weight = masked.float()
    if model.training and model.config.rare and shown is not None:
        rare = rare_weights(shown, model.patch, model.config.rare, beside=moved is None)
        weight = masked * rare
    filled = torch.where(masked, best.clamp(max=model.tokenizer.codes - 1), target)
    loss = (error * weight).sum((1, 2)) / weight.sum((1, 2))
    return loss if camera is None else loss * ~camera.wrong, filled


def hidden_places(
    model: TokensModel, right: Tensor | None, target: Tensor, generator: torch.Generator
) -> Tensor:
    """Which codes of the next frame (B, G, G) are hidden: (B, G, G) bool, all in validation."""
    if not model.training:
        return torch.ones_like(target, dtype=torch.bool)
    shares = mask_shares(len(target), model.config.all_masked, generator)
    masked = draw_masks(shares, target.shape[1:], generator).to(target.device)
    part = model.config.new_only
    return masked if right is None else some_new_only(masked, right, part, generator)


def some_new_only(masked: Tensor, right: Tensor, part: float, generator: torch.Generator) -> Tensor:
    """Masks (B, G, G) of which those of a `part` of samples show all that could be copied.

    right (B, L, M) bool says which sources have the codes of the next frame. That is what the later
    passes of a dream see: the frame but for what is new in it. Without this the new strip of a
    frame that scrolls is a small part of the loss.
    """
    new = ~right.any(2).view_as(masked)
    chosen = (torch.rand(len(masked), generator=generator) < part).to(masked.device)
    hidden = masked & new
    chosen &= hidden.flatten(1).any(1)
    return torch.where(chosen[:, None, None], hidden, masked)


def wrong_share(model: TokensModel, codes: Tensor, target: Tensor) -> Tensor:
    """(B,) in [0, 1]: the share of places whose code is far from the target's, times eight."""
    values = model.tokenizer.values
    apart = (values(codes) - values(target)).square().mean(-1) > FAR_OFF
    return (8 * apart.float().mean((1, 2))).clamp(max=1)
