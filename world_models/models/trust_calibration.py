"""How far a dream is to be believed: a calibrated probability that a dreamed frame is right.

The trust head learns with the model, on frames of the training data: it is too sure. On episodes
outside the training data, a logistic regression brings its probability to the rate at which frames
are right (Platt 1999; Guo et al. 2017, arXiv:1706.04599, section 4) and adds how far the context is
from those of training: the Mahalanobis distance of pooled features (Lee et al. 2018,
arXiv:1807.03888, eq. 2); and, of a model that draws from probabilities, how improbable it held what
it drew (Hendrycks & Gimpel 2017, arXiv:1610.02136).

B lanes, D channels, G x G patch grid, F = 2 D pooled features, N samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.files import write_atomically
from collectors.untrusted_files import read_arrays
from world_models.networks.blocks import pool
from world_models.noise import NoiseStream
from world_models.sampling_options import SamplingOptions

FILE = "trust.npz"
MOST_BYTES = 256 * 2**20  # unpacked
# of the features' covariance towards a multiple of the identity: few samples, many features
SHRINK = 0.05
LEAST_SURPRISE = 0.01  # nats per code: below, a model is as sure as it can be
NAMES = ("head", "distance", "surprise", "bias")  # of the weights
WITHOUT_SURPRISE = ("head", "distance", "bias")
PULL = 1.0  # towards the head's own probability, as strong as so many samples of weight 1


@runtime_checkable
class DrawsCodes(Protocol):
    """What a world model has that draws a frame from probabilities."""

    def encode_state(self, state: Any, action: Tensor, options: SamplingOptions) -> Any:
        """What a step is computed from."""
        ...

    def decide_codes(self, features: Any, noise: NoiseStream, options: SamplingOptions) -> Any:
        """What is drawn from the features of `encode_state`; its `surprise` (B,) says how
        improbable the model held it, in nats per code.
        """
        ...


class MahalanobisDistance(nn.Module):
    """Distance of features from those of training contexts; about 1 there."""

    centre: Tensor  # (F,)
    whitening: Tensor  # (F, F)

    def __init__(self, centre: Tensor, whitening: Tensor):
        super().__init__()
        self.register_buffer("centre", centre, persistent=False)  # (F,)
        self.register_buffer("whitening", whitening, persistent=False)  # (F, F)

    @classmethod
    def of(cls, tokens: Tensor) -> MahalanobisDistance:
        """Fitted to the features (N, D, G, G) of N training contexts."""
        x = pool(tokens).double()
        centre = x.mean(0)
        covariance = (x - centre).mT @ (x - centre) / len(x)
        level = covariance.diagonal().mean().clamp_min(1e-12)
        covariance = (1 - SHRINK) * covariance + SHRINK * level * torch.eye(
            len(centre), dtype=x.dtype, device=x.device
        )
        values, vectors = torch.linalg.eigh(covariance)
        return cls(centre.float(), (vectors * values.rsqrt()).float())

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, D, G, G) -> (B,), the root mean square of the whitened features."""
        return ((pool(tokens.float()) - self.centre) @ self.whitening).square().mean(1).sqrt()


class TrustScale(nn.Module):
    """trust = sigmoid(head * logit of the head's trust - distance * ln(distance of the context) -
    surprise * ln(surprise) + bias), the third only with four weights.
    """

    weights: Tensor  # (3,): head, distance, bias; or (4,): head, distance, surprise, bias

    def __init__(self, distance: MahalanobisDistance, weights: Tensor):
        super().__init__()
        self.distance = distance
        self.register_buffer("weights", weights.float(), persistent=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What each weight is of."""
        return NAMES if len(self.weights) == len(NAMES) else WITHOUT_SURPRISE

    def forward(self, logit: Tensor, tokens: Tensor, surprise: Tensor | None = None) -> Tensor:
        """The head's logit (B,), the features (B, D, G, G) of the context, and the `surprise` (B,)
        of a model that has it -> trust (B,) in [0, 1].
        """
        return self.combined(logit, self.distance(tokens), surprise)

    def combined(self, logit: Tensor, distance: Tensor, surprise: Tensor | None = None) -> Tensor:
        """The same from distances (B,)."""
        used = surprise if "surprise" in self.names else None
        return (inputs(logit, distance, used) @ self.weights).sigmoid()


def inputs(logit: Tensor, distance: Tensor, surprise: Tensor | None = None) -> Tensor:
    """(B, 3) or (B, 4): what the weights multiply.

    The logit is kept within what float32's sigmoid tells apart from 0 and 1.
    """
    more = [] if surprise is None else [-(surprise + LEAST_SURPRISE).log()]
    far = -distance.clamp_min(1e-6).log()
    return torch.stack((logit.clamp(-12, 12), far, *more, torch.ones_like(logit)), 1)


def logits_of(trust: Tensor) -> Tensor:
    """The logits of a head's trust (N,)."""
    return trust.double().logit(1e-6).float()


def fitted(
    logit: Tensor, distance: Tensor, right: Tensor, surprise: Tensor | None = None
) -> Tensor:
    """The weights (3,) of `TrustScale`, with `surprise` (4,), for N frames that were `right` (N,)
    bool or not, by maximum likelihood.

    A pull towards the head as it is decides where there is nothing to learn from, as with no wrong
    frame. Distance and surprise never speak for a frame: where one would, it gets no weight, or far
    off all would be believed.
    """
    x, y = inputs(logit, distance, surprise).double(), right.double()
    weights = _likeliest(x, y)
    while (weights[1:-1] < 0).any():
        x[:, 1:-1][:, weights[1:-1] < 0] = 0
        weights = _likeliest(x, y)
    return weights.float()


def _likeliest(x: Tensor, y: Tensor) -> Tensor:
    """Weights (W,) of inputs x (N, W) for answers y (N,) of 0 and 1, under the pull; float64."""
    own = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    own[0] = 1

    def loss(weights: Tensor) -> Tensor:
        miss = F.binary_cross_entropy_with_logits(x @ weights, y, reduction="sum")
        return miss + PULL / 2 * (weights - own).square().sum()

    weights = own
    for _ in range(
        50
    ):  # Newton's method; the loss is convex, and half a step that is too long helps
        probability = (x @ weights).sigmoid()
        gradient = x.mT @ (probability - y) + PULL * (weights - own)
        curvature = (x * (probability * (1 - probability))[:, None]).mT @ x + PULL * torch.eye(
            len(own), dtype=x.dtype, device=x.device
        )
        step = torch.linalg.solve(curvature, gradient)
        while loss(weights - step) > loss(weights) and step.abs().max() > 1e-9:
            step = step / 2
        weights = weights - step
        if step.abs().max() < 1e-7:
            break
    return weights


def save_scale(folder: Path, scale: TrustScale) -> None:
    """Write trust.npz into a bundle."""
    parts = {
        "centre": scale.distance.centre,
        "whitening": scale.distance.whitening,
        "weights": scale.weights,
    }
    arrays: dict[str, Any] = {
        name: value.cpu().numpy().astype(np.float32) for name, value in parts.items()
    }
    write_atomically(folder / FILE, lambda file: np.savez_compressed(file, **arrays))


def load_scale(folder: Path, width: int, has_surprise: bool = False) -> TrustScale | None:
    """The scale of a bundle whose features have `width` channels, None without one; ValueError if
    it is damaged, and where it weighs a surprise that the model does not have.
    """
    if not (folder / FILE).exists():
        return None
    names = ("centre", "whitening", "weights")
    arrays = read_arrays(folder / FILE, MOST_BYTES, names)
    shapes = [arrays[name].shape for name in names]
    counts = (3, 4) if has_surprise else (3,)
    if shapes not in [[(2 * width,), (2 * width, 2 * width), (count,)] for count in counts]:
        raise ValueError(f"arrays of shapes {shapes} do not fit features of {width} channels")
    if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in arrays.values()):
        raise ValueError("its arrays are no finite float32 numbers")
    centre, whitening, weights = (torch.from_numpy(arrays[name]) for name in names)
    return TrustScale(MahalanobisDistance(centre, whitening), weights)
