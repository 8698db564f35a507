"""What a cell of Snake can be, how it is drawn as a 4x4 tile, and how a frame is read back.

G is the grid size; a cell is 4x4 pixels, so a frame is (4G, 4G, 3) uint8. Directions: 0 up, 1 down,
2 left, 3 right; `direction ^ 1` is the opposite one. The drawing makes the game Markov in one
frame: a body segment is a square of 2x2 pixels joined by 2-pixel strips to the segments before and
after it, the head shows its neck, the tail has one link.
"""

from functools import lru_cache

import numpy as np

from collectors.media import from_tiles, to_tiles

TILE = 4
DELTAS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right as (row, column)

EMPTY, FOOD = 0, 1
HEAD = range(2, 6)  # the neck is up, down, left, right
DEAD_HEAD = range(6, 10)
TAIL = range(10, 14)  # the one link is up, down, left, right
BODY = range(14, 20)  # links up-down, left-right, up-left, up-right, down-left, down-right
CODES = 20

BACKGROUND_COLOR, BODY_COLOR, HEAD_COLOR = (12, 14, 28), (60, 180, 90), (250, 210, 60)
FOOD_COLOR, DEAD_COLOR = (230, 60, 70), (255, 255, 255)

BODY_LINKS = ((0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3))
# code -> the directions in which the cell is joined to its neighbors
LINKS: tuple[tuple[int, ...], ...] = ((), ()) + tuple((d,) for d in range(4)) * 3 + BODY_LINKS
BODY_OF = {pair: BODY[i] for i, links in enumerate(BODY_LINKS) for pair in (links, links[::-1])}

# direction -> pixels
_STRIPS = ((0, slice(1, 3)), (3, slice(1, 3)), (slice(1, 3), 0), (slice(1, 3), 3))


def _tile(code: int) -> np.ndarray:
    """The (4, 4, 3) uint8 tile of one code."""
    tile = np.full((TILE, TILE, 3), BACKGROUND_COLOR, np.uint8)
    if code == FOOD:
        tile[:, 1:3] = tile[1:3, :] = FOOD_COLOR
    elif code in HEAD or code in DEAD_HEAD:
        tile[:] = HEAD_COLOR if code in HEAD else DEAD_COLOR
    elif code != EMPTY:
        tile[1:3, 1:3] = BODY_COLOR
    for direction in LINKS[code]:
        tile[_STRIPS[direction]] = BODY_COLOR
    return tile


TILES = np.stack([_tile(code) for code in range(CODES)])  # (20, 4, 4, 3)
_FLAT = TILES.reshape(CODES, -1).astype(np.float32)  # (20, 48)
_SQUARES = (_FLAT**2).sum(axis=1)


@lru_cache(maxsize=16)
def neighbor_table(grid_size: int, wrap: bool) -> tuple[tuple[int, ...], ...]:
    """For each cell (row * G + column) its neighbors up, down, left, right;
    -1 is outside the board.
    """

    def neighbor(cell: int, direction: int) -> int:
        row = cell // grid_size + DELTAS[direction][0]
        column = cell % grid_size + DELTAS[direction][1]
        if wrap:
            return row % grid_size * grid_size + column % grid_size
        inside = 0 <= row < grid_size and 0 <= column < grid_size
        return row * grid_size + column if inside else -1

    return tuple(tuple(neighbor(cell, d) for d in range(4)) for cell in range(grid_size**2))


def draw(codes: np.ndarray) -> np.ndarray:
    """The (4G, 4G, 3) frame of a (G, G) board of codes."""
    return from_tiles(TILES[codes])


def decode_frames(frames: np.ndarray, return_distance: bool = False, chunk: int = 8):
    """Reads frames back: (B, 4G, 4G, 3) uint8 -> (B, G, G) uint8 codes
    of the nearest tiles (least squares).

    With `return_distance` also (B, G, G) float32, the mean absolute difference (0 to 255) between a
    cell and its tile.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be (B, 4G, 4G, 3), got {frames.shape}; add a batch axis to a single frame"
        )
    codes = np.empty((len(frames), frames.shape[1] // TILE, frames.shape[2] // TILE), np.uint8)
    distances = np.empty(codes.shape, np.float32)
    for start in range(0, len(frames), chunk):
        part = slice(start, start + chunk)
        # (b, G, G, 48)
        tiles = to_tiles(frames[part], TILE).reshape(*codes[part].shape, -1).astype(np.float32)
        # exact: every sum is below 2 ** 24
        codes[part] = (_SQUARES - 2 * (tiles @ _FLAT.T)).argmin(axis=-1)
        if return_distance:
            distances[part] = np.abs(tiles - _FLAT[codes[part]]).mean(axis=-1)
    return (codes, distances) if return_distance else codes


def walk_body(cells: list[int], grid_size: int, wrap: bool = False) -> list[int] | None:
    """Follows the links from the head over a flat board of codes:
    the cells of the snake, head first.

    None where the board does not hold exactly one connected snake: one head, one tail, every link
    answered.
    """
    snake = [cell for cell, code in enumerate(cells) if code > FOOD]
    heads = [cell for cell in snake if cells[cell] < TAIL[0]]
    if len(heads) != 1 or sum(cells[cell] in TAIL for cell in snake) != 1:
        return None
    table = neighbor_table(grid_size, wrap)
    cell, direction, body = heads[0], LINKS[cells[heads[0]]][0], [heads[0]]
    while cells[cell] not in TAIL and len(body) < len(snake):
        cell = table[cell][direction]
        if cell < 0:  # the wall
            return None
        links = LINKS[cells[cell]]
        if direction ^ 1 not in links or cells[cell] < TAIL[0]:
            return None
        body.append(cell)
        direction = links[-1] if links[0] == direction ^ 1 else links[0]
    return body if cells[cell] in TAIL and len(body) == len(snake) else None


def body_from_codes(codes: np.ndarray, wrap: bool = False) -> list[tuple[int, int]] | None:
    """The (row, column) cells of the snake, head first, on a (G, G) board of codes;
    None if it is not one snake.
    """
    grid_size = codes.shape[0]
    body = walk_body(codes.ravel().tolist(), grid_size, wrap)
    return None if body is None else [divmod(cell, grid_size) for cell in body]


def equivalent_keys(frames: np.ndarray) -> np.ndarray:
    """(N, 4) int64 for frames (N, H, W, 3) or codes (N, G, G): the key that does what each key
    does, see `collectors.policies.equivalent_keys`. A turn straight back is ignored.

    Where a frame does not show exactly one living head, every key stands for itself.
    """
    codes = np.asarray(frames if frames.ndim == 3 else decode_frames(frames))
    keys = np.tile(np.arange(4), (len(codes), 1))
    heads = (codes >= HEAD[0]) & (codes <= HEAD[-1])
    rows = np.flatnonzero(heads.sum((1, 2)) == 1)
    necks = (codes[rows] * heads[rows]).max((1, 2)).astype(np.int64) - HEAD[0]
    keys[rows, necks] = necks ^ 1
    return keys
