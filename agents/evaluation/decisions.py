"""The `decisions` of a dream: real games are branched, and the dream chooses a branch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.envs import env_id, env_settings
from agents.evaluation.branches import BranchOptions, find_choices
from agents.ppo.player import AgentPolicy
from collectors.policies.policies import make_policy
from collectors.worlds.table import WORLDS
from world_models.evaluation.decisions import decision_figures, dreamed_returns
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions, WorldModel

SEQUENCES = 5  # from one state


def decide(
    model: WorldModel,
    branches: BranchOptions,
    real_options: Sequence[str] = (),
    seed: int = 0,
    options: SamplingOptions = DEFAULT_OPTIONS,
) -> dict[str, Any]:
    """The figures of `decision_figures`, and how they were found.

    `real_options` are the real game's, as ("levels=test",). {"omitted": why} for a game that is not
    in the table of worlds, and where nothing was to be chosen.
    """
    spec = model.spec
    if spec.world not in WORLDS:
        return {"omitted": f"no players are listed for the world {spec.world!r}"}
    names = players_of(WORLDS[spec.world].ranking)
    actions = len(spec.action_names)
    players = [make_policy(name, actions, spec.world, AgentPolicy) for name in names]
    game = env_id(spec.world, "real")
    settings = env_settings(spec.world, "real", None, real_options)
    choices, tried = find_choices(game, settings, players, model.context_length, branches, seed)
    if not len(choices.lengths):
        return {"omitted": f"in none of {tried} states did the players' returns differ"}
    dreamed = dreamed_returns(model, choices, options)
    figures = decision_figures(choices.returns, dreamed, np.random.default_rng(seed))
    return {
        **figures,
        "players": names,
        "steps": [branches.shortest, branches.longest],
        "states_tried": tried,
    }


def players_of(ranking: tuple[str, ...]) -> list[str]:
    """`SEQUENCES` of the policies that a world ranks, spread evenly from the first, random, to the
    last, the best; all where there are fewer.
    """
    picks = np.linspace(0, len(ranking) - 1, min(SEQUENCES, len(ranking))).round().astype(int)
    return [ranking[pick] for pick in picks]
