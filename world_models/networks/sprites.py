"""Sprites: things that move, found as points in the last frames, moved by a small network and drawn
to a fraction of a pixel.

A patch grid cannot carry a position to a hundredth of a pixel from frame to frame; points can. A
network of numbers alone predicts where each goes (points as the state of a scene: Finn et al. 2016,
arXiv:1509.06113; Kulkarni et al. 2019, arXiv:1906.11883). There a learned image is composited
bilinearly over the decoded frame (Jaderberg et al. 2015, arXiv:1506.02025, eq. 5). For games of a
few distinctly colored things; what is random is left to the decoder.

B lanes, K context frames, C colors, P sprites of S x S pixels, A actions, H x W pixels per frame.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.actions import Actions, feature_count, features_of
from world_models.networks.initialization import zeroed
from world_models.networks.sprite_detector import SpriteDetector

MAX_STEP = 4.0  # pixels per step along an axis; what is further off has not moved but was put there
MATCH_DISTANCE = 1.0  # pixels; a sprite found nearer than this to where it was drawn is just there
MIN_MASS = 1.0  # pixels; a sprite of less was not found
PIXEL_LR_SCALE = 8.0  # how much faster than other weights appearance and opacity are learned
SINUSOIDS = 2  # frequencies per coordinate; with six, unseen games were followed half as well
HIDDEN = 256  # channels of the network that moves points
REPLAY_SIZE = 2**18  # moves kept while training
REPLAY_BATCH = 2048  # of these per update
# where nothing else is learned, one update in so many reads frames; the others replay moves
FRAME_UPDATE_PERIOD = 4
LOSS_WEIGHT = 0.05  # of all losses here: it matters for the limit on the gradient alone
JITTER = 0.01  # pixels of noise on the centers that moves are learned from


class Places(NamedTuple):
    """Where the sprites will be."""

    center: Tensor  # (B, P, 2) row and column, pixels
    visibility: Tensor  # (B, P) in [0, 1]


class Track(NamedTuple):
    """Where sprites were in the last frames, oldest first."""

    center: Tensor  # (B, K, P, 2) row and column, pixels
    mass: Tensor  # (B, K, P) pixels, how much of each was found


class Moves(NamedTuple):
    """Recorded moves of all sprites."""

    center: Tensor  # (N, K + 1, P, 2), the last one after the action
    mass: Tensor  # (N, K + 1, P)
    action: Tensor  # (N, *row), encoded


class Sprites(nn.Module):
    """See the module. All it learns it learns in `losses`, from frames as they are."""

    def __init__(
        self, count: int, size: int, shape: tuple[int, int, int], frames: int, actions: Actions
    ):
        """shape: (H, W, C) of a frame.

        Raises ValueError for more sprites than C colors can tell apart.
        """
        super().__init__()
        self.detector = SpriteDetector(count, size, shape)
        self.count, self.size, self.frames, self.actions = count, size, frames, actions
        self.colors, self.longest_side = shape[2], max(shape[:2])
        self.appearance = nn.Parameter(torch.zeros(count, self.colors, size, size))
        self.opacity = nn.Parameter(torch.full((count, 1, size, size), -2.0 / PIXEL_LR_SCALE))
        pairs = count * (count - 1) // 2
        positions = 2 * (count + pairs) * (1 + 2 * SINUSOIDS)
        speeds, masses = 2 * (frames - 1) * count, frames * count
        inputs = positions + speeds + masses + feature_count(actions)
        self.dynamics = nn.Sequential(
            *(nn.Linear(inputs, HIDDEN), nn.SiLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.SiLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.SiLU()),
            zeroed(nn.Linear(HIDDEN, 3 * count)),
        )
        self.replay: Moves | None = None

    @torch.no_grad()
    def track(self, x: Tensor) -> Track:
        """What is found in context frames x (B, K * C, H, W) in [-1, 1]."""
        found = self.detector(x.reshape(-1, self.colors, *x.shape[2:]))
        return Track(*(part.unflatten(0, (len(x), self.frames)) for part in found))

    @torch.no_grad()
    def forward(self, track: Track, action: Tensor) -> Places:
        """Where sprites go by action (B,)."""
        center, visibility = self.predict(*track, action)
        return Places(center, visibility.sigmoid())

    @torch.no_grad()
    def extend(self, track: Track, drawn: Places, frame: Tensor) -> Track:
        """The track with one more frame (B, C, H, W), in which sprites were drawn at `drawn`.

        A sprite found there is exactly there: to find it in gray levels is wrong by hundredths of a
        pixel, and speeds, differences of places, would drift by as much in every step. What is
        found elsewhere was decoded there.
        """
        found, mass = self.detector(frame)
        near = (found - drawn.center).abs().amax(2) < MATCH_DISTANCE
        kept = near & (mass > MIN_MASS)
        newest = torch.where(kept[..., None], drawn.center, found)
        pairs = ((track.center, newest), (track.mass, mass))
        return Track(*(torch.cat((before[:, 1:], new[:, None]), 1) for before, new in pairs))

    def predict(self, center: Tensor, mass: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """center (B, K, P, 2), mass (B, K, P), action (B,) -> next centers (B, P, 2)
        and logits of visibility (B, P).
        """
        last = 2 * center[:, -1] / self.longest_side - 1
        first, second = torch.triu_indices(self.count, self.count, 1, device=last.device)
        where = torch.cat((last, last[:, first] - last[:, second]), 1)
        frequency = 2.0 ** torch.arange(SINUSOIDS, device=last.device) * math.pi / 2
        phase = where[..., None] * frequency
        speeds = center[:, 1:] - center[:, :-1]
        pressed = features_of(action, self.actions).to(last)
        inputs = [where, phase.sin(), phase.cos(), speeds / 2, mass.log1p() / 4, pressed]
        output = self.dynamics(torch.cat([part.flatten(1) for part in inputs], 1))
        change, visibility = output.unflatten(1, (self.count, 3)).split((2, 1), 2)
        straight = center[:, -1] + speeds[:, -1].clamp(-MAX_STEP, MAX_STEP)
        return straight + change, visibility[..., 0]

    def losses(
        self, x: Tensor, actions: Tensor, valid: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses, scalars: of the sprites' appearance, and of moves in x and replayed ones.

        x (B, K + S, C, H, W) clean frames, actions (B, S), valid (B, S) bool, whether a step is
        one. A move is a few numbers, so hundreds cost as much as a frame.
        """
        if self.training:
            self.detector.update(x[:, : self.frames])
        with torch.no_grad():
            found = self.detector(x.flatten(0, 1))
            center, mass = (part.unflatten(0, x.shape[:2]) for part in found)
        now = self.moves(center, mass, actions, valid)
        last = x[:, self.frames]
        places = Places(center[:, self.frames], (mass[:, self.frames] > MIN_MASS).float())
        background = self.detector.background.expand_as(last)
        alone = self.composited(background, places, self.image_layers())
        error = (alone - last).square().sum((1, 2, 3)).mean() / self.size**2
        drawn = self.with_replayed(now, generator) if self.training else now
        return {"appearance": LOSS_WEIGHT * error, **self.move_losses(drawn, generator)}

    def moves(self, center: Tensor, mass: Tensor, actions: Tensor, valid: Tensor) -> Moves:
        """The valid moves of clips: center (B, K + S, P, 2), mass (B, K + S, P),
        actions and valid (B, S).
        """
        # (B, S, K + 1, ...)
        windows = (part.unfold(1, self.frames + 1, 1).movedim(-1, 2) for part in (center, mass))
        return Moves(*(part[valid] for part in (*windows, actions)))

    def replay_losses(self, replay: Moves, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of replayed moves alone."""
        return self.move_losses(sampled(replay, generator), generator)

    def move_losses(self, moves: Moves, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses, scalars, of predicted centers and visibility."""
        context, after = moves.center[:, :-1], moves.center[:, -1]
        if self.training:
            context = context + JITTER * torch.randn(context.shape, generator=generator).to(context)
        moved, visibility = self.predict(context, moves.mass[:, :-1], moves.action)
        near = ((after - moves.center[:, -2]).abs().amax(2) < MAX_STEP).float()
        miss = F.smooth_l1_loss(moved, after, reduction="none", beta=0.1).sum(2)
        visible = F.binary_cross_entropy_with_logits(visibility, near)
        moved_loss = LOSS_WEIGHT * (miss * near).sum(1).mean()
        return {"moves": moved_loss, "visibility": LOSS_WEIGHT * visible}

    def with_replayed(self, now: Moves, generator: torch.Generator) -> Moves:
        """The moves just seen, with others out of the replay memory, which keeps them."""
        kept = now if self.replay is None else concatenated(self.replay, now)
        self.replay = Moves(*(part[-REPLAY_SIZE:] for part in kept))
        return concatenated(now, sampled(kept, generator))

    def image_layers(self) -> Tensor:
        """(P, 1 + C, S, S): the opacity of each pixel of a sprite, and that times its colors."""
        opacity = (PIXEL_LR_SCALE * self.opacity).sigmoid()
        return torch.cat((opacity, opacity * PIXEL_LR_SCALE * self.appearance), 1)

    def draw(self, decoded: Tensor, places: Places) -> Tensor:
        """The decoded frame (B, C, H, W) with the sprites over it;
        its gradient is the decoder's alone.
        """
        return self.composited(decoded, places, self.image_layers().detach())

    def composited(self, frame: Tensor, places: Places, layers: Tensor) -> Tensor:
        """The frame (B, C, H, W) with sprites (P, 1 + C, S, S) over it."""
        height, width = frame.shape[2:]
        down = self._bilinear_weights(places.center[..., 0], height)
        right = self._bilinear_weights(places.center[..., 1], width)
        rows = torch.einsum("bphs,pcst->bpcht", down, layers)
        images = torch.einsum("bpcht,bpwt->bpchw", rows, right)
        images = images * places.visibility[..., None, None, None]
        for j in range(self.count):
            frame = frame * (1 - images[:, j, :1]) + images[:, j, 1:]
        return frame

    def _bilinear_weights(self, center: Tensor, pixels: int) -> Tensor:
        """(B, P) centers -> (B, P, n, S): how much of each row
        of a sprite lies on each row of the frame.
        """
        offset = torch.arange(pixels, device=center.device)[:, None] - torch.arange(
            self.size, device=center.device
        )
        return F.relu(1 - (offset + self.size // 2 - center[..., None, None]).abs())


def reads_frames(progress: float) -> bool:
    """Whether an update at this share of the run reads frames: about one in FRAME_UPDATE_PERIOD,
    the same in all processes.

    Multiples of the golden ratio spread evenly whatever the step; whole numbers would meet the
    number of updates.
    """
    return (1e6 * progress * (math.sqrt(5) - 1) / 2) % 1 < 1 / FRAME_UPDATE_PERIOD


def concatenated(first: Moves, second: Moves) -> Moves:
    """Both, one after the other."""
    return Moves(*(torch.cat(parts) for parts in zip(first, second, strict=True)))


def sampled(moves: Moves, generator: torch.Generator) -> Moves:
    """REPLAY_BATCH of them at random, some perhaps twice."""
    picks = torch.randint(len(moves.action), (REPLAY_BATCH,), generator=generator)
    return Moves(*(part[picks.to(part.device)] for part in moves))
