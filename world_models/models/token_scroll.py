"""How a token model scrolls: the move of the whole frame is drawn, and the last frame, moved by it,
then tells the decoder what was in sight (`networks.scroll`).

B lanes, K context frames, G x G codes per frame, H x W x C a frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.models.masked_decoding import MaskedDecoding
from world_models.networks.code_copy import OUTSIDE
from world_models.networks.masked_tokens import CodeFeatures, MovedFrame
from world_models.networks.scroll import whole_patches
from world_models.noise import NoiseStream

if TYPE_CHECKING:
    from world_models.models.tokens import TokensModel


NEAR = 12.0  # gray levels, root mean square: a patch that is moved so near to the next one is right

FAR = 48.0  # a patch that is farther off is wrong, whatever the network draws in its place
COLOR_STEP = 32  # gray levels within which colors are alike
MOST_RARE = 20.0


class Camera(NamedTuple):
    """How the whole frame moves in a step of training."""

    move: Tensor  # (B,) int64, as in `Scroll.moves`, the true one
    frame: Tensor  # (B, H, W, C) uint8 the frame that moves
    target: Tensor  # (B, H, W, C) uint8 the next frame
    taken: Tensor  # (B,) int64 the move that it makes

    @property
    def wrong(self) -> Tensor:
        """(B,) bool: it does not make the true move."""
        return self.taken != self.move


def drawn_scroll(
    model: TokensModel, decoding: MaskedDecoding, features: CodeFeatures, noise: NoiseStream
) -> CodeFeatures:
    """The features once the move of this step of a dream is drawn; as they are where the network
    does not scroll.
    """
    if model.network.scroll is None or features.frame is None:
        return features
    logits = model.network.scroll(features.tokens, features.condition)
    return scrolled(model, features, features.frame, decoding.choose_move(logits, noise))


def scrolled(
    model: TokensModel, features: CodeFeatures, frame: Tensor, move: Tensor
) -> CodeFeatures:
    """The features with the codes of the last frame (B, H, W, C) uint8, moved by `move` (B,)."""
    assert model.network.scroll is not None
    scroll = model.network.scroll
    moved, known = scroll.moved(frame, move)
    codes = model.encode_frames(moved).long()
    codes = torch.where(whole_patches(known, model.patch), codes, OUTSIDE)
    added = scroll.features(pixels.stack(moved[:, None]), known)
    return features._replace(moved=MovedFrame(move, moved, codes, added))


def context_moves(model: TokensModel, context: Tensor) -> Tensor | None:
    """How frames of context codes (B, K, G, G) scrolled: (B, K - 1) int64. None where the network
    does not scroll.
    """
    if model.network.scroll is None:
        return None
    frames = model.decode_codes(context.flatten(0, 1)).unflatten(0, context.shape[:2])
    return model.network.scroll.past_moves(frames)


def watch(model: TokensModel, last: Tensor | None, shown: Tensor, target: Tensor) -> Camera | None:
    """The move of a step of training, from the last frame (B, H, W, C) uint8 to the next frame's
    codes `target`; `shown` are the last codes as the network sees them, (B, G, G) both. None where
    the network does not scroll.
    """
    if model.network.scroll is None:
        return None
    assert last is not None
    source, after = (model.decode_codes(codes) for codes in (shown, target))
    move = model.network.scroll.nearest(last, after)
    return Camera(move, source, after, move)


def right_sources(
    model: TokensModel, sources: Tensor | None, target: Tensor, errors: Tensor | None
) -> Tensor | None:
    """Which sources (B, L, M) have the next frame's codes `target` (B, G, G): (B, L, M) bool. Of
    the moved frame it is enough that its pixels are near those of the next one, by `errors` of
    `layer_errors`.
    """
    if sources is None:
        return None
    right = sources == target.flatten(1)[..., None]
    if errors is None:
        return right
    return torch.cat((right[..., :-1], errors[..., 1:] < NEAR**2), 2)


@torch.no_grad()
def right_or_better(
    model: TokensModel, right: Tensor, best: Tensor, errors: Tensor, camera: Camera
) -> Tensor:
    """`right` (B, L, M), with the moved frame also where its pixels, by `errors` of `layer_errors`,
    come nearer to the next frame than the likeliest codes (B, G, G) that the network itself says,
    if not farther than `FAR`. What it cannot draw yet, as a coin, it then learns to keep; but not
    to carry off what stands still on the screen, as the player: there the last frame as it stands
    is nearer.
    """
    drawn = model.decode_codes(best.clamp(max=model.tokenizer.codes - 1))
    limit = patch_errors(drawn, camera.target, model.patch).clamp(max=FAR**2)
    stands, moves = errors.split(1, 2)
    better = (moves <= limit.flatten(1)[..., None]) & (moves <= stands)
    return torch.cat((right[..., :-1], right[..., -1:] | better), 2)


def layer_errors(model: TokensModel, moved: MovedFrame, camera: Camera) -> Tensor:
    """How far the last frame is from the next one per patch (B, L, 2): as it stands, and as it
    scrolls, infinitely where that was out of sight. Mean squared differences in gray levels.
    """
    stands, scrolls = (
        patch_errors(frame, camera.target, model.patch) for frame in (camera.frame, moved.frame)
    )
    scrolls = scrolls.masked_fill(moved.codes == OUTSIDE, math.inf)
    return torch.stack((stands.flatten(1), scrolls.flatten(1)), 2)


def patch_errors(frames: Tensor, target: Tensor, patch: int) -> Tensor:
    """Mean squared difference in gray levels per patch of frames (B, H, W, C) uint8: (B, H / P, W /
    P).
    """
    error = (frames.float() - target.float()).square().mean(3)
    return F.avg_pool2d(error[:, None], patch)[:, 0]


def rare_weights(frames: Tensor, patch: int, power: float, beside: bool = False) -> Tensor:
    """Weights (B, H / P, W / P) of the patches of frames (B, H, W, C) uint8: the inverse
    frequency of their mean color in the batch, to this power, at most `MOST_RARE` times the
    mean. A coin is one patch of 256, and a mean over all leaves it out. The weight depends on what
    the network sees, not on what it should say, so probabilities keep their meaning. With `beside`
    also the patches about a rare one weigh more, for frames of before the move.
    """
    weights = rarity(frames, patch).pow(power)
    if beside:
        weights = F.max_pool2d(weights[:, None], 3, 1, 1)[:, 0]
    weights = (weights / weights.mean()).clamp(max=MOST_RARE)
    return weights / weights.mean()


def rarity(frames: Tensor, patch: int) -> Tensor:
    """The inverse frequency in the batch of the mean color of each patch (B, H / P, W / P) of
    frames (B, H, W, C) uint8.
    """
    colors = F.avg_pool2d(frames.permute(0, 3, 1, 2).float(), patch).long() // COLOR_STEP
    kinds = torch.zeros_like(colors[:, 0])
    for channel in colors.unbind(1):
        kinds = kinds * (256 // COLOR_STEP) + channel
    _, kind, counts = kinds.unique(return_inverse=True, return_counts=True)
    return 1 / counts[kind].float()


def choose_moves(
    model: TokensModel,
    features: CodeFeatures,
    camera: Camera,
    own: float,
    generator: torch.Generator,
) -> tuple[Tensor, Camera]:
    """Cross-entropy (B,) of the true move, in nats, and the camera with moves that the network
    draws itself in a share `own` of samples. The step after then begins where such a move leads,
    as in a dream, and learns to lead back: a player that stands is not left in the air.
    """
    assert model.network.scroll is not None
    logits = model.network.scroll(features.tokens, features.condition)
    loss = F.cross_entropy(logits, camera.move, reduction="none")
    if not own:
        return loss, camera
    drawn = torch.multinomial(logits.detach().softmax(1).cpu(), 1, generator=generator)[:, 0]
    chosen = (torch.rand(len(drawn), generator=generator) < own).to(camera.move.device)
    taken = torch.where(chosen, drawn.to(camera.move.device), camera.move)
    return loss, camera._replace(taken=taken)
