"""Things that move: found as points in the last frames, moved by a small network, drawn to a
fraction of a pixel.

What a patch grid cannot do is to carry a position to a hundredth of a pixel from frame to frame.
Points can. What stands out from the usual picture, by brightness or by colour, has a centroid that
is exact below a pixel. A network of numbers alone says where it goes (points as the state of a
scene: Finn et al. 2016, arXiv:1509.06113; Kulkarni et al. 2019, arXiv:1906.11883). There a learned
picture is laid bilinearly over the painted frame (Jaderberg et al. 2015, arXiv:1506.02025, eq. 5).
For games of a few distinctly coloured things; what is random is left to the painting.

B lanes, K context frames, C colours, P sprites of S x S pixels, A actions, H x W a frame.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REACH = 4.0  # pixels a step along an axis; what goes further has not moved but was put elsewhere
# pixels between where a thing was drawn and where it is found, below which it is where it was drawn
NEAR = 1.0
MARGIN = 0.03  # how much a pixel must stand out
QUICK = 8.0  # how much faster than other weights the numbers of pictures are learned
WAVES = 2  # sines of a coordinate; with six, games not seen were followed half as well
HIDDEN = 256
TREMBLES = 0.001  # least step of the usual picture towards what is seen
LIVELY, FORGOTTEN = (
    0.035,
    0.002,
)  # where things of a kind may be: where as much changes as this share of the most
REMEMBERED, DRAWN = 2**18, 2048  # moves kept while training, and drawn from them in an update
LOOKS = (
    4  # where nothing else is learned, one update in so many looks at frames; the others remember
)
WEIGHT = (
    0.05  # of the losses of moves: their own weights alone feel it, and the limit on the gradient
)
JITTER = 0.01  # pixels of noise on these


class Places(NamedTuple):
    """Where the sprites will be."""

    centre: Tensor  # (B, P, 2) row and column, pixels
    seen: Tensor  # (B, P) in [0, 1]


class Track(NamedTuple):
    """Where things were in the last frames, oldest first."""

    centre: Tensor  # (B, K, P, 2) row and column, pixels
    mass: Tensor  # (B, K, P) how much of each stood out


class Moves(NamedTuple):
    """What was seen to happen."""

    centre: Tensor  # (N, K + 1, P, 2), the last one after the action
    mass: Tensor  # (N, K + 1, P)
    action: Tensor  # (N,) int64


class Sprites(nn.Module):
    """See the module. All it learns it learns in `practise`, from frames as they are."""

    def __init__(
        self, count: int, size: int, shape: tuple[int, int, int], frames: int, actions: int
    ):
        """shape: (H, W, C) of a frame.

        Raises ValueError for more sprites than C colours can tell apart.
        """
        super().__init__()
        height, width, colours = shape
        if count > 2 * colours + 1:
            raise ValueError(
                f"{colours} colours tell at most {2 * colours + 1} sprites apart, not {count}"
            )
        self.count, self.size, self.frames, self.colours, self.actions = (
            count,
            size,
            frames,
            colours,
            actions,
        )
        self.picture = nn.Parameter(torch.zeros(count, colours, size, size))
        self.cover = nn.Parameter(torch.full((count, 1, size, size), -2.0 / QUICK))
        pairs = count * (count - 1) // 2
        told = (
            2 * (count + pairs) * (1 + 2 * WAVES)
            + frames * count
            + 2 * (frames - 1) * count
            + actions
            + 1
        )
        layers = [nn.Linear(told, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
        self.reason = nn.Sequential(
            *layers, nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 3 * count)
        )
        nn.init.zeros_(self.reason[-1].weight)
        nn.init.zeros_(self.reason[-1].bias)
        self.ways = contrasts(colours)[:count]
        self.register_buffer(
            "usual", torch.zeros(colours, height, width)
        )  # the median of every pixel
        self.register_buffer(
            "lively", torch.ones(count, height, width)
        )  # how much changes from frame to frame
        self.register_buffer("known", torch.zeros(()))
        self.memory: Moves | None = None

    def maps(self, x: Tensor) -> Tensor:
        """Frames x (N, C, H, W) in [-1, 1] -> how much of each kind stands out where, (N, P, H, W).

        Linear in how much of a pixel is covered, so centroids are exact.
        """
        apart = (
            (x - self.usual).transpose(0, 1).contiguous()
        )  # (C, N, H, W): three planes are quick to combine
        found = []
        for ways in self.ways:
            least = [sum(apart[c] * share for c, share in way) for way in ways]
            found.append((reduce(torch.minimum, least) - MARGIN).clamp(min=0))
        return torch.stack(found, 1)

    def points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames x (N, C, H, W) in [-1, 1] -> centres (N, P, 2) in pixels, and how much there is
        (N, P).
        """
        height, width = x.shape[2:]
        # A score that is drawn in a player's colour is no player: it hardly ever changes.
        lively = F.max_pool2d(self.lively, 3, 1, 1)
        maps = self.maps(x) * (lively > LIVELY * lively.amax((1, 2), keepdim=True))
        peak = neighbours(maps).flatten(2).argmax(2)  # (N, P)
        span, r = torch.arange(self.size, device=x.device), self.size // 2
        rows = (peak // width - r).clamp(0, height - self.size)[..., None] + span  # (N, P, S)
        columns = (peak % width - r).clamp(0, width - self.size)[..., None] + span
        index = (rows[..., :, None] * width + columns[..., None, :]).flatten(2)
        window = maps.flatten(2).gather(2, index).unflatten(2, (self.size, self.size))
        mass = window.sum((2, 3))
        centre = torch.stack(((window.sum(3) * rows).sum(2), (window.sum(2) * columns).sum(2)), 2)
        return centre / mass.clamp(min=1e-3)[..., None], mass

    @torch.no_grad()
    def track(self, x: Tensor) -> Track:
        """What is found in context frames x (B, K * C, H, W)."""
        found = self.points(x.reshape(-1, self.colours, *x.shape[2:]))
        return Track(*(part.unflatten(0, (len(x), self.frames)) for part in found))

    @torch.no_grad()
    def forward(self, track: Track, action: Tensor) -> Places:
        """Where things go by action (B,)."""
        moved, seen = self.go(*track, action)
        return Places(moved, seen.sigmoid())

    @torch.no_grad()
    def follow(self, track: Track, asked: Places, frame: Tensor) -> Track:
        """The track with one more frame (B, C, H, W) in which things were drawn where they were
        asked to be.

        A thing found there is exactly there: to find it in grey levels is wrong by hundredths of a
        pixel, and speeds, differences of places, would drift by as much in every step. What is
        found elsewhere was painted there.
        """
        found, mass = self.points(frame)
        kept = ((found - asked.centre).abs().amax(2) < NEAR) & (mass > 1)
        newest = torch.where(kept[..., None], asked.centre, found)
        pairs = ((track.centre, newest), (track.mass, mass))
        return Track(*(torch.cat((before[:, 1:], new[:, None]), 1) for before, new in pairs))

    def go(self, centre: Tensor, mass: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """centre (B, K, P, 2), mass (B, K, P), action (B,) -> centres (B, P, 2), logits (B, P) of
        being there.
        """
        last = 2 * centre[:, -1] / max(self.usual.shape[1:]) - 1
        first, second = torch.triu_indices(self.count, self.count, 1, device=last.device)
        where = torch.cat((last, last[:, first] - last[:, second]), 1)
        phase = where[..., None] * (2.0 ** torch.arange(WAVES, device=last.device) * math.pi / 2)
        speeds = centre[:, 1:] - centre[:, :-1]
        held = F.one_hot(action, self.actions + 1).to(last)
        told = [where, phase.sin(), phase.cos(), speeds / 2, mass.log1p() / 4, held]
        said = self.reason(torch.cat([part.flatten(1) for part in told], 1)).unflatten(
            1, (self.count, 3)
        )
        return centre[:, -1] + speeds[:, -1].clamp(-REACH, REACH) + said[..., :2], said[..., 2]

    def practise(
        self, x: Tensor, actions: Tensor, valid: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses, scalars: of the sprites' pictures, and of moves just seen and some of those
        before.

        x (B, K + S, C, H, W) clean frames, actions (B, S), and whether a step is one, valid (B, S).
        A move is a few numbers, so hundreds cost as much as a frame.
        """
        if self.training:
            self.watch(x[:, : self.frames])
        with torch.no_grad():
            centre, mass = (part.unflatten(0, x.shape[:2]) for part in self.points(x.flatten(0, 1)))
        now = self.moves(centre, mass, actions, valid)
        last = x[:, self.frames]
        here = Places(centre[:, self.frames], (mass[:, self.frames] > 1).float())
        alone = self.lay(self.usual.expand_as(last), here, self.layers())
        picture = (alone - last).square().sum((1, 2, 3)).mean() / self.size**2
        drawn = self.drawn(now, generator) if self.training else now
        return {"picture": WEIGHT * picture, **self.reckon(drawn, generator)}

    def moves(self, centre: Tensor, mass: Tensor, actions: Tensor, valid: Tensor) -> Moves:
        """The valid moves of clips: centre (B, K + S, P, 2), mass (B, K + S, P), actions and valid
        (B, S).
        """
        windows = (
            part.unfold(1, self.frames + 1, 1).movedim(-1, 2) for part in (centre, mass)
        )  # (B, S, K + 1, ...)
        return Moves(*(part[valid] for part in (*windows, actions)))

    def rehearse(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of moves out of the memory alone."""
        return self.reckon(some(self.memory, generator), generator)

    def reckon(self, moves: Moves, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses, scalars, of where things are said to go."""
        context, after = moves.centre[:, :-1], moves.centre[:, -1]
        if self.training:
            context = context + JITTER * torch.randn(context.shape, generator=generator).to(context)
        moved, seen = self.go(context, moves.mass[:, :-1], moves.action)
        near = ((after - moves.centre[:, -2]).abs().amax(2) < REACH).float()
        miss = F.smooth_l1_loss(moved, after, reduction="none", beta=0.1).sum(2)
        there = F.binary_cross_entropy_with_logits(seen, near)
        return {"moves": WEIGHT * (miss * near).sum(1).mean(), "there": WEIGHT * there}

    @torch.no_grad()
    def watch(self, x: Tensor) -> None:
        """Take note of what is usual in x (B, K, C, H, W) and of where things change.

        The median of a pixel is where as many frames are brighter as darker. Of several processes
        each notes what it sees. No gradient: at a rate at which pictures are learned the median
        trembles, and so would all places.
        """
        self.known += 1
        rate = 1 / self.known.item()
        self.usual += max(TREMBLES, rate) * (x - self.usual).sign().mean((0, 1))
        maps = self.maps(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        self.lively.lerp_((maps[:, 1:] - maps[:, :-1]).abs().mean((0, 1)), max(FORGOTTEN, rate))

    def drawn(self, now: Moves, generator: torch.Generator) -> Moves:
        """The moves just seen, with others out of the memory, which keeps them."""
        kept = now if self.memory is None else joined(self.memory, now)
        self.memory = Moves(*(part[-REMEMBERED:] for part in kept))
        return joined(now, some(kept, generator))

    def layers(self) -> Tensor:
        """(P, 1 + C, S, S): how much each pixel of a sprite covers, and that times its colours."""
        cover = (QUICK * self.cover).sigmoid()
        return torch.cat((cover, cover * QUICK * self.picture), 1)

    def draw(self, painted: Tensor, places: Places) -> Tensor:
        """The painted frame (B, C, H, W) with the sprites over it; its gradient is the painting's
        alone.
        """
        return self.lay(painted, places, self.layers().detach())

    def lay(self, frame: Tensor, places: Places, layers: Tensor) -> Tensor:
        """The frame (B, C, H, W) with sprites (P, 1 + C, S, S) over it."""
        height, width = frame.shape[2:]
        down, right = (
            self._hats(places.centre[..., axis], n) for axis, n in enumerate((height, width))
        )
        rows = torch.einsum("bphs,pcst->bpcht", down, layers)
        laid = torch.einsum("bpcht,bpwt->bpchw", rows, right) * places.seen[..., None, None, None]
        for j in range(self.count):
            frame = frame * (1 - laid[:, j, :1]) + laid[:, j, 1:]
        return frame

    def _hats(self, centre: Tensor, pixels: int) -> Tensor:
        """(B, P) centres -> (B, P, n, S): how much of each row of a picture lies on each row of the
        frame.
        """
        at = torch.arange(pixels, device=centre.device)[:, None] - torch.arange(
            self.size, device=centre.device
        )
        return F.relu(1 - (at + self.size // 2 - centre[..., None, None]).abs())


def looks(progress: float) -> bool:
    """Whether an update at this share of the run looks at frames: about one in LOOKS, the same in
    all processes.

    Multiples of the golden section spread evenly whatever the step; whole ones would meet the
    number of updates.
    """
    return (1e6 * progress * (math.sqrt(5) - 1) / 2) % 1 < 1 / LOOKS


def joined(first: Moves, second: Moves) -> Moves:
    """Both, one after the other."""
    return Moves(*(torch.cat(parts) for parts in zip(first, second, strict=True)))


def some(moves: Moves, generator: torch.Generator) -> Moves:
    """DRAWN of them at random, some perhaps twice."""
    picks = torch.randint(len(moves.action), (DRAWN,), generator=generator).to(moves.action.device)
    return Moves(*(part[picks] for part in moves))


def neighbours(maps: Tensor) -> Tensor:
    """(N, P, H, W) -> sums over 3x3 pixels, in less than half the time of `avg_pool2d` on a
    processor.
    """
    padded = F.pad(maps, (1, 1, 1, 1))
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def contrasts(colours: int) -> list[list[list[tuple[int, float]]]]:
    """2 C + 1 ways to stand out, of each of which the least of C differences counts: (colour,
    share) pairs to add up.

    All colours brighter; then for every colour that one brighter, and more so than the others; and
    the others brighter, and more so than that one. What is brighter in all colours does not pass
    for the others, nor they for it.
    """
    ways = [[[(c, 1.0)] for c in range(colours)]]
    for c in range(colours):
        others = [o for o in range(colours) if o != c]
        mean = [(o, 1 / len(others)) for o in others] or [(c, -1.0)]
        ways.append([[(c, 1.0)], *([(c, 1.0), (o, -1.0)] for o in others)])
        ways.append([mean, *([(o, 1.0), (c, -1.0)] for o in others)])
    return ways
