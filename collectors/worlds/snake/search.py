"""Search for Snake over cells numbered row * G + column; pure functions and a board, no pixels.

`body` is a list of cells, head first. Time counts moves from now: the i-th of L segments leaves its
cell at move L - i, so a path may use a cell once the body has gone from it.
"""

from functools import lru_cache
from heapq import heappop, heappush

from collectors.worlds.snake.tiles import neighbor_table


class Board:
    """The moves of a board and, per goal, every cell's distance to it (without obstacles)."""

    def __init__(self, grid_size: int, wrap: bool):
        self.grid_size, self.wrap, self.cells = grid_size, wrap, grid_size**2
        self.neighbors = neighbor_table(grid_size, wrap)
        self.moves = tuple(tuple(n for n in row if n >= 0) for row in self.neighbors)
        self._distances: dict[int, list[int]] = {}

    def distances(self, goal: int) -> list[int]:
        """Manhattan distance (around the edges on a board that wraps) of every cell to `goal`."""
        if goal not in self._distances:
            size, (row, column) = self.grid_size, divmod(goal, self.grid_size)

            def along(a: int, b: int) -> int:
                return min(abs(a - b), size - abs(a - b)) if self.wrap else abs(a - b)

            self._distances[goal] = [
                along(c // size, row) + along(c % size, column) for c in range(self.cells)
            ]
        return self._distances[goal]


@lru_cache(maxsize=16)
def board_of(grid_size: int, wrap: bool = False) -> Board:
    """The board of a size, made once."""
    return Board(grid_size, wrap)


def leaving_times(board: Board, body: list[int]) -> list[int]:
    """Per cell the first move at which it may be entered; 0 for a free cell."""
    times, length = [0] * board.cells, len(body)
    for index, cell in enumerate(body):
        times[cell] = length - index
    return times


def shortest_path(board: Board, body: list[int], goal: int) -> list[int] | None:
    """A*: the cells from the one after the head to `goal`, or None."""
    times = leaving_times(board, body)
    heuristic = board.distances(goal)
    moves = board.moves
    cells = board.cells
    start = body[0]
    cost, parent, heap = {start: 0}, {start: -1}, [start]
    while heap:
        cell = heappop(heap) % cells
        if cell == goal and cell != start:
            return _unwind(parent, goal)
        arrival = cost[cell] + 1
        for nearby in moves[cell]:
            if arrival >= times[nearby] and cost.get(nearby, cells) > arrival:
                cost[nearby], parent[nearby] = arrival, cell
                estimate = heuristic[nearby]
                # f, then h, then the cell
                heappush(heap, ((arrival + estimate) * cells + estimate) * cells + nearby)
    return None


def _unwind(parent: dict[int, int], goal: int) -> list[int]:
    path, cell = [], goal
    while parent[cell] >= 0:
        path.append(cell)
        cell = parent[cell]
    return path[::-1]


def space(board: Board, body: list[int]) -> int:
    """How many free cells the head can get to."""
    blocked, stack, reached = set(body), [body[0]], {body[0]}
    while stack:
        for nearby in board.moves[stack.pop()]:
            if nearby not in reached and nearby not in blocked:
                reached.add(nearby)
                stack.append(nearby)
    return len(reached) - 1


def plan(board: Board, body: list[int], foods: list[int]) -> list[int]:
    """The cells to go to: the whole way to a food if the tail can be reached from there, else one
    move that is safe for as long as possible; empty if every move kills."""
    distance = board.distances(body[0])
    for food in sorted(foods, key=distance.__getitem__):
        path = shortest_path(board, body, food)
        if path is not None:
            after = (path[::-1] + body)[: len(body) + 1]
            if shortest_path(board, after, after[-1]) is not None:
                return path
    return safest_move(board, body)


def safest_move(board: Board, body: list[int]) -> list[int]:
    """One move after which the tail is reachable by the longest way;
    else the one into the most space; else none.
    """
    scores = safety(board, body)
    return [max(scores, key=scores.__getitem__)] if scores else []


def safety(board: Board, body: list[int]) -> dict[int, tuple[int, int]]:
    """How safe each cell is that the head may go to: (1, way to the tail), or (0, space) where
    there is no such way.
    """
    times, scores = leaving_times(board, body), {}
    for cell in board.moves[body[0]]:
        if times[cell] <= 1:
            after = [cell, *body[:-1]]
            path = shortest_path(board, after, after[-1])
            scores[cell] = (1, len(path)) if path is not None else (0, space(board, after))
    return scores
