"""Does the dream order policies as the real game does? Spearman's correlation over policies from
random to best.
"""

from collections.abc import Sequence

import numpy as np

from agents.envs import WORLDS, action_count, env_id, env_settings, find_world
from agents.evaluation.play import play_policy
from collectors.policies.policies import make_policy


def ranks(values: Sequence[float]) -> np.ndarray:
    """Return (P,) ranks from 0; equal values share their mean rank."""
    values = np.asarray(values, dtype=float)
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return below + (equal - 1) / 2


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation in [-1, 1]; nan if either does not vary.

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
) -> dict:
    """Play a world's policies in its dream and real game; return {"spearman", "episodes",
    "horizon", "policies"}.

    The returns are means over `episodes` episodes, of each the first `horizon` steps. {"omitted":
    why} for a world that is not in the table. `real_options` are the real game's, as
    ("levels=test",): CoinRun without options plays its training levels.
    """
    if name not in WORLDS:
        return {"omitted": f"no policies are listed for the world {name!r}"}
    rows, actions = [], action_count(env_id(name, "real"))
    for policy_name in find_world(name).ranking:
        means = {}
        for kind in ("dream", "real"):
            policy = make_policy(policy_name, actions, world=name)
            settings = env_settings(name, kind, bundle, real_options)
            played = play_policy(policy, env_id(name, kind), episodes, seed, horizon, **settings)
            means[kind] = float(played.returns.mean())
        rows.append({"policy": policy_name, **means})
    score = spearman([row["dream"] for row in rows], [row["real"] for row in rows])
    score = None if np.isnan(score) else score
    return {"spearman": score, "episodes": episodes, "horizon": horizon, "policies": rows}
