"""`make results`: README's table and docs/results.md from the JSON files; --strips for the images.

A figure comes into them by its command: `neural-envs evaluate snake --out
agents/results/measured/snake`, `transfer` likewise, `bench --out
agents/results/measured/bench.json`; then `make results`.
"""

from dataclasses import dataclass

from agents.results.pages import ROOT, write
from agents.results.strips import depth_strip, strip_path, write_depths
from collectors.settings.parse import setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS


@dataclass(frozen=True)
class ResultsConfig:
    """Write the tables of README.md and docs/results.md anew from the files of figures."""

    strips: tuple[str, ...] = setting((), "bundles whose strip by depth is drawn first; all: each")


def run(config: ResultsConfig) -> str:
    """Write what changed; returns its names."""
    names = tuple(WORLDS) if config.strips == ("all",) else config.strips
    drawn = []
    for name in names:
        path = ROOT / "docs" / strip_path(name)
        path.parent.mkdir(exist_ok=True)
        drawn.append(str(write_depths(path, depth_strip(name)).relative_to(ROOT)))
    changed = [*drawn, *write()]
    return f"written: {', '.join(changed)}" if changed else "the pages are in step with the files"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(ResultsConfig, run, argv, "python -m agents.results")


if __name__ == "__main__":
    raise SystemExit(main())
