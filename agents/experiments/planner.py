"""Looking ahead in a world model: a policy that plays by beam search over action sequences.

N lanes, A actions, W candidate sequences per lane, K context frames. A planner keeps the last K
frames of every lane, so it plays whatever gives frames: the real game or a dream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.policies.batched import chosen_lanes
from collectors.policies.policies import Generator, Policy
from collectors.settings.parse import check_settings, setting
from world_models.lanes import take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import ActionLogits, Context, WorldModel


class Proposal(NamedTuple):
    """What a proposer is given for the next move."""

    frames: Tensor  # (N, H, W, C) uint8, now
    next_frames: Tensor  # (N, A, H, W, C) uint8, the model's prediction for every action
    logits: Tensor  # (N, A) float32, the planner's score of every action


Proposer = Callable[[Proposal], Tensor]
"""Decides on the actions at the end, for example a language model.

(N,) int64 replaces the actions, (N, A) floats rank them anew.
"""


@dataclass(frozen=True)
class Search:
    """How far the planner looks, and by what it scores a sequence."""

    depth: int = setting(4, "moves ahead", least=1)
    width: int = setting(3, "sequences per lane that are followed on", least=1)
    discount: float = setting(0.95, "of what comes a move later")
    gradient_weight: float = setting(
        0.0, "cost of a pair's gradient norm, which is also high where chance decides: at meals"
    )
    logits_weight: float = setting(
        1.0, "cost of a move, by how far its logit lies below the largest one"
    )
    starts: int = setting(8, "descents whose mean is a logit", least=1)
    termination_cost: float = setting(
        5.0, "of an end beside its reward: the rewards that would have come"
    )

    def __post_init__(self):
        check_settings(self)


class Beam(NamedTuple):
    """Sequences that are being followed, N * W rows, those of a lane after each other."""

    state: Any  # the model's
    frames: Tensor  # (N W, H, W, C) uint8
    first: Tensor  # (N W,) int64, the move that each began with
    score: Tensor  # (N W,) float32
    running: Tensor  # (N W,) bool, not terminated


class Planner(Policy):
    """Beam search over action sequences rolled in a world model.

    The score of a sequence is the sum of its predicted rewards, discounted, minus costs: where the
    model has them, the gradient norm of its pairs (one of `trust_signals`) and moves other than
    those that the model itself prefers (`ActionLogits`); and a termination, after which nothing is
    added. The score of a first move is that of its best sequence; a `proposer` may then decide
    otherwise.
    """

    name = "planner"
    batched = True

    def __init__(
        self, model: WorldModel, search: Search | None = None, proposer: Proposer | None = None
    ):
        self.model, self.search, self.proposer = model, search or Search(), proposer
        self.actions = model.spec.discrete_count("a planner")

    def batch(self, lanes: int) -> "PlannerLanes":
        """A planner for many lanes."""
        return PlannerLanes(self, lanes)

    def reset(self, generator: Generator) -> None:
        self._single = self.batch(1)
        self._single.reset(np.ones(1, bool), [generator])

    def __call__(self, observation: np.ndarray) -> int:
        return int(self._single(observation[None])[0])

    @torch.inference_mode()
    def choose(self, context: Context, noise: NoiseStream) -> Tensor:
        """(N,) int64 actions."""
        logits, next_frames = self.values(context, noise)
        if self.proposer is None:
            return logits.argmax(1)
        answer = self.proposer(Proposal(context.frames[:, -1], next_frames, logits))
        return answer.argmax(1) if answer.is_floating_point() else answer

    def values(self, context: Context, noise: NoiseStream) -> tuple[Tensor, Tensor]:
        """The score of each first move (N, A), and the frames after it (N, A, H, W, C)."""
        lanes, actions, search = len(context.frames), self.actions, self.search
        beam = self._expand(self._root(context), noise, 1.0)
        beam = beam._replace(first=torch.arange(actions).repeat(lanes))
        next_frames = beam.frames.unflatten(0, (lanes, actions))
        scores = beam.score.view(lanes, actions)
        for depth in range(1, search.depth):
            noise = noise.next()
            beam = self._expand(self._keep(beam, lanes), noise, search.discount**depth)
            scores = self._rescore(scores, beam, lanes)
        return scores, next_frames

    def _root(self, context: Context) -> Beam:
        none = torch.zeros(len(context.frames), dtype=torch.int64)
        state = self.model.init(context)
        return Beam(state, context.frames[:, -1], none, none.float(), ~none.bool())

    def _expand(self, beam: Beam, noise: NoiseStream, discount: float) -> Beam:
        """Every sequence with every action after it.

        The lane's noise is the same for all: chance favors no move.
        """
        rows = torch.arange(len(beam.score)).repeat_interleave(self.actions)
        action = torch.arange(self.actions).repeat(len(beam.score))
        lane = torch.arange(len(noise.seeds)).repeat_interleave(len(rows) // len(noise.seeds))
        cost = self._deviation(beam, take_lanes(noise, lane[:: self.actions]))
        state, _, first, score, running = take_lanes(beam, rows)
        out = self.model.step(state, action, take_lanes(noise, lane))
        gain = out.reward - cost - self.search.termination_cost * out.termination
        if self.search.gradient_weight:
            signals = self.model.trust_signals(state, action, out.frame)
            gain = gain - self.search.gradient_weight * signals.get("gradient_norm", 0.0)
        score = score + discount * gain * running
        return Beam(out.state, out.frame, first, score, running & ~out.termination)

    def _deviation(self, beam: Beam, noise: NoiseStream) -> Tensor | float:
        """The cost (N W A,) of each action after each sequence, 0 for the model's own choice."""
        if not isinstance(self.model, ActionLogits) or not self.search.logits_weight:
            return 0.0
        logits = self.model.action_logits(beam.state.frames, noise, self.search.starts)
        return self.search.logits_weight * (logits.amax(1, keepdim=True) - logits).flatten()

    def _keep(self, beam: Beam, lanes: int) -> Beam:
        """The best sequences of every lane: of those that go on, then of the terminated ones."""
        rank = torch.where(beam.running, beam.score, beam.score - 1e6).view(lanes, -1)
        best = rank.topk(min(self.search.width, rank.shape[1]), 1).indices  # (N, W)
        return take_lanes(beam, (best + torch.arange(lanes)[:, None] * rank.shape[1]).flatten())

    def _rescore(self, scores: Tensor, beam: Beam, lanes: int) -> Tensor:
        """The scores (N, A) of the first moves, those that are followed by their best continuation.

        One that is no longer followed was worse than all that are, and stays so, however these go
        on.
        """
        found = torch.full_like(scores, -torch.inf)
        found.scatter_reduce_(1, beam.first.view(lanes, -1), beam.score.view(lanes, -1), "amax")
        least = torch.where(found.isfinite(), found, torch.inf).amin(1, keepdim=True)
        return torch.where(found.isfinite(), found, torch.minimum(scores, least - 0.01))


class GreedyField(Planner):
    """The move that the joint model prefers, without looking ahead: the mean of several descents.

    Raises TypeError for a model without action logits.
    """

    name = "field"

    def __init__(self, model: WorldModel, starts: int = 16):
        super().__init__(model)
        if not isinstance(model, ActionLogits):
            raise TypeError(f"a model of the kind {model.kind!r} has no action logits")
        self.field, self.starts = model, starts

    @torch.inference_mode()
    def choose(self, context: Context, noise: NoiseStream) -> Tensor:
        return self.field.action_logits(context.frames, noise, self.starts).argmax(1)


class PlannerLanes:
    """A planner in many lanes, see `collectors.policies.batched.BatchPolicy`."""

    def __init__(self, planner: Planner, lanes: int):
        self.planner, self.names = planner, [planner.name] * lanes
        self._length = planner.model.context_length
        self._fresh = np.ones(lanes, bool)  # lanes that begin with the next frame
        self._noise = NoiseStream.from_seeds(torch.zeros(lanes, dtype=torch.int64))
        self._frames: Tensor | None = None  # (N, K, H, W, C) uint8

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """Begin an episode in the lanes of the mask, each with a noise stream of its own."""
        seeds, steps = self._noise.seeds.clone(), self._noise.steps.clone()
        for lane, generator in chosen_lanes(lanes, generators):
            seeds[lane], steps[lane] = int(generator.integers(2**62)), 0
        self._noise, self._fresh = NoiseStream(seeds, steps), np.array(lanes, bool)

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N,) int64."""
        frames = self._remember(torch.from_numpy(np.array(observations))[:, None])
        actions = torch.zeros(len(frames), self._length - 1, dtype=torch.int64)
        chosen = self.planner.choose(Context(frames, actions), self._noise)
        self._noise = self._noise.next()
        return chosen.numpy()

    def _remember(self, frames: Tensor) -> Tensor:
        """The last K frames (N, K, H, W, C), with `frames` (N, 1, H, W, C) the newest.

        The first frame of an episode is repeated.
        """
        start = frames.repeat_interleave(self._length, 1)
        before = start if self._frames is None else self._frames
        fresh = torch.from_numpy(self._fresh)[:, None, None, None, None]
        self._frames = torch.where(fresh, start, torch.cat((before[:, 1:], frames), 1))
        self._fresh = np.zeros(len(frames), bool)
        return self._frames
