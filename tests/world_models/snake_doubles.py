"""World models of Snake that are perfect, or as poor as can be, to see that the figures say so."""

from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.worlds.snake import tiles as snake_codes
from collectors.worlds.snake.env import RealSnake
from world_models.protocols import DEFAULT_OPTIONS, Transition, WorldModel, WorldSpec


class Observed(NamedTuple):
    frame: Tensor  # (B, H, W, C) uint8


class Double(WorldModel):
    """What both share; `grid_size` as the recording's."""

    context_length = 2

    def __init__(self, grid_size: int = 8):
        side = 4 * grid_size
        names = ("up", "down", "left", "right")
        super().__init__(WorldSpec("snake", (side, side, 3), names, (-1.0, 0.0, 1.0), 10, 1000))
        self.env = RealSnake(grid_size=grid_size)

    def init(self, context) -> Observed:
        return Observed(context.frames[:, -1])


class PerfectSnake(Double):
    """Replays the real game: puts it into the board that the frame shows and takes one step."""

    def step(self, state: Observed, action: Tensor, noise, options=DEFAULT_OPTIONS) -> Transition:
        seeds = noise.integers(2**20, salt=5).tolist()
        rows = [
            self._play(*row)
            for row in zip(state.frame.numpy(), action.tolist(), seeds, strict=True)
        ]
        frames, rewards, terminations = zip(*rows, strict=True)
        frame = torch.from_numpy(np.stack(frames))
        return Transition(
            Observed(frame),
            frame,
            torch.tensor(rewards),
            torch.tensor(terminations),
            torch.ones(len(rows)),
        )

    def _play(self, frame: np.ndarray, action: int, seed: int) -> tuple[np.ndarray, float, bool]:
        env = self.env
        env.reset(seed=seed)
        codes = snake_codes.decode_frames(frame[None])[0]
        body = [row * env.grid_size + column for row, column in snake_codes.body_from_codes(codes)]
        env._codes[:], env._body, env._canvas[:] = codes.tobytes(), deque(body), frame
        env._direction = snake_codes.LINKS[codes.flat[body[0]]][0] ^ 1
        observation, reward, terminated, _, _ = env.step(action)
        return observation, float(reward), terminated

    def outcome_probabilities(
        self, state: Observed, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        white = (frame == 255).all(-1).flatten(1).any(1)
        codes = torch.from_numpy(snake_codes.decode_frames(frame.numpy()))
        won = (codes > snake_codes.FOOD).flatten(1).all(1)  # the snake fills the board
        return torch.ones(len(frame), 3), (white | won).float()


class CopySnake(Double):
    """Nothing ever happens, and it is sure of it half the time."""

    def step(self, state: Observed, action: Tensor, noise, options=DEFAULT_OPTIONS) -> Transition:
        none = torch.zeros(len(action))
        return Transition(state, state.frame, none, none.bool(), noise.uniform((), 0))
