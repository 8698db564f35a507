"""Does the dream rank policies as the real game does? Rank statistics of their returns.

P policies, E episodes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.envs import KINDS, NOTHING, env_id, env_settings, game_actions
from agents.evaluation.play import play_policy
from agents.evaluation.players import EQUIVALENT
from collectors.policies.policies import POLICY_FILE, make_policy, makers_of
from collectors.progress import progress
from collectors.worlds.table import WORLDS
from world_models.evaluation.rank_statistics import rank_figures


def ranked_policies(world: str, agents: Sequence[str] = ()) -> list[str]:
    """The policies of a world's row from random to the best, the player of equivalent keys where
    there is one, and the files of trained agents.
    """
    more = [EQUIVALENT] if EQUIVALENT in makers_of(world) else []
    return [*WORLDS[world].ranking, *more, *agents]


def rank_policies(
    name: str,
    dreamed: Mapping[str, Any] = NOTHING,
    episodes: int = 16,
    horizon: int = 300,
    seed: int = 0,
    real_options: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> dict[str, Any]:
    """Play a world's policies, and trained `agents` by their files, in its dream and in its real
    game.

    Returns {"spearman", "kendall", "mmrv"}, see `rank_figures`, and {"episodes", "horizon",
    "policies"}; the returns are means over `episodes` episodes, of each the first `horizon` steps,
    and agents have the steps of their training and the hash of their file beside them.
    {"omitted": reason} for a game that is not in the table of worlds. `real_options` are the real
    game's, as ("levels=test",): CoinRun without options plays its training levels. `dreamed` are
    the dream's settings, as {"bundle": FOLDER} and those of `sampling_settings`.
    """
    if name not in WORLDS:
        return {"omitted": f"no policies are listed for the world {name!r}"}
    names = ranked_policies(name, agents)
    actions = game_actions(env_id(name, "real"))
    returns: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    made: dict[str, dict[str, Any]] = {}
    for policy_name in progress(names, desc="ranking"):
        for kind in KINDS:
            if policy_name.endswith(POLICY_FILE):
                policy, made[policy_name] = _agent(policy_name)
            else:
                policy = make_policy(policy_name, actions, world=name)
            own = dreamed if kind == "dream" else NOTHING
            settings = env_settings(name, kind, options=real_options, dreamed=own)
            played = play_policy(policy, env_id(name, kind), episodes, seed, horizon, **settings)
            returns[kind].append(played.returns)
    rows = [
        {
            "policy": policy,
            **{kind: float(returns[kind][number].mean()) for kind in KINDS},
            **made.get(policy, {}),
        }
        for number, policy in enumerate(names)
    ]
    figures = rank_figures(returns["real"], returns["dream"], np.random.default_rng(seed))
    return {**figures, "episodes": episodes, "horizon": horizon, "policies": rows}


def _agent(file: str) -> tuple[Any, dict[str, Any]]:
    """A trained agent, the steps of its training and the hash of its file."""
    from agents.ppo.train import load_policy  # scripted policies need no PPO

    policy = load_policy(file)
    sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return policy, {"trained_steps": policy.num_timesteps, "sha256": sha256}
