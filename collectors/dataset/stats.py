"""`neural-envs stats data/WORLD`: what is in a dataset, as a table and a contact sheet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collectors.dataset.coverage import coverage
from collectors.dataset.dataset import Dataset, recorded_dataset
from collectors.media import enlarge, tile, to_rgb, write_png
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command

SHEET_COLOR = 90  # gray between the frames


@dataclass(frozen=True)
class StatsSettings:
    """Prints a dataset's counts and writes a contact sheet."""

    data: str = setting(help="the dataset's directory")
    sheet: str = setting("", "PNG to write; contact_sheet.png in the dataset if empty")
    episodes: int = setting(12, "rows of the sheet: episodes, spread over the dataset", least=1)
    columns: int = setting(8, "columns of the sheet: frames, spread over the episode", least=1)
    verify: bool = setting(False, "check every file's sha256 too")

    def __post_init__(self):
        check_settings(self)


def statistics(dataset: Dataset) -> dict:
    """Counts of a dataset: all of `episodes`, `steps`, `length` and `return` (mean, median,
    maximum), `actions` and `rewards` (share of steps), `terminated` and `truncated` (share of
    episodes), `policies` (a row each), and those of `coverage`."""
    rows = dataset.episodes
    lengths, returns = (
        np.array([getattr(row, name) for row in rows], float) for name in ("length", "return_")
    )
    values, counts = np.unique(
        np.concatenate([shard.rewards for shard in dataset.shards]), return_counts=True
    )
    policies = {}
    for name in sorted({row.policy for row in rows}):
        own = np.array([row.policy == name for row in rows])
        share = lengths[own].sum() / lengths.sum()
        policies[name] = {
            "episodes": int(own.sum()),
            "share": share,
            **_means(lengths[own], returns[own]),
        }
    return {
        "episodes": len(rows),
        "steps": dataset.steps,
        "length": _summary(lengths),
        "return": _summary(returns),
        **coverage(dataset),
        "rewards": dict(zip(values.tolist(), (counts / dataset.steps).tolist(), strict=True)),
        "terminated": float(np.mean([row.terminated for row in rows])),
        "truncated": float(np.mean([row.truncated for row in rows])),
        "policies": policies,
    }


def contact_sheet(dataset: Dataset, episodes: int, columns: int) -> np.ndarray:
    """An image (H, W, 3) uint8: a row per episode, from its first frame to its last. Of stacked
    frames the newest."""
    images = []
    for index in np.linspace(
        0, len(dataset.episodes) - 1, min(episodes, len(dataset.episodes))
    ).astype(int):
        frames = dataset.episode(int(index)).frames
        images += [frames[place] for place in np.linspace(0, len(frames) - 1, columns).astype(int)]
    return enlarge(tile(to_rgb(np.stack(images)), columns, SHEET_COLOR, gap=2), 2)


def table(found: dict) -> str:
    """The statistics as text."""
    lines = [f"{found['steps']} steps in {found['episodes']} episodes", ""]
    for name in ("length", "return"):
        lines.append(
            f"{name:16}" + "   ".join(f"{key} {value:.1f}" for key, value in found[name].items())
        )
    for name in ("actions", "good play", "equivalent keys"):
        if found[name]:
            shares = (f"{key} {share:.3f}" for key, share in found[name].items())
            lines.append(f"{name:16}" + "   ".join(shares))
    durations = (f"{name} {value:.3g}" for name, value in found["held keys"].items())
    lines.append(f"{'held keys':16}" + "   ".join(durations))
    lines.append(
        f"{'rewards':16}"
        + "   ".join(f"{value:+g}: {share:.4f}" for value, share in found["rewards"].items())
    )
    lines.append(
        f"{'ends':16}terminated {found['terminated']:.3f}   truncated {found['truncated']:.3f}"
    )
    lines += ["", f"{'policy':16}{'episodes':>10}{'of steps':>10}{'length':>10}{'return':>10}"]
    for name, row in found["policies"].items():
        numbers = (
            f"{row['episodes']:10d}{row['share']:10.3f}{row['length']:10.1f}{row['return']:10.2f}"
        )
        lines.append(f"{name:16}{numbers}")
    return "\n".join(lines)


def _summary(values: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def _means(lengths: np.ndarray, returns: np.ndarray) -> dict[str, float]:
    return {"length": float(lengths.mean()), "return": float(returns.mean())}


def run(settings: StatsSettings) -> str:
    """Write the contact sheet; return the table. Raises DatasetError where there is no episode."""
    dataset = recorded_dataset(settings.data, verify=settings.verify)
    sheet = Path(settings.sheet or Path(settings.data) / "contact_sheet.png")
    write_png(sheet, contact_sheet(dataset, settings.episodes, settings.columns))
    return f"{table(statistics(dataset))}\n\ncontact sheet: {sheet}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(StatsSettings, run, argv, "neural-envs stats", ("data",))


if __name__ == "__main__":
    raise SystemExit(main())
