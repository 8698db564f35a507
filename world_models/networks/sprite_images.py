"""Images of sprites that are finer than pixels: drawn at, and fitted to, places between pixels.

A pixel shows the share of it that a thing covers, so an image is kept in R x R parts per pixel and
a pixel is the mean of the parts on it; parts that lie across the edge of a pixel count by their
share. Boxes are exact so, where bilinear interpolation (Jaderberg et al. 2015, arXiv:1506.02025,
eq. 5) smears their edges.

B frames, P sprites of S x S pixels, L layers of an image, n pixels along a window, H x W x C a
frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARTS = 8  # R
PROBE = 0.05  # pixels over which the slope of an image is measured
DAMPING = 0.05  # keeps a sprite that is all but hidden where it is
FIT_STEPS = 4  # of the fit; a sprite cut off by a wall begins two pixels off
SOLVE_STEPS = 60  # of the solver of images
SMALLEST_PART = 1e-3  # of ridge regression: parts that no pixel tells apart are alike


def overlaps(center: Tensor, first: Tensor, count: int, size: int) -> Tensor:
    """(..., n, S * R): how much of a pixel each part of a sprite covers along one axis.

    center (...) pixels, first (...) the number of the first of `count` pixels, `size` = S.
    """
    pixel = first[..., None, None] + torch.arange(count, device=center.device)[:, None]
    part = torch.arange(size * PARTS, device=center.device) / PARTS - size / 2
    start = center[..., None, None] + part
    upper = torch.minimum(pixel + 0.5, start + 1 / PARTS)
    return (upper - torch.maximum(pixel - 0.5, start)).clamp(min=0)


def first_pixels(center: Tensor, size: int) -> Tensor:
    """The first of the S + 1 pixels that a sprite can touch along an axis, of centers (...)."""
    return (center - size / 2 + 0.5).floor()


def rendered(images: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """Images (P, L, S * R, S * R) at centers (B, P, 2) -> the first row and column of their windows
    (B, P, 2), and what these show (B, P, L, S + 1, S + 1).
    """
    size = images.shape[-1] // PARTS
    first = first_pixels(center, size)
    down, right = (overlaps(center[..., i], first[..., i], size + 1, size) for i in (0, 1))
    rows = torch.einsum("bpis,plst->bplit", down, images)
    return first.long(), torch.einsum("bplit,bpjt->bplij", rows, right)


def window_index(first: Tensor, count: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows (..., n, 1) and columns (..., 1, n) of windows in frames with a margin of `count`.

    first (..., 2); a window further out than the margin is moved to its edge.
    """
    span = torch.arange(count, device=first.device)
    rows, columns = (
        (first[..., i].clamp(-count, shape[i]) + count)[..., None] + span for i in (0, 1)
    )
    return rows[..., :, None], columns[..., None, :]


def fitted(maps: Tensor, weights: Tensor, images: Tensor, center: Tensor) -> Tensor:
    """Centers (N, 2) at which images (N, S * R, S * R) fit maps (N, H, W) best, by Gauss-Newton
    from `center`; pixels count by `weights` (N, H, W), so that a sprite half hidden is still found
    where it is.
    """
    size, shape = images.shape[-1] // PARTS, (maps.shape[1], maps.shape[2])
    count = size + 4
    first = (center - count / 2 + 0.5).round()
    rows, columns = window_index(first.long(), count, shape)
    index = (torch.arange(len(maps), device=maps.device)[:, None, None], rows, columns)
    target, weight = (margin(part, count)[index] for part in (maps, weights))
    for _ in range(FIT_STEPS):
        shown, slopes = _with_slopes(images, center, first, count)
        matrix = torch.einsum("nij,nkij,nlij->nkl", weight, slopes, slopes)
        matrix = matrix + DAMPING * torch.eye(2, device=maps.device)
        vector = torch.einsum("nij,nkij->nk", weight * (target - shown), slopes)
        center = center + torch.linalg.solve(matrix, vector).clamp(-1, 1)
    return center


def _with_slopes(
    images: Tensor, center: Tensor, first: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """What windows show (N, n, n), and its slopes along rows and columns (N, 2, n, n)."""
    size = images.shape[-1] // PARTS
    (down, below), (right, beyond) = (
        [overlaps(center[:, i] + step, first[:, i], count, size) for step in (0.0, PROBE)]
        for i in (0, 1)
    )
    across = images @ right.mT  # (N, S * R, n)
    vertical = (below - down) / PROBE @ across
    along = down @ (images @ ((beyond - right) / PROBE).mT)
    return down @ across, torch.stack((vertical, along), 1)


def margin(planes: Tensor, count: int) -> Tensor:
    """Planes (..., H, W) with `count` rows and columns of zeros around them."""
    return torch.nn.functional.pad(planes, (count, count, count, count))


def solved(windows: Tensor, center: Tensor, first: Tensor, size: int) -> Tensor:
    """The image (L, S * R, S * R) that shows windows (N, L, n, n) at centers (N, 2), in least
    squares by conjugate gradients. first (N, 2): first row and column of each window.
    """
    count = windows.shape[-1]
    down, right = (overlaps(center[:, i], first[:, i], count, size) for i in (0, 1))

    def back(shown: Tensor) -> Tensor:
        rows = torch.einsum("nis,nlij->nlsj", down, shown)
        return torch.einsum("nlsj,njt->lst", rows, right)

    def normal(image: Tensor) -> Tensor:
        rows = torch.einsum("nis,lst->nlit", down, image)
        shown = torch.einsum("nlit,njt->nlij", rows, right)
        return back(shown) + SMALLEST_PART * len(windows) / PARTS**2 * image

    residual = back(windows)
    image, direction = torch.zeros_like(residual), residual
    power = residual.square().sum((1, 2), keepdim=True)
    for _ in range(SOLVE_STEPS):
        ahead = normal(direction)
        rate = power / (direction * ahead).sum((1, 2), keepdim=True).clamp(min=1e-12)
        image, residual = image + rate * direction, residual - rate * ahead
        power, before = residual.square().sum((1, 2), keepdim=True), power
        direction = residual + power / before.clamp(min=1e-12) * direction
    return image
