"""Transitions of Snake with the expert's move: from real boards or sampled ones, turned and
mirrored in eight ways.

B states on boards of G x G cells, A = 4 actions (0 up, 1 down, 2 left, 3 right). Boards are (G, G)
uint8 codes of `tiles`, a body is a list of cells, head first. Moves are made by `RealSnake`
itself.
"""

from typing import NamedTuple

import numpy as np

from collectors.worlds.snake.env import RealSnake
from collectors.worlds.snake.search import Board, board_of, plan, safety, shortest_path
from collectors.worlds.snake.tiles import (
    BODY_OF,
    DELTAS,
    FOOD,
    HEAD,
    TAIL,
    decode_frames,
    draw,
    neighbor_table,
    walk_body,
)

ACTIONS = 4
# number s: s % 4 quarter turns against the clock, then for s >= 4 left and right exchanged
SYMMETRIES = 8
LONGEST = 128  # cells of a sampled snake


class Transitions(NamedTuple):
    """What every action does, and which the expert would take.

    States without a living snake have no row.
    """

    frames: np.ndarray  # (B, 4G, 4G, 3) uint8
    # (B, A) bool, all moves as good as the expert's; no move where all of them kill
    best: np.ndarray
    next_frames: np.ndarray  # (B, A, 4G, 4G, 3) uint8, of a death too
    rewards: np.ndarray  # (B, A) float32
    terminations: np.ndarray  # (B, A) bool


def symmetric(frames: np.ndarray, symmetry: int) -> np.ndarray:
    """Frames (..., H, H, C), or boards (..., H, H, 1), under a symmetry of the square; a view."""
    turned = np.rot90(frames, symmetry % 4, axes=(-3, -2))
    return turned[..., ::-1, :] if symmetry >= 4 else turned


def _action_table() -> np.ndarray:
    """(8, 4): what an action is called after a symmetry."""
    table = np.empty((SYMMETRIES, ACTIONS), np.int64)
    for symmetry in range(SYMMETRIES):
        for action, (row, column) in enumerate(DELTAS):
            for _ in range(symmetry % 4):
                row, column = -column, row
            table[symmetry, action] = DELTAS.index((row, -column if symmetry >= 4 else column))
    return table


SYMMETRIC_ACTIONS = _action_table()


def best_moves(codes: np.ndarray, wrap: bool = False) -> np.ndarray:
    """(A,) bool: the moves as good as the expert's on a board (G, G); none where no snake is seen
    or every move kills.

    On a way to the food: all first moves of equally short ways after which the tail can be reached.
    Otherwise all that keep the snake safe equally long, see `search.safety`.
    """
    cells, size = codes.ravel().tolist(), codes.shape[0]
    body, best = walk_body(cells, size, wrap), np.zeros(ACTIONS, bool)
    if body is None or cells[body[0]] not in HEAD:
        return best
    board, foods = board_of(size, wrap), [cell for cell, code in enumerate(cells) if code == FOOD]
    path = plan(board, body, foods)
    if not path:
        return best
    if path[-1] in foods:
        good = [
            cell
            for cell in board.moves[body[0]]
            if cell == path[0] or _as_short(board, body, cell, path)
        ]
    else:
        scores = safety(board, body)
        good = [cell for cell, score in scores.items() if score == max(scores.values())]
    best[[board.neighbors[body[0]].index(cell) for cell in good]] = True
    return best


def _as_short(board: Board, body: list[int], first: int, path: list[int]) -> bool:
    """Whether a way over the cell `first` is as short as `path`,
    and leads to where the tail can be reached.
    """
    if len(path) == 1 or (first in body and first != body[-1]):
        return False
    rest = shortest_path(board, [first, *body[:-1]], path[-1])
    if rest is None or len(rest) + 1 != len(path):
        return False
    after = ([first, *rest][::-1] + body)[: len(body) + 1]
    return shortest_path(board, after, after[-1]) is not None


def random_board(generator: np.random.Generator, grid_size: int = 16) -> np.ndarray:
    """(G, G) codes in the middle of a game: a self-avoiding random walk as the snake,
    and food on a free cell.

    Lengths from 3 to LONGEST are drawn with weight 1 / length; a walk that is stuck earlier gives a
    shorter snake.
    """
    lengths = np.arange(3, min(LONGEST, grid_size**2 // 2) + 1)
    length = int(generator.choice(lengths, p=1 / lengths / (1 / lengths).sum()))
    table, body = neighbor_table(grid_size, False), []
    while len(body) < 3:
        body = [int(generator.integers(grid_size**2))]
        while len(body) < length:
            free = [cell for cell in table[body[-1]] if cell >= 0 and cell not in body]
            if not free:
                break
            body.append(free[int(generator.integers(len(free)))])
    codes = board_of_body(body, grid_size)
    free = np.flatnonzero(codes == 0)
    codes.flat[free[int(generator.integers(len(free)))]] = FOOD
    return codes


def board_of_body(body: list[int], grid_size: int) -> np.ndarray:
    """(G, G) codes of a living snake on an empty board without wrap-around; body (L,) cells, head
    first, L >= 2.
    """
    table, codes = neighbor_table(grid_size, False), np.zeros(grid_size**2, np.uint8)
    # from a segment to the next
    back = [table[a].index(b) for a, b in zip(body[:-1], body[1:], strict=True)]
    codes[body[0]], codes[body[-1]] = HEAD[back[0]], TAIL[back[-1] ^ 1]
    for cell, before, after in zip(body[1:-1], back[:-1], back[1:], strict=True):
        codes[cell] = BODY_OF[before ^ 1, after]
    return codes.reshape(grid_size, grid_size)


class Mover:
    """Makes single moves from any board by the rules of `RealSnake`; `options` are the game's."""

    def __init__(self, grid_size: int, generator: np.random.Generator, **options):
        self.game = RealSnake(grid_size=grid_size, **options)
        self.game.np_random = generator

    def __call__(self, codes: np.ndarray, action: int) -> tuple[np.ndarray, float, bool]:
        """The next frame, reward and termination.

        Raises ValueError for a board without a living snake.
        """
        self.game.set_board(codes)
        frame, reward, terminated, _, _ = self.game.step(action)
        return frame, reward, terminated


class TrainingExample(NamedTuple):
    """A transition to learn from."""

    frames: np.ndarray  # (2, 4G, 4G, 3) uint8, before and after
    action: int
    reward: float
    termination: bool
    expert: bool  # the action is among the expert's best
    sampled: bool  # the board is a sampled one


class ExpertAugmenter:
    """Makes training examples of recorded transitions: under a symmetry drawn at random,
    some continued by the expert.

    A share `sampled` starts from a sampled board instead and makes any move. Of all boards a share
    `shown` is continued by one of the expert's best moves (drawn evenly), if it knows one, and a
    share `tried` by any move, under the real rules: who sees good play only learns what a good move
    does, whatever move it is given.
    """

    def __init__(
        self, grid_size: int, sampled: float = 0.25, shown: float = 0.4, tried: float = 0.3
    ):
        self.grid_size, self.sampled, self.shown, self.tried = grid_size, sampled, shown, tried

    def __call__(
        self, frames: np.ndarray, action: int, reward: float, termination: bool, generator
    ) -> TrainingExample:
        """frames (2, 4G, 4G, 3) uint8 and what was recorded between them."""
        sampled = bool(generator.random() < self.sampled)
        if sampled:
            codes = random_board(generator, self.grid_size)
            action = int(generator.integers(ACTIONS))
        else:
            symmetry = int(generator.integers(SYMMETRIES))
            frames, action = symmetric(frames, symmetry), int(SYMMETRIC_ACTIONS[symmetry, action])
            codes = decode_frames(frames[:1])[0]
        best = best_moves(codes)
        kind = generator.random()
        shown = kind < self.shown and bool(best.any())
        tried = self.shown <= kind < self.shown + self.tried
        if shown:
            action = int(generator.choice(np.flatnonzero(best)))
        elif tried:
            action = int(generator.integers(ACTIONS))
        if shown or tried or sampled:
            after, reward, termination = Mover(self.grid_size, generator)(codes, action)
            frames = np.stack((draw(codes), after))
        return TrainingExample(
            frames, action, float(reward), bool(termination), bool(best[action]), sampled
        )


def transitions(boards: np.ndarray, generator: np.random.Generator, **options) -> Transitions:
    """All moves from boards (B, G, G) that hold a living snake, and the expert's among them."""
    move, wrap = Mover(boards.shape[1], generator, **options), options.get("wrap", False)
    rows = []
    for codes in boards:
        body = walk_body(codes.ravel().tolist(), len(codes), wrap)
        if body is None or codes.flat[body[0]] not in HEAD:
            continue
        after = [move(codes, action) for action in range(ACTIONS)]
        rows.append(
            (draw(codes), best_moves(codes, wrap), *(np.stack(c) for c in zip(*after, strict=True)))
        )
    if not rows:
        raise ValueError("none of the boards holds a living snake")
    frames, best, after, rewards, terminations = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    return Transitions(frames, best, after, rewards.astype(np.float32), terminations)
