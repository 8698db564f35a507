"""Does the dream rank policies as the real game does? Spearman's correlation of their returns.

P policies.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.envs import KINDS, action_count, env_id, env_settings
from agents.evaluation.play import play_policy
from collectors.policies.policies import make_policy
from collectors.worlds.table import WORLDS


def ranks(values: Sequence[float]) -> np.ndarray:
    """(P,) ranks from 0; equal values share their mean rank."""
    array = np.asarray(values, dtype=float)
    below = (array[None, :] < array[:, None]).sum(axis=1)
    equal = (array[None, :] == array[:, None]).sum(axis=1)
    return below + (equal - 1) / 2


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """The rank correlation in [-1, 1]; nan if either does not vary.

    Raises ValueError for different lengths.
    """
    if len(first) != len(second):
        raise ValueError(
            f"spearman needs two sequences of one length, got {len(first)} and {len(second)}"
        )
    a, b = ranks(first) - (len(first) - 1) / 2, ranks(second) - (len(second) - 1) / 2
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale else float("nan")


def rank_policies(
    name: str,
    bundle: str | None = None,
    episodes: int = 32,
    horizon: int = 300,
    seed: int = 0,
    real_options: Sequence[str] = (),
) -> dict[str, Any]:
    """Play a world's policies in its dream and in its real game.

    Returns {"spearman", "episodes", "horizon", "policies"}; the returns are means over `episodes`
    episodes, of each the first `horizon` steps. {"omitted": reason} for a game that is not in the
    table of worlds. `real_options` are the real game's, as ("levels=test",): CoinRun without
    options plays its training levels.
    """
    if name not in WORLDS:
        return {"omitted": f"no policies are listed for the world {name!r}"}
    rows: list[dict[str, Any]] = []
    actions = action_count(env_id(name, "real"))
    for policy_name in WORLDS[name].ranking:
        means = {}
        for kind in KINDS:
            policy = make_policy(policy_name, actions, world=WORLDS.get(name))
            settings = env_settings(name, kind, bundle, real_options)
            played = play_policy(policy, env_id(name, kind), episodes, seed, horizon, **settings)
            means[kind] = float(played.returns.mean())
        rows.append({"policy": policy_name, **means})
    score = spearman([row["dream"] for row in rows], [row["real"] for row in rows])
    return {
        "spearman": None if np.isnan(score) else score,
        "episodes": episodes,
        "horizon": horizon,
        "policies": rows,
    }
