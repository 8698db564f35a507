"""Snake's rules, written a second time, to score dreamed frames: is this a legal board, is that
what the move does?

It works on the code grids that the real game's decoder makes of frames, B boards of G x G cells:
0 empty, 1 food, 2-5 head (its neck up, down, left, right), 6-9 dead head, 10-13 tail, 14-19 body.
Written apart from collectors.worlds.snake.env on purpose: a test plays both against each other.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EMPTY, FOOD, HEAD, DEAD, TAIL, BODY = 0, 1, 2, 6, 10, 14
CODES = 20
# up, down, left, right: actions and links count alike
OFFSETS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
OPPOSITE = np.array([1, 0, 3, 2])
BODY_PAIRS = ((0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3))  # links of codes 14..19

LINKS = np.zeros((CODES, 4), bool)  # which sides of a cell go on
for _side in range(4):
    LINKS[[HEAD + _side, DEAD + _side, TAIL + _side], _side] = True
for _code, _pair in enumerate(BODY_PAIRS, BODY):
    LINKS[_code, list(_pair)] = True
BODY_CODE = np.zeros((4, 4), np.uint8)  # code of the segment with these two links
for _code, (_a, _b) in enumerate(BODY_PAIRS, BODY):
    BODY_CODE[_a, _b] = BODY_CODE[_b, _a] = _code


class Legality(NamedTuple):
    """What holds on each board, (B,) bool each; a head may be alive or dead."""

    one_head: np.ndarray
    one_food: np.ndarray
    connected: np.ndarray

    @property
    def all(self) -> np.ndarray:
        """(B,) bool: one head, one food, all in one piece."""
        return self.one_head & self.one_food & self.connected


class Outcome(NamedTuple):
    """What a move must lead to: boards (B, G, G)
    with eaten food not yet placed anew, and events (B,) bool.
    """

    codes: np.ndarray
    eaten: np.ndarray
    dead: np.ndarray
    won: np.ndarray

    @property
    def reward(self) -> np.ndarray:
        """(B,) float32: 1 for food, -1 for death."""
        return self.eaten.astype(np.float32) - self.dead

    @property
    def termination(self) -> np.ndarray:
        """(B,) bool."""
        return self.dead | self.won


class SnakeRules(NamedTuple):
    """The rules of one variant of the game; `decode` turns frames (B, H, W, C) uint8 into codes (B,
    G, G).
    """

    decode: Callable[[np.ndarray], np.ndarray]
    apples: int = 1
    wrap: bool = False
    tail_deadly: bool = False

    def legality(self, codes: np.ndarray) -> Legality:
        """One head, the right number of foods, and links that lead from the head through every
        segment to the tail.
        """
        heads = ((codes >= HEAD) & (codes < TAIL)).sum((1, 2))
        foods, empty = (codes == FOOD).sum((1, 2)), (codes == EMPTY).sum((1, 2))
        expected = np.minimum(self.apples, foods + empty)  # a full board has no room for food
        return Legality(heads == 1, foods == expected, (heads == 1) & self._connected(codes))

    def counts(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """(B,) int64 of heads, dead ones too, of foods, and of tails; a full board, which has no
        room for its food, counts as having it.
        """
        foods, empty = (codes == FOOD).sum((1, 2)), (codes == EMPTY).sum((1, 2))
        return {
            "heads": ((codes >= HEAD) & (codes < TAIL)).sum((1, 2)),
            "foods": np.where((foods < self.apples) & (empty == 0), self.apples, foods),
            "tails": ((codes >= TAIL) & (codes < BODY)).sum((1, 2)),
        }

    def _connected(self, codes: np.ndarray) -> np.ndarray:
        """(B,) bool: links meet links, there is one tail,
        and walking from the head passes every segment.
        """
        links = LINKS[codes]  # (B, G, G, 4)
        meet = np.ones(len(codes), bool)
        for side, offset in enumerate(OFFSETS):
            neighbor = self._shift(links[..., OPPOSITE[side]], offset)
            meet &= ~(links[..., side] & ~neighbor).any((1, 2))
        one_tail = ((codes >= TAIL) & (codes < BODY)).sum((1, 2)) == 1
        segments = (codes >= HEAD).sum((1, 2))
        return meet & one_tail & (self._walk(codes) == segments)

    def _shift(self, values: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """(B, G, G) bool: each cell's neighbor at `offset`;
        False beyond the edge of a board without wrap-around.
        """
        if self.wrap:
            return np.roll(values, tuple(-offset), (1, 2))
        size = values.shape[1]
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        return padded[:, 1 + offset[0] : 1 + offset[0] + size, 1 + offset[1] : 1 + offset[1] + size]

    def _walk(self, codes: np.ndarray) -> np.ndarray:
        """(B,) segments passed on the way from the head,
        -1 where the way does not end at a tail.
        """
        lane, size = np.arange(len(codes)), codes.shape[1]
        is_head = (codes >= HEAD) & (codes < TAIL)
        # (B, 2)
        place = np.stack(
            np.unravel_index(is_head.reshape(len(codes), size * size).argmax(1), (size, size)), 1
        )
        side = LINKS[codes[lane, place[:, 0], place[:, 1]]].argmax(1)  # the way on
        count, going = np.ones(len(codes), int), is_head.any((1, 2))
        arrived = np.zeros(len(codes), bool)
        for _ in range(size * size):
            place = (place + OFFSETS[side]) % size  # leaving the board is caught by `meet`
            code = codes[lane, place[:, 0], place[:, 1]]
            count += going
            arrived |= going & (code >= TAIL) & (code < BODY)
            going &= code >= BODY
            if not going.any():
                break
            onward = LINKS[code].copy()
            onward[lane, OPPOSITE[side]] = False  # not back
            side = onward.argmax(1)
        return np.where(arrived, count, -1)

    def outcome(self, codes: np.ndarray, actions: np.ndarray) -> Outcome:
        """What `actions` (B,) do on legal boards (B, G, G) of living snakes;
        elsewhere the answer means nothing.
        """
        lane, size = np.arange(len(codes)), codes.shape[1]
        head = _first(codes, HEAD, DEAD)
        neck = (codes[lane, head[:, 0], head[:, 1]] - HEAD) % 4
        move = np.where(actions == neck, OPPOSITE[neck], actions)  # a reversal goes straight on
        target = head + OFFSETS[move]
        outside = ((target < 0) | (target >= size)).any(1) & (not self.wrap)
        target %= size
        hit = codes[lane, target[:, 0], target[:, 1]]
        eaten = (hit == FOOD) & ~outside
        dead = outside | (hit >= (TAIL if self.tail_deadly else BODY))
        after = codes.copy()
        after[lane, head[:, 0], head[:, 1]] = np.where(dead, DEAD + neck, BODY_CODE[neck, move])
        self._move_tail(after, lane[~dead & ~eaten])
        living = lane[~dead]
        after[living, target[living, 0], target[living, 1]] = HEAD + OPPOSITE[move[living]]
        full = (after >= HEAD).all((1, 2))
        return Outcome(after, eaten, dead, eaten & full)

    def _move_tail(self, codes: np.ndarray, lanes: np.ndarray) -> None:
        """Takes the last segment off the boards of `lanes`, in place;
        the one before becomes the tail.
        """
        if not len(lanes):
            return
        tail = _first(codes[lanes], TAIL, BODY)
        side = (codes[lanes, tail[:, 0], tail[:, 1]] - TAIL) % 4
        before = (tail + OFFSETS[side]) % codes.shape[1]
        links = LINKS[codes[lanes, before[:, 0], before[:, 1]]].copy()
        links[np.arange(len(lanes)), OPPOSITE[side]] = False
        codes[lanes, tail[:, 0], tail[:, 1]] = EMPTY
        codes[lanes, before[:, 0], before[:, 1]] = TAIL + links.argmax(1)

    def agrees(self, outcome: Outcome, codes: np.ndarray) -> np.ndarray:
        """(B,) bool: every cell as it must be; where food was eaten, wherever the new food lies."""
        return same_boards(outcome.codes, codes, outcome.eaten)

    def playable(self, codes: np.ndarray) -> np.ndarray:
        """(B,) bool: legal boards with a living snake, from which `outcome` means something."""
        return self.legality(codes).all & ((codes >= HEAD) & (codes < DEAD)).any((1, 2))

    def recover_action(
        self, before: np.ndarray, after: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How well `after` gives away the action taken, from playable boards `before`.

        Returns (credit, telling): credit (B,) in [0, 1] is 1 where the outcome of that action lies
        nearest to `after`, shared between different outcomes that lie equally near; telling (B,)
        bool where not all actions do the same.
        """
        outcomes = [self.outcome(before, np.full(len(before), action)) for action in range(4)]
        cells = [
            o.codes != np.where((after == FOOD) & o.eaten[:, None, None], EMPTY, after)
            for o in outcomes
        ]
        distance = np.stack([c.sum((1, 2)) for c in cells], 1)  # (B, 4)
        codes, lane = np.stack([o.codes for o in outcomes], 1), np.arange(len(before))
        # (B, 4): does the same as the one taken
        alike = (codes == codes[lane, actions][:, None]).all((2, 3))
        nearest = distance == distance.min(1, keepdims=True)
        return nearest[lane, actions] * alike.sum(1) / nearest.sum(1), ~alike.all(1)


def _first(codes: np.ndarray, low: int, high: int) -> np.ndarray:
    """(B, 2) row and column of the first cell with low <= code < high."""
    size = codes.shape[1]
    flat = ((codes >= low) & (codes < high)).reshape(len(codes), size * size).argmax(1)
    return np.stack(np.unravel_index(flat, (size, size)), 1)


def same_boards(expected: np.ndarray, codes: np.ndarray, eaten: np.ndarray) -> np.ndarray:
    """(B,) bool: equal in every cell; where `eaten`,
    cells of (new) food count as empty on both sides.
    """
    free = eaten[:, None, None]
    expected, codes = (np.where(free & (c == FOOD), EMPTY, c) for c in (expected, codes))
    return (expected == codes).all((1, 2))


def food_ranks(codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Places of the one food on boards (B, G, G) as numbers,
    uniform in [0, 1) if food is uniform over free cells.

    The randomized rank of the food's cell among the cells that no snake covers, counted along a
    Z-shaped curve, so that equal-width bins of it are compact patches of the board.
    """
    size = codes.shape[1]
    flat = codes.reshape(len(codes), size * size)[:, _z_order(size)]
    free = flat < HEAD
    rank = (np.cumsum(free, 1) - 1)[np.arange(len(flat)), (flat == FOOD).argmax(1)]
    return (rank + generator.random(len(flat))) / free.sum(1)


def _z_order(size: int) -> np.ndarray:
    """Cells 0..size²-1 by interleaved bits of row and column."""
    row, column = np.divmod(np.arange(size * size), size)
    key = sum(
        (((row >> bit) & 1) << (2 * bit + 1)) | (((column >> bit) & 1) << (2 * bit))
        for bit in range(8)
    )
    return np.argsort(key)
