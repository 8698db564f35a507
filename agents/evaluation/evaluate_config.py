"""The settings of `neural-envs evaluate`, and what `--quick` makes of them."""

from dataclasses import dataclass, fields, replace
from typing import Any

from agents.evaluation.control import ControlOptions
from agents.evaluation.game import GameOptions
from collectors.policies.policies import POLICY_FILE
from collectors.settings.parse import check_settings, setting
from world_models.evaluation.evaluation import EvaluationOptions

FIRST_LOOK: dict[str, Any] = {
    "minutes": 1.0,
    "transitions": 500,
    "random_actions": 200,
    "rollouts": 16,
    "horizon": 32,
    "kid_frames": 0,
    "survival_steps": 50,
    "survival_lanes": 8,
    "trust_transitions": 300,
    "trust_contexts": 300,
    "trust_draws": 0,
    "probe_transitions": 500,
    "control_clips": 64,
    "decision_states": 16,
    "ranking": False,
    "game_lanes": 16,
    "game_steps": 100,
    "all_players": False,
    "min_trust": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluationOptions, GameOptions, ControlOptions):
    """Measure a bundle against the real game."""

    bundle: str = setting(help="released name or directory of the bundle")
    real: str = setting(
        "",
        "id of the real environment; none: that of the bundle's world, if it is known. Of another "
        "game, as ALE/Pong-v5, whole games are played only where it is named",
    )
    data: str = setting("", "dataset whose test split is held out from training; none: data/WORLD")
    out: str = setting(
        "", "directory for evaluation.json, plots and films; none: evaluation/BUNDLE"
    )
    overwrite: bool = setting(False, "replace the evaluation that the directory holds already")
    policies: tuple[str, ...] = setting(
        (), "a random and a good policy, none: the world's own; FILE.zip: an agent that is ranked"
    )
    device: str = setting("cpu", "torch device")
    minutes: float = setting(
        10.0, "all may take so long on this machine, else less of it is measured; 0: no limit",
        least=0,
    )  # fmt: skip
    quick: bool = setting(
        False, "a first look within a minute: few games and samples, no ranking; other counts than "
        "the usual ones stay as given",
    )  # fmt: skip
    update_card: bool = setting(
        False, "write the figures into the bundle's config.json and model card"
    )

    def __post_init__(self):
        check_settings(self)

    def first_look(self) -> "EvaluateConfig":
        """The same with the counts of a first look; those that were given otherwise stay."""
        usual = {field.name: field.default for field in fields(self)}
        left = {n: most for n, most in FIRST_LOOK.items() if getattr(self, n) == usual[n]}
        return replace(self, **left)

    @property
    def agents(self) -> list[str]:
        """The files of trained agents among the policies."""
        files = [name for name in self.policies if name.endswith(POLICY_FILE)]
        return [*files, self.policy] if self.policy else files
