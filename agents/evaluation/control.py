"""What `neural-envs evaluate` says of control: the figures `control`, `decisions` and `ranking`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agents.envs import sampling_settings
from agents.evaluation.branches import BranchOptions
from agents.evaluation.decisions import decide
from agents.evaluation.ranking import rank_policies
from collectors.dataset.dataset import Dataset
from collectors.policies.equivalent_keys import equivalent_keys_of
from collectors.settings.parse import check_settings, setting
from collectors.worlds.table import WORLDS
from world_models.evaluation.control import Drawn, control_figures
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.evaluation.rollouts import device_of
from world_models.evaluation.test_split import SplitReader
from world_models.protocols import WorldModel

Figures = dict[str, Any]
LOOPS = 4  # over clips, real games, their dreams and policies: they move one bar


@dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """How much is done to see who controls a dream. Raises ValueError for a count of nothing."""

    control_clips: int = setting(256, "held-out clips dreamed with true and other actions", least=0)
    decision_states: int = setting(128, "real states to choose in; 0 leaves it out", least=0)
    ranking: bool = setting(True, "rank policies in the dream and in the real game")
    ranking_episodes: int = setting(16, "episodes of each policy that is ranked", least=2)
    ranking_steps: int = setting(
        300, "steps of each that count: Pong's good players seldom score in a hundred", least=1
    )

    def __post_init__(self):
        check_settings(self)


def held_out_options(world: str, given: Sequence[str]) -> tuple[str, ...]:
    """The real game's options: those given, else those of episodes that training never played."""
    if given or world not in WORLDS:
        return tuple(given)
    return tuple(f"{name}={value}" for name, value in WORLDS[world].held_out.items())


def measure_control(
    bundle: Path,
    model: WorldModel,
    dataset: Dataset,
    options: ControlOptions,
    evaluation: EvaluationOptions,
    real_options: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> Figures:
    """{"control", "decisions", "ranking", "policy_ranking"}; {"omitted": why} for what was not
    asked for, and where the real game cannot be played.

    `policy_ranking` is the figure of older files: Spearman's correlation without interval.
    """
    world, seed = model.spec.world, evaluation.seed
    real_options = held_out_options(world, real_options)
    sampling = model.resolve_options(evaluation.sampling)
    figures: Figures = {
        "control": {"omitted": "no clips were asked for (control_clips=0)"},
        "decisions": {"omitted": "no decisions were asked for (decision_states=0)"},
        "ranking": {"omitted": "no policy ranking was asked for"},
    }
    if options.control_clips:
        drawn = Drawn(model, sampling, np.random.default_rng(seed + 3))
        training = SplitReader(dataset, model.context_length, "train")
        held_out = SplitReader(dataset, model.context_length)
        figures["control"] = control_figures(
            drawn, training, held_out, options.control_clips, equivalent_keys_of(world),
            evaluation.probe_transitions,
        )  # fmt: skip
    if options.decision_states:
        branches = BranchOptions(states=options.decision_states)
        figures["decisions"] = _played(
            lambda: decide(model, branches, real_options, seed, sampling)
        )
    if options.ranking:
        size = (options.ranking_episodes, options.ranking_steps)
        drawn = sampling_settings(str(device_of(model)), evaluation.sampling)
        dreamed = {"bundle": str(bundle), **drawn}
        figures["ranking"] = _played(
            lambda: rank_policies(world, dreamed, *size, seed, real_options, agents)
        )
    return figures | {"policy_ranking": plain_ranking(figures["ranking"])}


def _played(measure: Callable[[], Figures]) -> Figures:
    """What `measure` returns; {"omitted": why} where a real game is not installed."""
    try:
        return measure()
    except gymnasium.error.DependencyNotInstalled as error:
        return {"omitted": str(error)}


def plain_ranking(ranking: Figures) -> Figures:
    """A ranking with Spearman's correlation alone, and without its interval."""
    if "omitted" in ranking:
        return ranking
    kept = {key: ranking[key] for key in ("episodes", "horizon", "policies")}
    return {"spearman": ranking["spearman"]["value"], **kept}
