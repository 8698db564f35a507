"""The real Snake: `RealSnake-v0`, a 16x16 board drawn at 64x64 pixels."""

import math
from collections import deque

import gymnasium
import numpy as np
from gymnasium import spaces

from collectors.settings.values import check_choice
from collectors.worlds.lane_arguments import check_action
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv
from collectors.worlds.snake import tiles
from collectors.worlds.snake.tiles import (
    BODY,
    BODY_OF,
    CODES,
    DEAD_HEAD,
    EMPTY,
    FOOD,
    HEAD,
    LINKS,
    TAIL,
    TILE,
    TILES,
)
from collectors.worlds.vector_env import SingleEnvLanes

__all__ = ["BODY", "CODES", "DEAD_HEAD", "EMPTY", "FOOD", "HEAD", "TAIL", "RealSnake"]

ACTIONS = ("up", "down", "left", "right")
START_LENGTH = 3


class RealSnake(RealGameEnv):
    """Eat and grow: Snake on a board of 16x16 cells.

    The head moves one cell per step. Food makes the snake longer by one cell, and new food appears.

    Actions: the direction in which the head goes next. Turning straight back is ignored: the snake
    goes on.

    Observation: a frame of 4x4 pixels per cell; segments are linked, so one frame shows the whole
    state. The frame of death shows the snake as it was, with a white head.

    Reward: +1 for food, -1 for death, else -`step_penalty`.

    Start: a straight snake of three cells anywhere on the board, with a free cell ahead of it, and
    food on a free cell, both uniformly at random.

    Termination: the head runs into a wall or into the body; the cell that the tail leaves in the
    same step is safe unless `tail_deadly`. Or the snake fills the board, which wins.

    Truncation: after 1000 steps.

    Info: `apples`, food eaten so far; `length`, cells of the snake; `won`, whether it fills the
    board.

    Arguments:
        grid_size: cells per side of the board, 4 or more; a frame has 4 * `grid_size` pixels.
        wrap: a snake that leaves at one side comes back at the other; there are no walls.
        apples: how much food lies on the board at a time.
        start: "random" as above, or "centre": in the middle, facing right.
        tail_deadly: the cell that the tail leaves in the same step kills as well.
        step_penalty: what a step without food costs, 0 or more.
        observation: "rgb" frames, or "grid": (G, G) uint8 codes of `collectors.worlds.snake.tiles`.
        render_mode: "rgb_array", "human" (a window) or None.

    Versions: `v0`, the first one.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 10}
    EMPTY = EMPTY
    FOOD = FOOD
    HEAD = HEAD
    DEAD_HEAD = DEAD_HEAD
    TAIL = TAIL
    BODY = BODY
    CODES = CODES
    decode_frames = staticmethod(tiles.decode_frames)
    body_from_codes = staticmethod(tiles.body_from_codes)

    def __init__(
        self,
        grid_size: int = 16,
        wrap: bool = False,
        apples: int = 1,
        start: str = "random",
        tail_deadly: bool = False,
        step_penalty: float = 0.0,
        observation: str = "rgb",
        render_mode: str | None = None,
    ):
        _check_options(grid_size, apples, start, step_penalty, observation, render_mode)
        self.grid_size, self.wrap, self.apples, self.start = grid_size, wrap, apples, start
        self.tail_deadly = tail_deadly
        self.step_penalty = float(step_penalty)
        self.render_mode = render_mode
        side = grid_size * TILE
        self._canvas = np.zeros((side, side, 3), np.uint8) if observation == "rgb" else None
        if observation == "rgb":
            self.observation_space = spaces.Box(0, 255, (side, side, 3), np.uint8)
        else:
            self.observation_space = spaces.Box(0, CODES - 1, (grid_size, grid_size), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))
        self._neighbors = tiles.neighbor_table(grid_size, wrap)
        self._starts = self._start_poses()
        self._codes = bytearray(grid_size**2)
        self._body: deque[int] = deque()  # cells, head first
        self._direction = 0
        self._playing = False

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        limit = self.spec.max_episode_steps if self.spec is not None else None
        return {
            "world": "snake",
            "frame_shape": [self.grid_size * TILE, self.grid_size * TILE, 3],
            "action_names": list(ACTIONS),
            "reward_values": [-1.0, 0.0 - self.step_penalty, 1.0],
            "fps": self.metadata["render_fps"],
            "max_episode_steps": limit or 1000,
        }

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return {("w",): 0, ("s",): 1, ("a",): 2, ("d",): 3}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        index = int(self.np_random.integers(len(self._starts))) if self.start == "random" else 0
        cells, self._direction = self._starts[index]
        self._body, self._eaten, self._playing = deque(cells), 0, True
        neck = self._direction ^ 1
        self._codes[:] = bytes(len(self._codes))
        self._codes[cells[0]], self._codes[cells[1]] = HEAD[neck], BODY_OF[neck, neck ^ 1]
        self._codes[cells[2]] = TAIL[neck ^ 1]
        if self._canvas is not None:
            self._canvas[:] = tiles.draw(self._board())
        for _ in range(self.apples):
            self._place_food()
        self.shown()
        return self._observation(), self._info()

    def set_board(self, codes: np.ndarray) -> None:
        """Goes on from a (G, G) board of codes.

        Raises ValueError unless it holds exactly one snake, a living one.
        """
        cells = codes.ravel().tolist()
        body = (
            tiles.walk_body(cells, self.grid_size, self.wrap)
            if codes.shape == self._board().shape
            else None
        )
        if body is None or cells[body[0]] not in HEAD:
            raise ValueError("the board does not hold one living snake of this game's size")
        self._body, self._eaten, self._playing = deque(body), 0, True
        self._direction = LINKS[cells[body[0]]][0] ^ 1
        self._codes[:] = bytes(cells)
        if self._canvas is not None:
            self._canvas[:] = tiles.draw(codes)

    def step(self, action):
        self.check_open()
        if not self._playing:
            raise gymnasium.error.ResetNeeded("the game is not running; call reset() before step()")
        action = check_action(action, ACTIONS)
        direction = self._direction if action == self._direction ^ 1 else action
        target = self._neighbors[self._body[0]][direction]
        if self._deadly(target):
            reward = self._die()
        elif self._codes[target] == FOOD:
            self._advance(target, direction)
            reward = self._eat()
        else:
            self._leave_tail()
            self._advance(target, direction)
            reward = 0.0 - self.step_penalty
        self.shown()
        return self._observation(), reward, not self._playing, False, self._info()

    def image(self) -> np.ndarray:
        return tiles.draw(self._board())

    def _deadly(self, target: int) -> bool:
        """Whether moving the head to `target` (-1: the wall) kills."""
        if target < 0:
            return True
        if self._codes[target] <= FOOD:
            return False
        return self.tail_deadly or target != self._body[-1]

    def _die(self) -> float:
        head = self._body[0]
        self._draw(head, DEAD_HEAD[LINKS[self._codes[head]][0]])
        self._playing = False
        return -1.0

    def _eat(self) -> float:
        self._eaten += 1
        self._place_food()
        self._playing = len(self._body) < len(self._codes)
        return 1.0

    def _advance(self, target: int, direction: int) -> None:
        """The head moves to `target`; the old head becomes body."""
        head = self._body[0]
        neck = LINKS[self._codes[head]][0]
        self._draw(head, BODY_OF[neck, direction])
        self._draw(target, HEAD[direction ^ 1])
        self._body.appendleft(target)
        self._direction = direction

    def _leave_tail(self) -> None:
        """The last segment leaves its cell; the one before it becomes the tail."""
        old = self._body.pop()
        new = self._body[-1]
        back = LINKS[self._codes[old]][0] ^ 1  # the direction from the new tail to the old one
        first, second = LINKS[self._codes[new]]
        self._draw(old, EMPTY)
        self._draw(new, TAIL[second if first == back else first])

    def _place_food(self) -> None:
        """One more food on a free cell, if there is one."""
        free = np.flatnonzero(np.frombuffer(self._codes, np.uint8) == EMPTY)
        if len(free):
            self._draw(int(free[self.np_random.integers(len(free))]), FOOD)

    def _draw(self, cell: int, code: int) -> None:
        self._codes[cell] = code
        if self._canvas is not None:
            row, column = divmod(cell * TILE, self.grid_size * TILE)
            row *= TILE
            self._canvas[row : row + TILE, column : column + TILE] = TILES[code]

    def _board(self) -> np.ndarray:
        """(G, G) uint8 codes, a view."""
        return np.frombuffer(self._codes, np.uint8).reshape(self.grid_size, self.grid_size)

    def _observation(self) -> np.ndarray:
        return (self._board() if self._canvas is None else self._canvas).copy()

    def _info(self) -> dict:
        return {
            "apples": self._eaten,
            "length": len(self._body),
            "won": len(self._body) == len(self._codes),
        }

    def _start_poses(self) -> list[tuple[list[int], int]]:
        """All (cells head first, direction) with a free cell ahead;
        the one in the center, facing right, if asked.
        """
        if self.start == "centre":
            head = (self.grid_size // 2) * (self.grid_size + 1)
            return [([head - i for i in range(START_LENGTH)], 3)]
        poses = []
        for head in range(self.grid_size**2):
            for direction in range(4):
                cells = [head]
                while len(cells) < START_LENGTH and cells[-1] >= 0:
                    cells.append(self._neighbors[cells[-1]][direction ^ 1])
                if cells[-1] >= 0 and self._neighbors[head][direction] >= 0:
                    poses.append((cells, direction))
        return poses


class RealSnakeVector(SingleEnvLanes):
    """`num_envs` games of RealSnake: see `LaneVectorEnv`."""

    single_class = RealSnake


def _check_options(grid_size, apples, start, step_penalty, observation, render_mode) -> None:
    """Refuses options that make no game, each with a sentence."""
    if grid_size < START_LENGTH + 1:
        raise ValueError(f"grid_size must be at least {START_LENGTH + 1}, got {grid_size}")
    if not 1 <= apples <= grid_size**2 - START_LENGTH:
        raise ValueError(
            f"apples must be 1 to {grid_size**2 - START_LENGTH} on this board, got {apples}"
        )
    if not 0 <= step_penalty < math.inf:
        raise ValueError(f"step_penalty is subtracted and must be 0 or more, got {step_penalty}")
    check_choice("start", start, ("random", "centre"))
    check_choice("observation", observation, ("rgb", "grid"))
    check_choice("render_mode", render_mode, (None, *RealSnake.metadata["render_modes"]))
