"""The settings of a report, and everything that its page shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agents.report.from_bundle import Play
from agents.report.from_dataset import Measured
from agents.results.scorecard import CARD, Given
from agents.results.strips import Strip
from collectors.settings.parse import check_settings, setting
from neural_envs.branching import Branches
from world_models.bundles.bundle import Bundle


@dataclass(frozen=True)
class ReportConfig:
    """Write one self-contained HTML page about a bundle, and its images. A bundle alone is
    enough; what a dataset and an evaluation add is shown where they are there."""

    bundle: str = setting(help="released name, directory or Hub repository of the bundle")
    evaluation: str = setting(
        "", "directory that evaluate wrote; none: evaluation/BUNDLE, if it is there"
    )
    transfer: str = setting(
        "", "directory that transfer wrote; none: runs/transfer/WORLD, if it is of this bundle"
    )
    data: str = setting("", "dataset whose test split is dreamed; none: data/WORLD, if it is there")
    run: str = setting("", "run directory with metrics.csv; none: the one that the bundle lies in")
    out: str = setting("", "directory for index.html and the images; none: report/BUNDLE")
    overwrite: bool = setting(False, "replace the page that the directory holds already")
    policy: str = setting(
        "", "who plays the dream that is shown: none, the world's best; or policy.zip of ppo"
    )
    transitions: int = setting(
        1_200, "transitions of the test split that are dreamed, with data", least=1
    )
    rollouts: int = setting(24, "rollouts, with data", least=1)
    horizon: int = setting(48, "steps of a rollout", least=1)
    clips: int = setting(3, "rollouts that are shown", least=1)
    depth: int = setting(
        1_000, "steps of the longest dream in the strip by depth; 0 leaves it out", least=0
    )
    steps: int = setting(48, "steps of the dream that is played, at most", least=1)
    actions_steps: int = setting(16, "steps that each action is held for", least=1)
    seed: int = setting(0, "seed of every choice made here")

    def __post_init__(self) -> None:
        check_settings(self)


class Findings(NamedTuple):
    """Everything that the page shows.

    `sources` are files of figures, the nearest first: own ones, those of the release, the card.
    """

    config: ReportConfig
    bundle: Bundle
    sources: list[Given]
    measured: Measured | None
    unmeasured: str  # why nothing was dreamed on a recording, a sentence
    strip: Strip | None
    policy: str
    play: Play
    grid: Branches
    run: Path | None
    seconds: float

    @property
    def evaluation(self) -> Given:
        """The first evaluation among the sources; an empty one where there is none."""
        found = (one for one in self.sources if "one_step" in one.figures and one.name != CARD)
        return next(found, Given("", {}))
