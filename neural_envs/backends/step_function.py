"""A dream's step as one pure function of tensors: state, action and draws go in, the transition
comes out.

The draws are made outside, by the lanes' own noise streams, so a seed means the same dream whatever
computes the function. Lanes and sampling options are fixed; loops over denoising
steps and passes are unrolled when it is exported.

B lanes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from world_models.lanes import map_leaves
from world_models.noise import Draw, NoiseStream
from world_models.protocols import SamplingOptions, State, Transition, WorldModel


class KeptNoise(NoiseStream):
    """A noise stream that keeps what was drawn and draws nothing twice."""

    kept: dict[Draw, Tensor]

    @classmethod
    def of(cls, noise: NoiseStream, kept: dict[Draw, Tensor]) -> KeptNoise:
        """The stream, of which some draws may be made already."""
        stream = cls(*noise)
        stream.kept = kept
        return stream

    def draw(self, draws: Sequence[Draw]) -> list[Tensor]:
        drawn = NoiseStream(*self)
        for one in draws:
            if one not in self.kept:
                (self.kept[one],) = drawn.draw([one])
        return [self.kept[one] for one in draws]


class Layout:
    """How a state or a transition is written as a list of tensors.

    Those without any number are left out.
    """

    def __init__(self, tree: Any):
        self.tree = tree
        self.has_empty = not all(leaf.numel() for leaf in _leaves(tree, []))

    def leaves(self, tree: Any) -> list[Tensor]:
        """The tensors of a tree of this form."""
        found = _leaves(tree, [])
        return [leaf for leaf in found if leaf.numel()] if self.has_empty else found

    def restored(self, leaves: list[Tensor]) -> Any:
        """Inverse of `leaves`."""
        given = iter(leaves)
        if self.has_empty:
            return map_leaves(self.tree, lambda leaf: next(given) if leaf.numel() else leaf)
        return map_leaves(self.tree, lambda leaf: next(given))

    def narrowed(self, lanes: int) -> Layout:
        """That of the first lanes."""
        return Layout(map_leaves(self.tree, lambda leaf: leaf[:lanes]))


def _leaves(tree: Any, found: list[Tensor]) -> list[Tensor]:
    """The tensors of a tree, appended; quicker than `map_leaves`, which builds another one."""
    if isinstance(tree, Tensor):
        found.append(tree)
    else:
        for part in tree:
            _leaves(part, found)
    return found


class StepFunction(nn.Module):
    """`model.step` with fixed options, on the tensors that `tensors` lists; see the module.

    What it draws, and the forms of state and transition, are found by one step on the arguments.
    """

    def __init__(
        self,
        model: WorldModel,
        options: SamplingOptions,
        state: State,
        action: Tensor,
        noise: NoiseStream,
    ):
        super().__init__()
        self.model, self.options = model, options
        stream = KeptNoise.of(noise, {})
        self.before = Layout(state)
        self.after = Layout(model.step(state, action, stream, options))
        self.draws = tuple(stream.kept)

    def narrowed(self, lanes: int) -> StepFunction:
        """The same for the first lanes only."""
        few = copy.copy(self)
        few.before, few.after = self.before.narrowed(lanes), self.after.narrowed(lanes)
        return few

    def tensors(self, state: State, action: Tensor, noise: NoiseStream) -> list[Tensor]:
        """What goes in: state, action and the draws of the streams."""
        return [*self.before.leaves(state), action, *noise.draw(self.draws)]

    def transition(self, tensors: list[Tensor]) -> Transition:
        """What came out."""
        return self.after.restored(tensors)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = list(tensors)
        count = len(given) - len(self.draws) - 1
        state, action = self.before.restored(given[:count]), given[count]
        kept = dict(zip(self.draws, given[count + 1 :], strict=True))
        stream = KeptNoise.of(NoiseStream(action, action), kept)
        return tuple(self.after.leaves(self.model.step(state, action, stream, self.options)))
