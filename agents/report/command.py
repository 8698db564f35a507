"""The verb `report`: gathers what is known of a bundle, dreams what is not, and writes the page."""

import time
from pathlib import Path

from agents.report import from_bundle as dreamed
from agents.report.findings import Findings, ReportConfig
from agents.report.from_dataset import Measured, Size, measure
from agents.report.page import html
from agents.report.sources import find_sources, write_sources
from agents.results.strips import DEPTHS, depth_strip
from collectors.dataset.dataset import Dataset, dataset_name
from collectors.files import check_free, write_atomically
from collectors.media import write_strip
from collectors.settings.run_command import command
from neural_envs import bundles
from world_models.bundles.bundle import Bundle
from world_models.evaluation.worlds.table import policies_of

LANES = 4  # dreams of which the longest is shown by depth


def run(config: ReportConfig) -> str:
    """Write the page; return where it is."""
    bundles.resolve_bundle(config.bundle)
    folder = Path(config.out or f"report/{bundles.label_of(config.bundle)}")
    check_free(folder / "index.html", config.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    findings = gather(config)
    page = write(folder, findings)
    return f"written: {page} ({page.stat().st_size / 1e6:.2f} MB, {findings.seconds:.0f} s)"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(ReportConfig, run, argv, "neural-envs report", ("bundle",))


def gather(config: ReportConfig) -> Findings:
    """What is known and what is dreamed.

    Raises ValueError for a bundle, dataset or file of figures that is none.
    """
    started = time.monotonic()
    bundle = bundles.load(config.bundle)
    sources = find_sources(config, bundle)
    measured, unmeasured = _measured(config, bundle)
    policy = config.policy or policies_of(bundle.model.spec.world)[-1]
    run = Path(config.run) if config.run else _run_of(bundle.path)
    if config.run and not (Path(config.run) / "metrics.csv").is_file():
        raise ValueError(f"{config.run} is not a run directory: it has no metrics.csv")
    depths = tuple(depth for depth in DEPTHS if depth < config.depth) + (config.depth,)
    return Findings(
        config,
        bundle,
        sources,
        measured,
        unmeasured,
        depth_strip(config.bundle, depths, LANES, config.seed) if config.depth else None,
        policy,
        dreamed.play(bundle, policy, config.steps, config.seed),
        dreamed.action_grid(bundle, config.actions_steps, config.seed),
        run,
        time.monotonic() - started,
    )


def _measured(config: ReportConfig, bundle: Bundle) -> tuple[Measured | None, str]:
    """What is dreamed on the recording, or why nothing is.

    Raises ValueError where `data` is no dataset or one of another game.
    """
    world = bundle.model.spec.world
    data = config.data or f"data/{dataset_name(world)}"
    if not (config.data or (Path(data) / "manifest.json").is_file()):
        return None, "There is no recording here to dream beside."
    dataset = Dataset(data)
    if not any(dataset.episodes[episode].length for episode in dataset.split()["test"]):
        return None, f"The recording {data} is too small: no episode of it is held out."
    size = Size(config.transitions, config.rollouts, config.horizon, config.clips)
    return measure(bundle, dataset, size, config.seed), ""


def _run_of(path: Path) -> Path | None:
    """The run directory that a bundle lies in."""
    return path.parent if (path.parent / "metrics.csv").is_file() else None


def write(folder: Path, findings: Findings) -> Path:
    """Write the page and its images; returns the page's path."""
    grid = findings.grid
    rows = [
        [frames[step] for step in range(0, len(grid.frames), 2)]
        for frames in grid.frames.swapaxes(0, 1)
    ]
    write_strip(folder / "actions.png", rows, 1, labels=list(grid.names))
    shown = findings.play.frames[:: max(1, len(findings.play.frames) // 12)]
    write_strip(folder / "dream.png", [list(shown[:12])], 2)
    write_sources(folder / "figures.json", findings.sources, findings.bundle)
    return write_atomically(folder / "index.html", html(findings, folder))
