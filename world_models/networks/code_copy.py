"""Copy or generate: a next code is generated, or copied from a place nearby in the last frame.

p(code) = g0 p_generated(code) + sum over sources m of g_m [code is that of source m]: the
pointer-generator mixture (See et al. 2017, arXiv:1704.04368, eq. 9) on a grid. What stands still,
or moves by whole patches, then costs the network a gate and no bits, however fine the codes are.

B lanes, L = G * G places, D channels, M sources.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTSIDE = -1  # the code of a source that lies outside the frame
SURE_SHARE = 0.9  # a choice that is more probable than this is taken
SURE = math.log(SURE_SHARE)
LEAST = 1e-9  # of a share whose logarithm is taken


class CodeCopy(nn.Module):
    """Gates of M sources, which lie so many places off along each axis (0: the same place), and of
    so many `further` ones, which come last.
    """

    def __init__(self, width: int, distances: tuple[int, ...], further: int = 0):
        super().__init__()
        moves = {
            (sign * d * (1 - axis), sign * d * axis)
            for d in distances
            for axis in (0, 1)
            for sign in (1, -1)
        }
        self.moves = sorted(moves)
        self.gate = nn.Linear(width, 1 + len(self.moves) + further)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def sources(self, last: Tensor) -> Tensor:
        """The codes of all sources (B, L, M) int64 in the last frame's codes (B, G, G)."""
        margin = max(max(map(abs, move)) for move in self.moves)
        padded = F.pad(last.long(), (margin,) * 4, value=OUTSIDE)
        rows, columns = last.shape[1:]
        parts = [
            padded[:, margin + r : margin + r + rows, margin + c : margin + c + columns].flatten(1)
            for r, c in self.moves
        ]
        return torch.stack(parts, 2)

    def copied_pixels(self, source: Tensor, decoded: Tensor, last: Tensor, patch: int) -> Tensor:
        """Frames (B, H, W, C): `decoded` ones, and the pixels of the `last` ones where a source
        (B, G, G) is chosen.
        """
        margin = max(max(map(abs, move)) for move in self.moves) * patch
        padded = F.pad(last, (0, 0, margin, margin, margin, margin))
        source = source.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[..., None]
        height, width = last.shape[1:3]
        for number, (r, c) in enumerate(self.moves, 1):
            top, left = margin + r * patch, margin + c * patch
            copied = padded[:, top : top + height, left : left + width]
            decoded = torch.where(source == number, copied, decoded)
        return decoded

    def moved_pixels(self, source: Tensor, decoded: Tensor, moved: Tensor, patch: int) -> Tensor:
        """Frames (B, H, W, C): `decoded` ones, and the pixels of the `moved` ones where the last of
        the sources (B, G, G) is chosen.
        """
        chosen = (source == self.gate.out_features - 1)[..., None]
        chosen = chosen.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
        return torch.where(chosen, moved, decoded)

    def masked(self, logits: Tensor, sources: Tensor) -> Tensor:
        """Gate logits (B, L, 1 + M) without sources that lie outside."""
        outside = F.pad(sources == OUTSIDE, (1, 0), value=False)
        return logits.masked_fill(outside, -math.inf)

    def losses(
        self, h: Tensor, sources: Tensor, right: Tensor, generated: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy (B, L) of codes under the mixture, and the likeliest source (B, L).

        `right` (B, L, M) bool says which sources have them; `generated` (B, L) is the
        cross-entropy of generating them alone; source 0 is generating, m > 0 is
        sources[..., m - 1].
        """
        gates = self.masked(self.gate(h).float(), sources).log_softmax(2)
        copied = gates[..., 1:].masked_fill(~right, -math.inf)
        mixture = torch.cat(((gates[..., 0] - generated)[..., None], copied), 2)
        return -mixture.logsumexp(2), gates.argmax(2)


def chosen_codes(source: Tensor, generated: Tensor, sources: Tensor) -> Tensor:
    """The codes (B, L) that the chosen source (B, L) gives: generated (B, L), or one of sources (B,
    L, M).
    """
    copied = sources.gather(2, (source - 1).clamp(min=0)[..., None])[..., 0]
    return torch.where(source == 0, generated, copied)


def without_rare(logits: Tensor) -> Tensor:
    """Logits (B, L, M) without the other choices of a place where one is sure: one place in a
    hundred that is generated where it should be copied stays in sight for long.
    """
    best = logits.amax(2, keepdim=True)
    sure = best - logits.logsumexp(2, keepdim=True) > SURE
    return logits.masked_fill(sure & (logits < best), -math.inf)


def sure_copies(gates: Tensor, share: float) -> Tensor:
    """Logits (B, L, 1 + M) of generating and of copies, without the other choices of a place where
    one copy is more probable than `share`; as they are at 1.
    """
    if share >= 1:
        return gates
    best = gates[..., 1:].amax(2, keepdim=True)
    sure = best - gates.logsumexp(2, keepdim=True) > math.log(max(share, LEAST))
    return gates.masked_fill(sure & (gates != best), -math.inf)
