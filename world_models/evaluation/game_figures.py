"""Is it the same game? Statistics of whole games, dreamed beside real: `game` of evaluation.json.

T steps, L lanes. A lane counts once: return and length are those of its first game, cut after T
steps or the game's own limit, and rates are over all its steps.
"""

from typing import Any

import numpy as np

from world_models.evaluation.estimates import mean_estimate, share_estimate
from world_models.evaluation.game_play import GamePlay
from world_models.evaluation.ratios import compared

WHOLE = 1000.0  # steps that events are counted per


def game_figures(
    dream: GamePlay, real: GamePlay, limit: int, generator: np.random.Generator
) -> dict[str, Any]:
    """{"return", "length", "events_per_1000", "final_score", "ends_by_the_rules", ...} of one
    policy, each as `compared` gives it; `limit` is the game's own, in steps.

    `events_per_1000` is of all events together; `events` has each by its name.
    """
    pairs = [_first_games(play, limit) for play in (dream, real)]

    def of(name: str) -> dict[str, Any]:
        return compared(pairs[0][name], pairs[1][name], generator)

    names = dream.events
    rates = [{name: WHOLE * play.events[name].mean(0) for name in names} for play in (dream, real)]
    total = [np.sum(list(rate.values()), 0) for rate in rates]
    return {
        "return": of("return"),
        "length": of("length"),
        "events_per_1000": compared(total[0], total[1], generator),
        "events": {name: compared(rates[0][name], rates[1][name], generator) for name in names},
        "final_score": of("final_score"),
        "ends_by_the_rules": _endings(dream, real, limit, generator),
        "unfinished": of("unfinished"),
        "steps": {"dream": len(dream.rewards), "real": len(real.rewards)},
        "lanes": {"dream": dream.rewards.shape[1], "real": real.rewards.shape[1]},
    }


def _first_games(play: GamePlay, limit: int) -> dict[str, np.ndarray]:
    """(L,) float64 figures of the first game of each lane; nan where a lane has none."""
    done = play.terminations | play.truncations
    running = np.cumsum(done, 0) - done == 0  # (T, L): still the first game
    running[limit:] = False
    length = running.sum(0)
    finished = (done & running).any(0) | (length == limit)
    total = (play.rewards * running).sum(0)
    shown = total if play.score is None else play.score[length - 1, np.arange(len(length))]
    return {
        "return": total,
        "length": length.astype(np.float64),
        "final_score": np.where(finished, shown, np.nan),
        "unfinished": (~finished).astype(np.float64),
    }


def _endings(
    dream: GamePlay, real: GamePlay, limit: int, generator: np.random.Generator
) -> dict[str, Any]:
    """Of the games that end, or should by the rules, the share that do both at once.

    Where the rules cannot be read from frames it is the share of finished games that the game
    ended, not its limit. {"value", ...} is the dream's own share, "real" the real game's.
    """
    shares = {}
    for name, play in (("dream", dream), ("real", real)):
        both = _end_shares(play, limit)
        shares[name] = share_estimate(both[np.isfinite(both)], generator)
    how = "termination of finished games" if dream.over is None else "rules read from frames"
    return {**shares["dream"], **shares, "measured_by": how}


def _end_shares(play: GamePlay, limit: int) -> np.ndarray:
    """One number per end: 1.0 where it is by the rules, else 0.0. A game that goes on after its end
    by the rules is one 0.0, however long it does.
    """
    if play.over is not None:
        earlier = play.over & ~(play.terminations | play.truncations)
        earlier = np.concatenate((np.zeros_like(earlier[:1]), earlier[:-1]))
        either = (play.over | play.terminations) & ~earlier
        return (play.over & play.terminations)[either].astype(np.float64)
    first = _first_games(play, limit)
    finished = np.isfinite(first["final_score"])
    rows = first["length"].astype(np.int64) - 1
    ended = play.terminations[rows, np.arange(len(rows))]
    return ended[finished].astype(np.float64)


def count_figures(plays: dict[str, tuple[GamePlay, GamePlay]], generator: np.random.Generator):
    """`rules.counts`: share of frames with everything as often as it must be, over all policies.

    `plays`: (dream, real) by policy. The unit of the interval is the lane.
    """
    if not any(dream.right for dream, _ in plays.values()):
        return {"omitted": "the frames of this world show nothing that can be counted"}
    both = {
        name: _counted([pair[side] for pair in plays.values()], generator)
        for side, name in enumerate(("dream", "real"))
    }
    policies = {
        name: mean_estimate(dream.all_right.mean(0), generator)
        for name, (dream, _) in plays.items()
    }
    return {**both["dream"], "real": both["real"], "policies": policies}


def _counted(plays: list[GamePlay], generator: np.random.Generator) -> dict[str, Any]:
    """The share of all frames with everything right, and of each thing alone."""
    things = {
        thing: float(np.mean([play.right[thing].mean() for play in plays]))
        for thing in plays[0].right
    }
    lanes = np.concatenate([play.all_right.mean(0) for play in plays])
    frames = sum(play.rewards.size for play in plays)
    return {**mean_estimate(lanes, generator), "frames": frames, "things": things}
