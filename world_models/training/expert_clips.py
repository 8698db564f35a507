"""Clips of Snake with the moves of an expert, A*.

B clips of one context frame and one step each.
"""

from __future__ import annotations

import numpy as np
import torch

from collectors.worlds.snake.expert_transitions import ExpertAugmenter
from collectors.worlds.snake.tiles import TILE
from world_models.protocols import Clips, WorldSpec


class ExpertClips:
    """Replaces the moves of clips by those that A* might make; see `ExpertAugmenter`.

    `Clips.expert` is whether the move is one of the expert's best. A clip from a sampled board has
    the sampling weight 1. Raises ValueError for another world than Snake.
    """

    def __init__(self, spec: WorldSpec, sampled: float):
        """`sampled`: share of clips from sampled boards, in [0, 1]."""
        if spec.world != "snake":
            raise ValueError(
                f"expert=true needs Snake, whose expert is A*; this is a dataset of {spec.world}"
            )
        self.reward_values = np.array(spec.reward_values, np.float32)
        self.augment = ExpertAugmenter(spec.frame_shape[0] // TILE, sampled)

    def __call__(self, clips: Clips, generator: np.random.Generator) -> Clips:
        """The clips with other frames, actions and outcomes. Raises ValueError for longer clips."""
        if clips.frames.shape[1] != 2:
            raise ValueError("expert=true needs context_length 1 and rollout_steps 1")
        rows = zip(
            clips.frames.numpy(),
            clips.actions[:, 0].tolist(),
            self.reward_values[clips.reward_classes[:, 0].numpy()],
            clips.terminations[:, 0].tolist(),
            strict=True,
        )
        frames, actions, rewards, terminations, expert, sampled = zip(
            *(self.augment(*row, generator) for row in rows), strict=True
        )
        classes = np.abs(np.array(rewards)[:, None] - self.reward_values).argmin(1)
        return clips._replace(
            frames=torch.from_numpy(np.stack(frames)),
            actions=torch.from_numpy(np.array(actions)[:, None]),
            reward_classes=torch.from_numpy(classes[:, None]),
            terminations=torch.from_numpy(np.array(terminations)[:, None]),
            sampling_weight=torch.where(torch.tensor(sampled), 1.0, clips.sampling_weight),
            expert=torch.tensor(expert),
        )
