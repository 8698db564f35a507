"""The classes in which evaluation tells actions apart, where they have parts."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from world_models.world_spec import WorldSpec

THIRDS = ("low", "middle", "high")
MOST_CLASSES = 64


class ActionClasses:
    """A class per action of a Discrete space. Of actions in parts one per combination of choices,
    of a Box of the thirds of each range; of the first parts only, so that there are at most
    MOST_CLASSES. `names` are theirs.
    """

    def __init__(self, spec: WorldSpec):
        self.space, self.names = spec.actions, list(spec.action_names)
        self.counts: list[int] = []
        if self.space.is_discrete:
            return
        labels: list[list[str]] = []
        for part, name in enumerate(spec.action_names):
            first = 0 if self.space.is_box else self.space.starts[part]
            count = len(THIRDS) if self.space.is_box else self.space.counts[part]
            if labels and len(self.names) * count > MOST_CLASSES:
                break
            choices = THIRDS if self.space.is_box else range(first, first + count)
            labels.append([f"{name} {choice}" for choice in choices])
            self.counts.append(count)
            self.names = [", ".join(words) for words in itertools.product(*labels)]

    def __len__(self) -> int:
        return len(self.names)

    def of(self, action: Tensor) -> Tensor:
        """The classes (...) int64 of encoded actions (..., *row)."""
        if self.space.is_discrete:
            return action
        found = torch.zeros(action.shape[:-1], dtype=torch.int64, device=action.device)
        for part, count in enumerate(self.counts):
            value = action[..., part]
            if self.space.is_box:
                value = ((value + 1) * count / 2).long().clamp(max=count - 1)
            found = found * count + value
        return found
