"""`neural-envs plan`: play real Snake by looking ahead in a model, by its own moves and by A*.

M frames, A actions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.envs import find_twins
from agents.evaluation.play import MAX_LANES, play_policy, summarise
from agents.experiments.planner import GreedyField, Planner, Search
from agents.experiments.stages import write_json
from collectors.dataset.dataset import Dataset
from collectors.files import check_free
from collectors.policies.policies import Policy, make_policy
from collectors.progress import OverallProgress, note, progress
from collectors.settings.parse import setting
from collectors.settings.run_command import command
from collectors.worlds.snake.expert_transitions import best_moves
from collectors.worlds.snake.tiles import decode_frames
from neural_envs import bundles
from world_models.protocols import ActionLogits

BATCH = 64  # frames at once when agreement is measured
COSTS = {"field": 0.5, "planner": 1.0, "astar": 0.05}  # of a step, about, for the bar


@dataclass(frozen=True)
class PlanConfig:
    """Play real Snake by looking ahead in a model, beside A*."""

    bundle: str = setting("snake-eqm", "bundle of a Snake model")
    data: str = setting(
        "data/snake", "dataset whose held-out frames measure agreement with A*, if it is there"
    )
    out: str = setting("", "file for the figures")
    overwrite: bool = setting(False, "replace the file where it is there already")
    episodes: int = setting(32, "real games of each player")
    frames: int = setting(2000, "held-out frames for agreement")
    seed: int = setting(0, "of games and noise")
    horizon: int = setting(1000, "steps after which a game is counted as it is")
    search: Search = setting(Search(), "how the planner looks ahead")
    starts: int = setting(16, "descents that the field's move is the mean of")


def agreement(policy: Policy, dataset: Dataset, count: int, seed: int = 0) -> dict:
    """How often a policy takes one of A*'s best moves (`best_moves`) on frames of test episodes.

    Frames without a best move are left out. Equally short ways to the food, and equally safe moves,
    agree alike; "telling" leaves out frames with such ties.
    """
    generator = np.random.default_rng(seed)
    episodes = dataset.split()["test"]
    if not episodes:
        raise ValueError(f"the test split of {dataset.path} is empty: collect more frames")
    lengths = np.array([dataset.episodes[index].length for index in episodes])
    frames = []
    for number, times in zip(
        episodes, generator.multinomial(count, lengths / lengths.sum()), strict=True
    ):
        if times:
            played = dataset.episode(number).frames
            frames += [played[int(i)] for i in generator.integers(len(played) - 1, size=times)]
    best = np.stack([best_moves(codes) for codes in decode_frames(np.stack(frames))])  # (M, A)
    kept = np.flatnonzero(best.any(1))
    agreed = []
    for part in progress(np.array_split(kept, max(1, len(kept) // BATCH)), desc="agreement"):
        player = policy.batch(len(part))
        player.reset(
            np.ones(len(part), bool), [np.random.default_rng([seed, int(i)]) for i in part]
        )
        agreed.append(best[part, player(np.stack([frames[i] for i in part]))])
    agreed, single = np.concatenate(agreed), best[kept].sum(1) == 1
    return {
        "agreement": float(agreed.mean()),
        "telling": float(agreed[single].mean()) if single.any() else None,
        "frames": len(kept),
    }


def plan(config: PlanConfig) -> dict:
    """Apples in real games by player, and the players' agreement with A*.

    Raises ValueError for a bundle that is not of Snake.
    """
    model = bundles.load(config.bundle).model
    if model.spec.world != "snake":
        raise ValueError(
            f"plan plays Snake beside A*, and '{config.bundle}' is a dream of {model.spec.world}: "
            "give a bundle of Snake; agents.experiments.planner.Planner plays other games"
        )
    world = find_twins(model.spec.world)
    players: dict[str, Policy] = {
        "planner": Planner(model, config.search),
        "astar": make_policy("astar", 4, world="snake"),
    }
    if isinstance(model, ActionLogits):
        players = {"field": GreedyField(model, config.starts), **players}
    recorded = (Path(config.data) / "manifest.json").is_file()
    looking = f", and A*'s moves on frames of {config.data}" if recorded else ""
    note(
        f"planning with {config.bundle} on the processor: {config.episodes} real games of at most "
        f"{config.horizon} steps by each of {', '.join(players)}{looking}"
    )
    figures: dict = {"episodes": config.episodes, "apples": {}, "agreement": {}}
    weights = {f"games of {name}": config.horizon * COSTS[name] for name in players}
    agreements = {"agreement with A*": 2 * config.frames / BATCH} if recorded else {}
    with OverallProgress(agreements | weights) as overall:
        if recorded:
            overall.phase("agreement with A*")
            own = {name: p for name, p in players.items() if isinstance(p, Planner)}
            figures["agreement"] = {
                name: agreement(p, Dataset(config.data), config.frames, config.seed)
                for name, p in own.items()
            }
        for name, player in players.items():
            overall.phase(f"games of {name}", loops=-(-config.episodes // MAX_LANES))
            played = play_policy(player, world.real, config.episodes, config.seed, config.horizon)
            figures["apples"][name] = summarise(played).as_dict(world.event)
    return figures


def run(config: PlanConfig) -> str:
    """Play and compare; write the figures where `config.out` says; return them as lines."""
    if config.out:
        check_free(config.out, config.overwrite)
    figures = plan(config)
    if config.out:
        write_json(Path(config.out), figures)
    lines = []
    for name, row in figures["apples"].items():
        low, high = row["apples_ci"]
        lines.append(
            f"{name:8} {row['apples_mean']:7.2f} apples ({low:.2f} to {high:.2f}), "
            f"{row['length_mean']:.0f} steps"
        )
    for name, row in figures["agreement"].items():
        single = "-" if row["telling"] is None else f"{row['telling']:.4f}"
        lines.append(
            f"{name:8} agrees with A* on {row['agreement']:.4f} of {row['frames']} frames "
            f"({single} where one move is best)"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(PlanConfig, run, argv, "neural-envs plan")


if __name__ == "__main__":
    raise SystemExit(main())
