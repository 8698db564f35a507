"""`neural-envs plan`: play the real game by looking ahead in a model, beside the model's own moves
and A*.

N lanes, A actions, W candidate sequences a lane, K context frames. A planner keeps the last K
frames of every lane, so it plays whatever gives frames: the real game or a dream.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.envs import find_twins
from agents.evaluation.play import play_policy, summarise
from collectors.dataset.dataset import Dataset
from collectors.policies.policies import make_policy
from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.worlds.snake.expert_transitions import best_moves
from collectors.worlds.snake.tiles import decode_frames
from neural_envs import bundles
from world_models.lanes import take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import Context, WorldModel

BATCH = 64  # frames at once when agreement is measured


class Proposal(NamedTuple):
    """What a proposer is shown of the next move."""

    frames: Tensor  # (N, H, W, C) uint8, now
    next_frames: Tensor  # (N, A, H, W, C) uint8, what the model expects of every action
    logits: Tensor  # (N, A) float32, how good the planner thinks them


Proposer = Callable[[Proposal], Tensor]
"""An outside opinion, a language model's for one.

(N,) int64 replaces the actions, (N, A) floats re-rank them.
"""


@dataclass(frozen=True)
class Search:
    """How far and by what the planner looks."""

    depth: int = 4  # moves ahead
    width: int = 3  # sequences a lane that are followed on
    discount: float = 0.95  # of what comes a move later
    energy_weight: float = (
        0.0  # price of a pair's gradient norm, which is also high where chance decides: at meals
    )
    opinion_weight: float = (
        1.0  # price of a move, by how much fewer descents rest at it than at the most frequent one
    )
    starts: int = 8  # descents for that opinion
    end_price: float = 5.0  # of an end, beside its reward: the rewards that would have come

    def __post_init__(self):
        if self.depth < 1 or self.width < 1 or self.starts < 1:
            counts = f"{self.depth}, {self.width}, {self.starts}"
            raise ValueError(
                "a planner looks at least one move ahead, on one sequence, by one descent: "
                f"{counts}"
            )


class Beam(NamedTuple):
    """Sequences that are being followed, N * W rows, those of a lane after each other."""

    state: object  # the model's
    frames: Tensor  # (N W, H, W, C) uint8
    first: Tensor  # (N W,) int64, the move that each began with
    score: Tensor  # (N W,) float32
    going: Tensor  # (N W,) bool, not ended


class Planner:
    """A policy (see `collectors.policies.policies`): beam search over action sequences rolled in a
    world model.

    A sequence earns its predicted rewards, discounted. It pays, where the model has them, for the
    gradient norm of its pairs (`uncertainty(frames, action, next_frame)`) and for moves other than
    those that the model itself rests at (`action_logits(frames, noise, starts)`). One that has
    ended pays for that and earns no more. The best sequence of each first move is what that move is
    worth; a `proposer` may have the last word.
    """

    name = "planner"

    def __init__(
        self, model: WorldModel, search: Search | None = None, proposer: Proposer | None = None
    ):
        self.model, self.search, self.proposer = model, search or Search(), proposer
        self.actions = len(model.spec.action_names)
        self._seen = Seen(model.context_length)

    def batch(self, num_envs: int) -> "Planner":
        """A planner for many lanes."""
        return Planner(self.model, self.search, self.proposer)

    def reset(self, *arguments) -> None:
        """reset(generator) for one game, reset(lanes, generators) for some of many."""
        lanes, generators = arguments if len(arguments) == 2 else (np.ones(1, bool), arguments)
        self._seen.reset(lanes, generators)

    def __call__(self, observations: np.ndarray):
        single = observations.ndim == 3
        context, noise = self._seen(observations[None] if single else observations)
        actions = self.choose(context, noise).numpy()
        return int(actions[0]) if single else actions

    @torch.inference_mode()
    def choose(self, context: Context, noise: NoiseStream) -> Tensor:
        """(N,) int64 actions."""
        logits, next_frames = self.values(context, noise)
        if self.proposer is None:
            return logits.argmax(1)
        answer = self.proposer(Proposal(context.frames[:, -1], next_frames, logits))
        return answer.argmax(1) if answer.is_floating_point() else answer

    def values(self, context: Context, noise: NoiseStream) -> tuple[Tensor, Tensor]:
        """What each first move is worth (N, A), and the frames after it (N, A, H, W, C)."""
        lanes, actions, search = len(context.frames), self.actions, self.search
        beam = self._expand(self._root(context), noise, 1.0)
        beam = beam._replace(first=torch.arange(actions).repeat(lanes))
        next_frames = beam.frames.unflatten(0, (lanes, actions))
        worth = beam.score.view(lanes, actions)
        for depth in range(1, search.depth):
            noise = noise.next()
            beam = self._expand(self._keep(beam, lanes), noise, search.discount**depth)
            worth = self._worth(worth, beam, lanes)
        return worth, next_frames

    def _root(self, context: Context) -> Beam:
        lanes = len(context.frames)
        none = torch.zeros(lanes, dtype=torch.int64)
        return Beam(
            self.model.init(context), context.frames[:, -1], none, none.float(), ~none.bool()
        )

    def _expand(self, beam: Beam, noise: NoiseStream, discount: float) -> Beam:
        """Every sequence with every action after it.

        The lane's noise is the same for all: chance favours no move.
        """
        rows = torch.arange(len(beam.score)).repeat_interleave(self.actions)
        action = torch.arange(self.actions).repeat(len(beam.score))
        lane = torch.arange(len(noise.seeds)).repeat_interleave(len(rows) // len(noise.seeds))
        price = self._unusual(beam, take_lanes(noise, lane[:: self.actions]))
        state, frames, first, score, going = take_lanes(beam, rows)
        out = self.model.step(state, action, take_lanes(noise, lane))
        gain = out.reward - price
        if hasattr(self.model, "uncertainty") and self.search.energy_weight:
            gain = gain - self.search.energy_weight * self.model.uncertainty(
                seen_by(state, frames), action, out.frame
            )
        gain = gain - self.search.end_price * out.termination
        return Beam(
            out.state, out.frame, first, score + discount * gain * going, going & ~out.termination
        )

    def _unusual(self, beam: Beam, noise: NoiseStream) -> Tensor | float:
        """What each action costs after each sequence (N W A,), for the field does otherwise; 0 for
        what it does.
        """
        if not hasattr(self.model, "action_logits") or not self.search.opinion_weight:
            return 0.0
        held = self.model.action_logits(seen_by(beam.state, beam.frames), noise, self.search.starts)
        return self.search.opinion_weight * (held.amax(1, keepdim=True) - held).flatten()

    def _keep(self, beam: Beam, lanes: int) -> Beam:
        """The best sequences of every lane among those that have not ended; ended ones fill what is
        left.
        """
        rank = torch.where(beam.going, beam.score, beam.score - 1e6).view(lanes, -1)
        best = rank.topk(min(self.search.width, rank.shape[1]), 1).indices  # (N, W)
        return take_lanes(beam, (best + torch.arange(lanes)[:, None] * rank.shape[1]).flatten())

    def _worth(self, worth: Tensor, beam: Beam, lanes: int) -> Tensor:
        """worth (N, A) of the first moves, those that are followed now by their best continuation.

        One that is no longer followed was worse than all that are, and stays so, however these go
        on.
        """
        found = torch.full_like(worth, -torch.inf)
        found.scatter_reduce_(1, beam.first.view(lanes, -1), beam.score.view(lanes, -1), "amax")
        least = torch.where(found.isfinite(), found, torch.inf).amin(1, keepdim=True)
        return torch.where(found.isfinite(), found, torch.minimum(worth, least - 0.01))


def seen_by(state: object, frames: Tensor) -> Tensor:
    """The frames (B, K, H, W, C) in a state; of one that keeps none, the last, frames (B, H, W,
    C).
    """
    return getattr(state, "frames", frames[:, None])


class GreedyField(Planner):
    """The move that the joint model itself rests at, without looking ahead; of several starts, on
    average.
    """

    name = "field"

    def __init__(self, model: WorldModel, starts: int = 16):
        super().__init__(model)
        self.starts = starts

    def batch(self, num_envs: int) -> "GreedyField":
        return GreedyField(self.model, self.starts)

    @torch.inference_mode()
    def choose(self, context: Context, noise: NoiseStream) -> Tensor:
        return self.model.action_logits(context.frames, noise, self.starts).argmax(1)


class Seen:
    """The last K frames of every lane, and a noise stream for each."""

    def __init__(self, length: int):
        self.length, self._fresh = length, np.zeros(0, bool)
        self._frames = self._noise = None

    def reset(self, lanes: np.ndarray, generators) -> None:
        seeds = torch.tensor(
            [int(g.integers(2**62)) if r else 0 for g, r in zip(generators, lanes, strict=True)]
        )
        fresh = torch.from_numpy(np.asarray(lanes))
        old = NoiseStream.from_seeds(seeds) if self._noise is None else self._noise
        self._noise = NoiseStream(
            torch.where(fresh, seeds, old.seeds), torch.where(fresh, 0, old.steps)
        )
        self._fresh = np.asarray(lanes).copy()

    def __call__(self, observations: np.ndarray) -> tuple[Context, NoiseStream]:
        frames = torch.from_numpy(np.array(observations))[:, None]
        start = frames.repeat_interleave(self.length, 1)
        if self._frames is None:
            self._frames = start
        moved = torch.cat((self._frames[:, 1:], frames), 1)
        self._frames = torch.where(
            torch.from_numpy(self._fresh)[:, None, None, None, None], start, moved
        )
        self._fresh[:], noise, self._noise = False, self._noise, self._noise.next()
        return Context(
            self._frames, torch.zeros(len(frames), self.length - 1, dtype=torch.int64)
        ), noise


@dataclass(frozen=True)
class PlanConfig:
    """Settings of `neural-envs plan`."""

    bundle: str = setting("snake-eqm", "bundle of a Snake model")
    data: str = setting(
        "data/snake", "dataset whose held-out frames measure agreement with A*, if it is there"
    )
    out: str = setting("", "file for the figures")
    episodes: int = setting(32, "real games of each player")
    frames: int = setting(2000, "held-out frames for agreement")
    seed: int = setting(0, "of games and noise")
    horizon: int = setting(1000, "steps after which a game is counted as it is")
    search: Search = setting(Search(), "how the planner looks ahead")
    starts: int = setting(16, "descents that the field's move is the mean of")


def agreement(policy: Planner, dataset: Dataset, count: int, seed: int = 0) -> dict:
    """How often a policy takes one of A*'s best moves (`best_moves`) on frames of test episodes on
    which there is one.

    Equally short ways to the food, and equally safe moves, agree alike; "telling" leaves out frames
    with such ties.
    """
    generator = np.random.default_rng(seed)
    episodes = dataset.split()["test"]
    lengths = np.array([dataset.episodes[index].length for index in episodes])
    frames = []
    for number, times in zip(
        episodes, generator.multinomial(count, lengths / lengths.sum()), strict=True
    ):
        if times:
            seen = dataset.episode(number).frames
            frames += [seen[int(i)] for i in generator.integers(len(seen) - 1, size=times)]
    best = np.stack([best_moves(codes) for codes in decode_frames(np.stack(frames))])  # (M, A)
    kept = np.flatnonzero(best.any(1))
    agreed = []
    for part in np.array_split(kept, max(1, len(kept) // BATCH)):
        player = policy.batch(len(part))
        player.reset(
            np.ones(len(part), bool), [np.random.default_rng([seed, int(i)]) for i in part]
        )
        agreed.append(best[part, player(np.stack([frames[i] for i in part]))])
    agreed, telling = np.concatenate(agreed), best[kept].sum(1) == 1
    return {
        "agreement": float(agreed.mean()),
        "telling": float(agreed[telling].mean()),
        "frames": len(kept),
    }


def plan(config: PlanConfig) -> dict:
    """Apples in real games by player, and the players' agreement with A*."""
    model = bundles.load(config.bundle).model
    world = find_twins(model.spec.world)
    players = {
        "planner": Planner(model, config.search),
        "astar": make_policy("astar", 4, world="snake"),
    }
    if hasattr(model, "uncertainty"):
        players = {"field": GreedyField(model, config.starts), **players}
    figures: dict = {"episodes": config.episodes, "apples": {}, "agreement": {}}
    for name, player in players.items():
        played = play_policy(player, world.real, config.episodes, config.seed, config.horizon)
        figures["apples"][name] = summarise(played).as_dict(world.event)
    if (Path(config.data) / "manifest.json").is_file():
        dataset = Dataset(config.data)
        own = {name: player for name, player in players.items() if isinstance(player, Planner)}
        figures["agreement"] = {
            name: agreement(p, dataset, config.frames, config.seed) for name, p in own.items()
        }
    return figures


def run(config: PlanConfig) -> str:
    """Play and compare; write the figures where `config.out` says; return them as lines."""
    figures = plan(config)
    if config.out:
        Path(config.out).write_text(json.dumps(figures, indent=1) + "\n")
    lines = []
    for name, row in figures["apples"].items():
        low, high = row["apples_ci"]
        lines.append(
            f"{name:8} {row['apples_mean']:7.2f} apples ({low:.2f} to {high:.2f}), "
            f"{row['length_mean']:.0f} steps"
        )
    for name, row in figures["agreement"].items():
        share, telling = row["agreement"], row["telling"]
        lines.append(
            f"{name:8} agrees with A* on {share:.4f} of {row['frames']} frames ({telling:.4f} "
            "where one move is best)"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(PlanConfig, run, argv, "neural-envs plan")


if __name__ == "__main__":
    raise SystemExit(main())
