"""Dreams that a policy plays, from which evaluation computes how long the rules hold.

T steps of L lanes, H x W x C a frame.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from collectors.progress import progress
from world_models.bundles.contexts import Contexts
from world_models.evaluation.rollouts import device_of, on_cpu, to_model
from world_models.lanes import put_lanes
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions, State, Transition, WorldModel

DecodeStep = Callable[[np.ndarray, np.ndarray], Any]  # Evaluator.decode_step
KEPT_FRAMES = 200  # of the first lane, for the film
LANE_SEEDS = 7919  # between the first lanes of two seeds


class PixelPolicy(Protocol):
    """The policy of one lane."""

    def reset(self, generator: np.random.Generator) -> None: ...

    def __call__(self, observation: np.ndarray) -> int: ...


class ClosedLoop(NamedTuple):
    """Dreams that a policy plays, restarted from a stored context when they end."""

    actions: np.ndarray  # (T, L)
    rewards: np.ndarray  # (T, L)
    terminations: np.ndarray  # (T, L)
    decoded: Any  # what the evaluator decoded from each step: arrays (T, L, ...), or None
    finite: bool  # rewards and trust were finite throughout
    frames: np.ndarray  # (at most KEPT_FRAMES, H, W, C) uint8, of the first lane


@torch.inference_mode()
def closed_loop(
    model: WorldModel,
    contexts: Contexts,
    make_policy: Callable[[], PixelPolicy],
    size: tuple[int, int],
    decode_step: DecodeStep | None = None,
    seed: int = 0,
    options: SamplingOptions = DEFAULT_OPTIONS,
) -> ClosedLoop:
    """A policy plays `size` = (T steps, L dreams); `make_policy()` gives the policy of a lane.

    `decode_step` is an evaluator's, None keeps nothing of the frames.
    """
    steps, lanes = size
    player = _Player(model, contexts, [make_policy() for _ in range(lanes)], seed, options)
    finite, rows, decoded, kept = True, [], [], []
    for _ in progress(range(steps), desc="closed loop"):
        before = player.frames
        action, dream = player.step()
        finite &= bool(torch.isfinite(dream.reward).all() and torch.isfinite(dream.trust).all())
        if len(kept) < KEPT_FRAMES:
            kept.append(player.frames[0].copy())
        if decode_step is not None:
            decoded.append(decode_step(before, player.frames))
        rows.append((action, dream.reward.numpy(), dream.termination.numpy()))
        ended = np.flatnonzero(dream.termination.numpy())
        if len(ended):
            player.restart(ended)
    actions, rewards, terminations = (np.stack(column) for column in zip(*rows, strict=True))
    return ClosedLoop(actions, rewards, terminations, _stacked(decoded), finite, np.stack(kept))


class _Player:
    """L dreams, with one policy and one random stream each."""

    def __init__(
        self,
        model: WorldModel,
        contexts: Contexts,
        policies: list[PixelPolicy],
        seed: int,
        options: SamplingOptions,
    ):
        self.model, self.contexts, self.policies = model, contexts, policies
        self.options, self.device = options, device_of(model)
        self.generator = np.random.default_rng(seed)
        seeds = torch.arange(len(policies)) + LANE_SEEDS * (seed + 1)
        self.noise = to_model(NoiseStream.from_seeds(seeds), model)
        self.state, self.frames = self._start(len(policies))
        self._reset_policies(range(len(policies)))

    def _start(self, count: int) -> tuple[State, np.ndarray]:
        """States at stored contexts, and the last frames (count, H, W, C) of these."""
        rows = self.generator.integers(len(self.contexts), size=count)
        context = self.contexts.choose(torch.from_numpy(rows))
        return self.model.init(to_model(context, self.model)), context.frames[:, -1].numpy()

    def _reset_policies(self, lanes: Iterable[int]) -> None:
        for lane in lanes:
            self.policies[lane].reset(np.random.default_rng(self.generator.integers(2**63)))

    def step(self) -> tuple[np.ndarray, Transition]:
        """Every policy acts on its frame; returns the encoded actions (L, *row)
        and the transition on the CPU.
        """
        pairs = zip(self.policies, self.frames, strict=True)
        space = self.model.spec.actions
        taken = np.array([policy(frame) for policy, frame in pairs], space.dtype)
        action = space.encode(taken)
        chosen = torch.from_numpy(action).to(self.device)
        dream = self.model.step(self.state, chosen, self.noise, self.options)
        self.state, self.noise, dream = dream.state, self.noise.next(), on_cpu(dream)
        self.frames = dream.frame.numpy().copy()
        return action, dream

    def restart(self, lanes: np.ndarray) -> None:
        """New contexts for `lanes` (M,)."""
        fresh, self.frames[lanes] = self._start(len(lanes))
        self.state = put_lanes(self.state, torch.from_numpy(lanes).to(self.device), fresh)
        self._reset_policies(lanes.tolist())


def _stacked(rows: list) -> Any:
    """T NamedTuples of arrays (L, ...) as one of arrays (T, L, ...); None where there is none."""
    if not rows or rows[0] is None:
        return None
    return type(rows[0])(*(np.stack(column) for column in zip(*rows, strict=True)))
