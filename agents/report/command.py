"""The verb `report`: gathers what is known of a bundle, dreams what is not, and writes the page."""

import json
import sys
import time
from pathlib import Path

from agents.report import from_bundle as dreamed
from agents.report.findings import Findings, ReportConfig
from agents.report.from_dataset import Size, measure
from agents.report.page import html
from collectors.dataset.dataset import Dataset, dataset_name
from collectors.files import write_atomically
from collectors.media import write_strip
from collectors.settings.run_command import command
from neural_envs import bundles
from world_models.evaluation.worlds.table import policies_of


def run(config: ReportConfig) -> str:
    """Write the page; return where it is."""
    bundles.resolve_bundle(config.bundle)
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    findings = gather(config)
    page = write(folder, findings)
    return f"written: {page} ({page.stat().st_size / 1e6:.2f} MB, {findings.seconds:.0f} s)"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(ReportConfig, run, argv, "neural-envs report", ("bundle",))


def gather(config: ReportConfig) -> Findings:
    """What is known and what is dreamed.

    Raises ValueError for a bundle, dataset or evaluation that is none.
    """
    started = time.monotonic()
    bundle = bundles.load(config.bundle)
    world = bundle.model.spec.world
    figures, file = read_evaluation(config)
    data = config.data or f"data/{dataset_name(world)}"
    measured = None
    if config.data or (Path(data) / "manifest.json").is_file():
        size = Size(config.transitions, config.rollouts, config.horizon, config.clips)
        measured = measure(bundle, Dataset(data), size, config.seed)
    policy = policies_of(world)[-1]
    run = Path(config.run) if config.run else _run_of(bundle.path)
    if config.run and not (Path(config.run) / "metrics.csv").is_file():
        raise ValueError(f"{config.run} is not a run directory: it has no metrics.csv")
    return Findings(
        config,
        bundle,
        figures,
        file,
        measured,
        policy,
        dreamed.play(bundle, policy, config.steps, config.seed),
        dreamed.action_grid(bundle, config.actions_steps, config.seed),
        run,
        time.monotonic() - started,
    )


def read_evaluation(config: ReportConfig) -> tuple[dict, str]:
    """(the figures, their file), ({}, "") where there are none.

    One that was not asked for must be of this bundle.
    """
    file = Path(config.evaluation or "evaluation") / "evaluation.json"
    if not file.is_file():
        if config.evaluation:
            made = f"neural-envs evaluate {config.bundle} --out {config.evaluation}"
            raise ValueError(
                f"{config.evaluation} holds no evaluation.json; make one with `{made}`"
            )
        return {}, ""
    try:
        figures = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); evaluate the bundle again") from None
    if not isinstance(figures, dict) or "one_step" not in figures:
        raise ValueError(f"{file} is not what evaluate writes; evaluate the bundle again")
    if Path(str(figures.get("bundle"))).name != Path(config.bundle).name:
        if config.evaluation:
            print(
                f"neural-envs report: note: {file} is of the bundle {figures.get('bundle')}",
                file=sys.stderr,
            )
        else:
            return {}, ""
    return figures, str(file)


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
    return write_atomically(folder / "index.html", html(findings, folder))
