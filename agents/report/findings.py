"""The settings of a report, and everything that its page shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agents.report.from_bundle import Play
from agents.report.from_dataset import Measured
from collectors.settings.parse import check_settings, setting
from neural_envs.branching import Branches
from world_models.bundles.bundle import Bundle


@dataclass(frozen=True)
class ReportConfig:
    """Write one self-contained HTML page about a bundle, and its images. A bundle alone is
    enough; what a dataset and an evaluation add is shown where they are there."""

    bundle: str = setting(help="released name, directory or Hub repository of the bundle")
    evaluation: str = setting(
        "", "directory that evaluate wrote; none: evaluation, if it is of this bundle"
    )
    data: str = setting("", "dataset whose test split is dreamed; none: data/WORLD, if it is there")
    run: str = setting("", "run directory with metrics.csv; none: the one that the bundle lies in")
    out: str = setting("report", "directory for index.html and the images")
    transitions: int = setting(
        1_200, "transitions of the test split that are dreamed, with data", least=1
    )
    rollouts: int = setting(24, "rollouts, with data", least=1)
    horizon: int = setting(48, "steps of a rollout", least=1)
    clips: int = setting(3, "rollouts that are shown", least=1)
    steps: int = setting(48, "steps of the dream that is played, at most", least=1)
    actions_steps: int = setting(16, "steps that each action is held for", least=1)
    seed: int = setting(0, "seed of every choice made here")

    def __post_init__(self) -> None:
        check_settings(self)


class Findings(NamedTuple):
    """Everything that the page shows.

    `figures` are those of evaluation.json, {} where there is none.
    """

    config: ReportConfig
    bundle: Bundle
    figures: dict
    evaluation: str  # the file of the figures
    measured: Measured | None
    policy: str
    play: Play
    grid: Branches
    run: Path | None
    seconds: float
