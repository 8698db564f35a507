"""Runs of a world model that evaluation reads its figures off: one step, open loop, closed loop.

N transitions, R rollouts, H horizon, L lanes, G board size. Every function is a batched pass under inference_mode that
returns what happened; what is good or bad about it is decided in evaluation.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.progress import progress
from world_models.held_out import HeldOut, Place
from world_models.lanes import put_lanes
from world_models.metrics import exact, psnr, ssim
from world_models.noise import NoiseStream
from world_models.snake_rules import Legality, Outcome, SnakeRules, food_ranks


class Boards(NamedTuple):
    """Codes (N, G, G) read off frames: before a transition, after it in the recording, after it in the dream."""

    before: np.ndarray
    real: np.ndarray
    dreamed: np.ndarray


class OneStep(NamedTuple):
    """Teacher-forced transitions, (N,) each; `boards` is None for worlds without written rules."""

    picture: dict[str, Tensor]  # psnr, ssim, exact of the dreamed frame
    copied: dict[str, Tensor]  # the same of the last frame, copied
    action: Tensor
    reward: Tensor
    termination: Tensor
    trust: Tensor
    real_reward: Tensor
    real_termination: Tensor
    boards: Boards | None


def _pictures(frames: Tensor, target: Tensor) -> dict[str, Tensor]:
    return {"psnr": psnr(frames, target), "ssim": ssim(frames, target), "exact": exact(frames, target)}


@torch.inference_mode()
def one_step(model, held_out: HeldOut, places: list[Place], rules: SnakeRules | None, batch: int = 128,
             actions: Tensor | None = None) -> OneStep:  # fmt: skip
    """Dreams one step from each real context, with the recorded actions or with `actions` (N,) in their stead."""
    rows = []
    for start in progress(range(0, len(places), batch), desc="one step"):
        window = held_out.window(places[start : start + batch])
        action = window.actions[:, 0] if actions is None else actions[start : start + batch]
        noise = NoiseStream.from_seeds(torch.arange(start, start + len(action)))
        dream = _on_cpu(model.step(model.init(_to(window.context, model)), action.to(_device(model)), _noise_to(noise, model)))
        last, real = window.frames[:, 0], window.frames[:, 1]
        boards = rules and Boards(*(rules.decode(f.numpy()) for f in (last, real, dream.frame)))
        rows.append(OneStep(_pictures(dream.frame, real), _pictures(last, real), action, dream.reward, dream.termination,
                            dream.trust, window.rewards[:, 0], window.terminations[:, 0], boards))  # fmt: skip
    return _joined(rows)


def _joined(rows: list[OneStep]) -> OneStep:
    def join(values):
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {key: torch.cat([v[key] for v in values]) for key in values[0]}
        if isinstance(values[0], Boards):
            return Boards(*(np.concatenate(column) for column in zip(*values, strict=True)))
        return torch.cat(values)

    return OneStep(*(join(column) for column in zip(*rows, strict=True)))


class Rollouts(NamedTuple):
    """Open-loop dreams beside the recording, same actions. A dream that ended stays on its last frame."""

    frames: Tensor  # (R, H + 1, H', W, C) uint8
    real_frames: Tensor
    actions: Tensor  # (R, H)
    rewards: Tensor  # (R, H)
    terminations: Tensor  # (R, H)
    trust: Tensor  # (R, H)
    real_rewards: Tensor
    real_terminations: Tensor
    running: Tensor  # (R, H) bool: the dream had not ended before this step
    real_running: Tensor  # (R, H) bool: nor had the recording


@torch.inference_mode()
def rollouts(model, held_out: HeldOut, places: list[Place], horizon: int) -> Rollouts:
    """Dreams of `horizon` steps from R real contexts with the recorded actions."""
    window = held_out.window(places, horizon)
    state, device = model.init(_to(window.context, model)), _device(model)
    noise = _noise_to(NoiseStream.from_seeds(torch.arange(len(places)) + 1_000_003), model)
    running, frames, rows = torch.ones(len(places), dtype=torch.bool), [window.frames[:, 0]], []
    for h in progress(range(horizon), desc="open loop"):
        dream = model.step(state, window.actions[:, h].to(device), noise)
        state, noise, dream = dream.state, noise.next(), _on_cpu(dream)
        frames.append(torch.where(running[:, None, None, None], dream.frame, frames[-1]))
        rows.append((dream.reward * running, dream.termination & running, dream.trust, running))
        running = running & ~dream.termination
    rewards, terminations, trust, was_running = (torch.stack(column, 1) for column in zip(*rows, strict=True))
    real_running = torch.arange(horizon) < window.lengths[:, None]
    return Rollouts(torch.stack(frames, 1), window.frames, window.actions, rewards, terminations, trust,
                    window.rewards, window.terminations, was_running, real_running)  # fmt: skip


class ClosedLoop(NamedTuple):
    """Dreams that a policy plays, restarted from a stored context when they end. T steps of L lanes, (T, L) each."""

    legality: Legality | None
    right: np.ndarray | None  # the transition is what the rules say, from a legal board
    rewards: np.ndarray
    terminations: np.ndarray
    due_rewards: np.ndarray | None  # what the rules say of the dreamed board and the action
    due_terminations: np.ndarray | None
    eaten: np.ndarray | None
    food_ranks: np.ndarray | None  # (eaten once,) places of new food, uniform in [0, 1) if fair
    finite: bool
    frames: np.ndarray  # (T', H, W, C): the first lane's first frames, to look at


class _Player:
    """L dreams, one policy and its randomness for each; dreams that end start again from a stored context."""

    def __init__(self, model, contexts, make_policy: Callable[[], Callable], lanes: int, seed: int):
        self.model, self.contexts, self.device = model, contexts, _device(model)
        self.generator = np.random.default_rng(seed)
        self.policies = [make_policy() for _ in range(lanes)]
        self.noise = _noise_to(NoiseStream.from_seeds(torch.arange(lanes) + 7919 * (seed + 1)), model)
        self.state, self.seen = self._fresh(lanes)
        self._reset_policies(range(lanes))

    def _fresh(self, count: int):
        context = self.contexts.choose(torch.from_numpy(self.generator.integers(len(self.contexts), size=count)))
        return self.model.init(_to(context, self.model)), context.frames[:, -1].numpy()

    def _reset_policies(self, lanes) -> None:
        for lane in lanes:
            self.policies[lane].reset(np.random.default_rng(self.generator.integers(2**63)))

    def step(self):
        """Every policy acts on what it sees; returns the actions (L,) and the transition on the CPU."""
        action = np.array([policy(frame) for policy, frame in zip(self.policies, self.seen, strict=True)], np.int64)
        dream = self.model.step(self.state, torch.from_numpy(action).to(self.device), self.noise)
        self.state, self.noise, dream = dream.state, self.noise.next(), _on_cpu(dream)
        self.seen = dream.frame.numpy().copy()
        return action, dream

    def restart(self, lanes: np.ndarray) -> None:
        """New contexts for `lanes` (M,)."""
        fresh, self.seen[lanes] = self._fresh(len(lanes))
        self.state = put_lanes(self.state, torch.from_numpy(lanes).to(self.device), fresh)
        self._reset_policies(lanes)


@torch.inference_mode()
def closed_loop(model, contexts, make_policy: Callable[[], Callable], steps: int, lanes: int, rules: SnakeRules | None,
                seed: int = 0, keep: int = 200) -> ClosedLoop:  # fmt: skip
    """A policy plays L dreams for T steps; `make_policy()` gives one pixel policy a lane."""
    player, fair = _Player(model, contexts, make_policy, lanes, seed), np.random.default_rng(seed)
    boards = rules.decode(player.seen) if rules else None
    finite, rows, ranks, kept = True, [], [], []
    for _ in progress(range(steps), desc="closed loop"):
        action, dream = player.step()
        finite = finite and bool(torch.isfinite(dream.reward).all() and torch.isfinite(dream.trust).all())
        if len(kept) < keep:
            kept.append(player.seen[0].copy())
        judged, ended = None, np.flatnonzero(dream.termination.numpy())
        if rules:
            after = rules.decode(player.seen)
            judged = _judge(rules, boards, action, after)
            ranks.append(food_ranks(after[judged[1].eaten & judged[0].all], fair))
            boards = after
        rows.append((judged, dream.reward.numpy(), dream.termination.numpy()))
        if len(ended):
            player.restart(ended)
            if rules:
                boards[ended] = rules.decode(player.seen[ended])
    return _closed_loop_of(rows, ranks, finite, np.stack(kept))


def _judge(rules: SnakeRules, before: np.ndarray, action: np.ndarray, after: np.ndarray) -> tuple[Legality, Outcome, np.ndarray]:
    """Legality of the new boards, what the move had to do, and whether it did (from a legal board)."""
    outcome = rules.outcome(before, action)
    return rules.legality(after), outcome, rules.legality(before).all & rules.agrees(outcome, after)


def _closed_loop_of(rows: list, ranks: list, finite: bool, kept: np.ndarray) -> ClosedLoop:
    judged, rewards, terminations = zip(*rows, strict=True)
    rewards, terminations = np.stack(rewards), np.stack(terminations)
    if judged[0] is None:
        return ClosedLoop(None, None, rewards, terminations, None, None, None, None, finite, kept)
    legality = Legality(*(np.stack(column) for column in zip(*(j[0] for j in judged), strict=True)))
    due = [np.stack([getattr(j[1], name) for j in judged]) for name in ("reward", "termination", "eaten")]
    right = np.stack([j[2] for j in judged])
    return ClosedLoop(legality, right, rewards, terminations, *due, np.concatenate(ranks), finite, kept)


def _device(model) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu")) if hasattr(model, "parameters") else torch.device("cpu")


def _to(context, model):
    return type(context)(*(leaf.to(_device(model)) for leaf in context))


def _noise_to(noise: NoiseStream, model) -> NoiseStream:
    return NoiseStream(*(leaf.to(_device(model)) for leaf in noise))


def _on_cpu(dream):
    return dream._replace(state=None, **{n: getattr(dream, n).cpu() for n in ("frame", "reward", "termination", "trust")})
