"""Drawing Pong, and reading it back from pixels.

B frames, S = 64 or 24 pixels a side. A frame is 540 engine units wide, the court and both
paddles; at 64 pixels the top 4 rows hold the score as pips and the court has the other 60, at 24
pixels the court has all. Every pixel shows the share of it that a shape covers, so movement far
below a pixel can be seen. Coordinates in pixels are those of the array: a shape that fills exactly
pixel (3, 5) has its center at row 3.0, column 5.0. Where a court wall cuts a shape off, its center
is that of the whole shape.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from collectors.worlds.pong.physics import (
    BALL,
    COURT_HEIGHT,
    COURT_WIDTH,
    HIGHEST,
    LOWEST,
    PADDLE_HEIGHT,
    PADDLE_WIDTH,
    PongCore,
)

SIZES = (64, 24)
STRIP = 4  # rows of the score at 64 pixels: three of pips, one line
BACKGROUND, BALL_COLOR = np.array([6, 24, 24], float), np.array([255, 255, 255], float)
LEFT_COLOR, RIGHT_COLOR = np.array([255, 0, 0], float), np.array([0, 255, 255], float)
# the wall under the score; how bright a pip is that nobody has won yet
LINE_COLOR, DIM = (40, 80, 80), 0.2


def _inverse(color: np.ndarray) -> np.ndarray:
    """(3, 2) float32: least squares from what a pixel adds to the background
    to its shares of ball and paddle.
    """
    return np.linalg.pinv(np.stack([BALL_COLOR - BACKGROUND, color - BACKGROUND])).astype(
        np.float32
    )


_LEFT_INVERSE, _RIGHT_INVERSE = _inverse(LEFT_COLOR), _inverse(RIGHT_COLOR)
# of the frame's width: how far right a ball may be that hits no paddle in this step; and rows from
# the end of its way within which a paddle is at the end, about half of a step
FAR, AT_END = 0.8, 0.4
_SPREAD = 0.2  # how far noise may take a paddle's share of a pixel out of [0, 1]
_MISSING = 0.3  # a shape of which less than this share is seen is not there


class PongState(NamedTuple):
    """What B frames show, in pixels; nan where a thing cannot be seen."""

    ball: np.ndarray  # (B, 2) float32: column, row of the center
    left: np.ndarray  # (B,) float32: row of the left paddle's center
    right: np.ndarray  # (B,) float32
    left_score: np.ndarray  # (B,) int64: lit pips, 0 at 24 pixels
    right_score: np.ndarray  # (B,) int64


def decode_frames(frames: np.ndarray, points_to_win: int = 5) -> PongState:
    """Reads (B, S, S, 3) uint8 frames of a game up to `points_to_win`.

    ValueError if S is neither 64 nor 24.
    """
    frames = np.asarray(frames)
    if (
        frames.ndim != 4
        or frames.shape[1:] not in [(size, size, 3) for size in SIZES]
        or frames.dtype != np.uint8
    ):
        raise ValueError(
            f"Pong frames are (B, 64, 64, 3) or (B, 24, 24, 3) uint8, got {frames.shape} "
            f"{frames.dtype}"
        )
    return renderer_of(frames.shape[1], points_to_win).read(frames)


def equivalent_keys(frames: np.ndarray) -> np.ndarray:
    """(N, 3) int64 for frames (N, S, S, 3): the key that does what each key does, see
    `collectors.policies.equivalent_keys`. At the end of its way the agent's paddle stays.

    Where the ball may hit it in this step, the keys differ nevertheless: they give the spin.
    """
    state, size = decode_frames(frames), frames.shape[1]
    top = renderer_of(size).top
    keys = np.tile(np.arange(3), (len(frames), 1))
    far = ~(state.ball[:, 0] > FAR * size)  # also where there is no ball to be seen
    keys[far & (state.right < top - 0.5 + AT_END), 1] = 0
    keys[far & (state.right > size - 0.5 - AT_END), 2] = 0
    return keys


@lru_cache(maxsize=64)
def renderer_of(size: int, points_to_win: int = 5) -> "Renderer":
    """The renderer of frames of this size, its tables built once."""
    return Renderer(size, points_to_win)


class Renderer:
    """Tables that turn positions into pixels, one row a position."""

    def __init__(self, size: int, points_to_win: int):
        self.size, self.top = size, STRIP if size == 64 else 0
        self.rows = size - self.top
        self.unit_x = (COURT_WIDTH + 2 * PADDLE_WIDTH) / size  # engine units a pixel
        self.unit_y = COURT_HEIGHT / self.rows
        self.ball_width, self.ball_height = BALL / self.unit_x, BALL / self.unit_y
        self.paddle_height = PADDLE_HEIGHT / self.unit_y
        self._draw_paddles()
        self._ball_columns = _windows(
            np.arange(COURT_WIDTH + BALL) - BALL + PADDLE_WIDTH, size, self.unit_x
        )
        tops = COURT_HEIGHT - BALL - (np.arange(COURT_HEIGHT + BALL) - BALL)
        starts, shares = _windows(tops, self.rows, self.unit_y)
        self._ball_rows = starts + self.top, shares
        self._template = np.empty((size, size, 3), np.uint8)
        self._template[:] = BACKGROUND
        self._template[self.top - 1 : self.top] = LINE_COLOR
        if self.top:
            self._draw_pips(points_to_win)

    def _draw_paddles(self) -> None:
        tops = COURT_HEIGHT - PADDLE_HEIGHT - np.arange(LOWEST, HIGHEST + 1)
        rows = _coverage(tops, PADDLE_HEIGHT, self.rows, self.unit_y)
        width = int(np.ceil(PADDLE_WIDTH / self.unit_x))
        columns = _coverage(np.zeros(1), PADDLE_WIDTH, width, self.unit_x)[0]
        self._edge_share = float(columns[0])
        shares = rows[:, :, None, None] * columns[:, None]  # (641, rows, columns, 1)
        self._left = _mix(BACKGROUND, LEFT_COLOR, shares)
        self._right = _mix(BACKGROUND, RIGHT_COLOR, shares)[:, :, ::-1]

    def _draw_pips(self, points_to_win: int) -> None:
        """Three rows of pips from each side inwards; 4, 2 or 1 columns each, one of them a gap
        where there is room.
        """
        pitch = next(pitch for pitch in (4, 2, 1) if pitch * points_to_win <= self.size // 2)
        columns = np.arange(self.size // 2)
        shown = (columns % pitch > 0) | (pitch == 1)
        slot = columns // pitch
        lit = slot < np.arange(points_to_win + 1)[:, None]  # (points + 1, S / 2)
        share = np.where(lit, 1.0, DIM) * (shown & (slot < points_to_win))
        share = np.repeat(share[:, None, :, None], STRIP - 1, axis=1)
        self._left_pips = _mix(BACKGROUND, LEFT_COLOR, share)
        self._right_pips = _mix(BACKGROUND, RIGHT_COLOR, share)[:, :, ::-1]
        self._pip_columns = (np.arange(points_to_win) * pitch)[:, None] + np.flatnonzero(
            shown[:pitch]
        )

    def draw(self, core: PongCore) -> np.ndarray:
        """(B, S, S, 3) uint8, a new array."""
        frames = np.empty((core.games, self.size, self.size, 3), np.uint8)
        frames[:] = self._template
        width = self._left.shape[2]
        frames[:, self.top :, :width] = self._left[core.left - LOWEST]
        frames[:, self.top :, -width:] = self._right[core.right - LOWEST]
        if self.top:
            frames[:, : STRIP - 1, : self.size // 2] = self._left_pips[core.left_score]
            frames[:, : STRIP - 1, self.size // 2 :] = self._right_pips[core.right_score]
        self._draw_balls(frames, core.x + BALL, core.y + BALL)
        return frames

    def _draw_balls(self, frames: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """Lays the balls over the frames; x and y index the tables."""
        first_column, across = self._ball_columns[0][x], self._ball_columns[1][x]
        first_row, down = self._ball_rows[0][y], self._ball_rows[1][y]
        lanes = np.arange(len(frames))[:, None, None]
        rows = (first_row[:, None] + np.arange(down.shape[1]))[:, :, None]
        columns = (first_column[:, None] + np.arange(across.shape[1]))[:, None, :]
        share = (down[:, :, None] * across[:, None, :])[..., None]  # (B, k, k, 1)
        frames[lanes, rows, columns] = _mix(frames[lanes, rows, columns], BALL_COLOR, share)

    def read(self, frames: np.ndarray) -> PongState:
        """What (B, S, S, 3) uint8 frames show."""
        court = frames[:, self.top :]
        dark, bright = float(BACKGROUND[0]), float(BALL_COLOR[0])
        # of a pixel that the ball covers
        share = (court[..., 0].astype(np.float32) - dark) / (bright - dark)
        width = self._left.shape[2]
        share[:, :, :width], left = _unmix(court[:, :, :width], _LEFT_INVERSE)
        share[:, :, -width:], right = _unmix(court[:, :, -width:], _RIGHT_INVERSE)
        scores = self._count_pips(frames) if self.top else np.zeros((2, len(frames)), np.int64)
        return PongState(
            self._find_ball(share),
            self._center(left[:, :, 0]),
            self._center(right[:, :, -1]),
            *scores,
        )

    def _find_ball(self, share: np.ndarray) -> np.ndarray:
        """(B, 2) column, row: the centroid of a window round the brightest place."""
        column = _peak(share.sum(1))
        columns = _around(column, int(np.ceil(self.ball_width)), self.size)
        share = np.take_along_axis(share, columns[:, None, :], 2)  # (B, rows, k)
        rows = _around(_peak(share.sum(2)), int(np.ceil(self.ball_height)), self.rows)
        share = np.take_along_axis(share, rows[:, :, None], 1)  # (B, k, k)
        mass = share.sum((1, 2))
        visible = mass > _MISSING * self.ball_width * self.ball_height
        mass = np.where(visible, mass, np.nan)
        x = (share.sum(1) * columns).sum(1) / mass
        y = (share.sum(2) * rows).sum(1) / mass
        y = self._whole(y, mass / self.ball_width, self.ball_height)
        return np.stack([x, y], 1).astype(np.float32)

    def _center(self, share: np.ndarray) -> np.ndarray:
        """(B,) center row of the paddle that covers these (B, rows) shares of the outermost column:
        the centroid of a window round the place that is covered most, so that noise elsewhere moves
        nothing.
        """
        length = int(np.ceil(self.paddle_height))
        sums = np.cumsum(np.pad(share, ((0, 0), (1, 0))), 1)
        first = (sums[:, length:] - sums[:, :-length]).argmax(1) - 1  # one row more at both ends
        rows = np.arange(self.rows) - first[:, None]
        share = (
            np.where((rows >= 0) & (rows < length + 2), share.clip(-_SPREAD, 1 + _SPREAD), 0)
            / self._edge_share
        )
        height = share.sum(1)
        height = np.where(
            (height > _MISSING * self.paddle_height) & (share.max(1) > 0.5), height, np.nan
        )
        row = (share * np.arange(self.rows)).sum(1) / height
        return self._whole(row, height, self.paddle_height).astype(np.float32)

    def _whole(self, row: np.ndarray, visible: np.ndarray, height: float) -> np.ndarray:
        """The center row in the frame of a shape of which `visible` rows round court row `row` are
        inside the walls.
        """
        middle = row + 0.5
        middle = np.where(middle < height / 2, visible - height / 2, middle)
        middle = np.where(middle > self.rows - height / 2, self.rows - visible + height / 2, middle)
        return middle - 0.5 + self.top

    def _count_pips(self, frames: np.ndarray) -> np.ndarray:
        """(2, B) lit pips, left and right."""
        strip = frames[:, : STRIP - 1].mean(1)  # (B, S, 3)
        lit = 255 * (1 + DIM) / 2
        left, right = strip[..., 0], strip[:, ::-1, 1:].mean(-1)
        return np.stack(
            [(side[:, self._pip_columns].mean(-1) > lit).sum(1) for side in (left, right)]
        )


def _coverage(start: np.ndarray, length: float, cells: int, unit: float) -> np.ndarray:
    """(N, cells) share of each cell that lies between start
    and start + length; cells are `unit` long.
    """
    edges = np.arange(cells)
    before = np.clip(np.asarray(start)[:, None] / unit - edges, 0, 1)
    return np.clip((np.asarray(start)[:, None] + length) / unit - edges, 0, 1) - before


def _windows(start: np.ndarray, cells: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """For balls that begin at `start` (N,): the first cell of a small window (N,)
    and its cells' shares (N, k).
    """
    width = int(np.ceil(BALL / unit)) + 1
    first = np.clip(np.floor(start / unit), 0, cells - width).astype(np.int64)
    shares = _coverage(start, BALL, cells, unit)
    return first, np.take_along_axis(shares, first[:, None] + np.arange(width), 1)


def _mix(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    """uint8 pixels of which `share` shows `over`."""
    return (under + share * (over - under) + 0.5).astype(np.uint8)


def _unmix(pixels: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 3) pixels -> float32 shares of the ball, and of the paddle beneath it."""
    shares = (pixels.astype(np.float32) - BACKGROUND.astype(np.float32)) @ inverse
    ball = shares[..., 0]
    return ball, shares[..., 1] / np.maximum(1 - ball, 0.05)


def _peak(profile: np.ndarray) -> np.ndarray:
    """(B,) where three neighbors of a (B, N) profile sum to the most."""
    padded = np.pad(profile, ((0, 0), (1, 1)))
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]).argmax(1)


def _around(center: np.ndarray, reach: int, cells: int) -> np.ndarray:
    """(B, 2 * reach + 1) cells round each center, moved inside where they would stick out."""
    first = np.clip(center - reach, 0, cells - 2 * reach - 1)
    return first[:, None] + np.arange(2 * reach + 1)
