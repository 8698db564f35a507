"""Does the dream order policies as the real game does? Spearman's correlation over policies from random to best."""

from collections.abc import Sequence

import numpy as np

from collectors.policies import make_policy

from .evaluate import play_policy
from .worlds import dream_settings, env_id

POLICIES = ("random", "sticky", "astar:0.6", "astar:0.4", "astar:0.2", "astar:0.1", "astar:0.05", "astar")


def ranks(values: Sequence[float]) -> np.ndarray:
    """Return (P,) ranks from 0; equal values share their mean rank."""
    values = np.asarray(values, dtype=float)
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return below + (equal - 1) / 2


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation in [-1, 1]; nan if either does not vary. Raises ValueError for different lengths."""
    if len(first) != len(second):
        raise ValueError(f"spearman needs two sequences of one length, got {len(first)} and {len(second)}")
    a, b = ranks(first) - (len(first) - 1) / 2, ranks(second) - (len(second) - 1) / 2
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale else float("nan")


def rank_policies(name: str, bundle: str | None = None, episodes: int = 32, horizon: int = 300, seed: int = 0) -> dict:
    """Play POLICIES in a world's dream and real game and return {"spearman", "episodes", "horizon", "policies"}.

    The returns are means over `episodes` episodes, of each the first `horizon` steps.
    """
    rows = []
    for policy_name in POLICIES:
        means = {}
        for kind in ("dream", "real"):
            policy = make_policy(policy_name, 4)
            settings = dream_settings(kind, bundle)
            played = play_policy(policy, env_id(name, kind), episodes, seed, horizon, **settings)
            means[kind] = float(played.returns.mean())
        rows.append({"policy": policy_name, **means})
    score = spearman([row["dream"] for row in rows], [row["real"] for row in rows])
    return {"spearman": score, "episodes": episodes, "horizon": horizon, "policies": rows}
