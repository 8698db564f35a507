"""What `neural-envs bench` prints: the figures of bench.json as lines for a terminal."""

from __future__ import annotations

from agents.benchmarks.backends import backend_lines


def lines(figures: dict) -> list[str]:
    """The figures as lines for a terminal."""
    found = []
    for name, report in figures["bundles"].items():
        for lanes, row in report["frames_per_second"].items():
            for steps, value in row.items():
                found.append(f"{name:12s} {lanes:4d} lanes {steps} steps {value:10.1f} frames/s")
    for name, report in figures["references"].items():
        for lanes, value in report["frames_per_second"].items():
            found.append(f"{name:12s} {lanes:4d} lanes 3 steps {value:10.2f} frames/s")
    for other, rows in figures["ratios"].items():
        for name, by_lanes in rows.items():
            ratios = "; ".join(f"{_lanes(n)}: {_times(row)}" for n, row in by_lanes.items())
            found.append(f"{name}, speed over that of {other}: {ratios}")
    return found + backend_lines(figures["backends"]) + ppo_lines(figures["ppo"])


def ppo_lines(report: dict) -> list[str]:
    """The report for a terminal."""
    return [
        f"{name:12s} PPO of {row['steps']} steps: {row['dream_seconds']:.1f} s in the dream, "
        f"{row['real_seconds']:.1f} s in the real game, {row['ratio']:.2f}x"
        for name, row in report.items()
    ]


def _lanes(count: int) -> str:
    return "1 lane" if count == 1 else f"{count} lanes"


def _times(by_steps: dict) -> str:
    """How many times as fast, by denoising steps."""
    return ", ".join(
        f"{ratio:.3g}x with {steps} step{'s' * (steps > 1)}" for steps, ratio in by_steps.items()
    )
