"""What a backend gains: the same dream by eager torch and by the backend, timed in turn."""

import statistics

from agents.benchmarks.timing import Advance, dream
from neural_envs.backends.backends import checked_backend
from neural_envs.backends.errors import BackendError


def backend_subjects(
    names: list[str], backends: tuple[str, ...], lanes: tuple[int, ...]
) -> dict[tuple, Advance]:
    """("backend", bundle, backend, lanes) -> steps of such a dream, eager first; maybe empty.

    A bundle that a backend does not run is left out, and a line says so. Raises BackendError for an
    unknown backend, and ExportError naming the extra where a package is missing.
    """
    subjects: dict[tuple, Advance] = {}
    for backend in map(checked_backend, backends):
        for name in names:
            try:
                found = {
                    ("backend", name, backend, n): dream(name, n, None, backend) for n in lanes
                }
            except BackendError as error:
                print(f"{name} is not timed: {error}")
                continue
            subjects |= {("backend", name, "eager", n): dream(name, n, None) for n in lanes} | found
    return subjects


def backend_report(rates: dict[tuple, list[float]]) -> dict:
    """{bundle: {backend: {lanes: {frames_per_second, ratio_to_eager}}}}, medians over rounds."""
    report: dict = {}
    for (_, name, backend, lanes), values in rates.items():
        eager = rates["backend", name, "eager", lanes]
        ratio = statistics.median(own / theirs for own, theirs in zip(values, eager, strict=True))
        row = {"frames_per_second": statistics.median(values), "ratio_to_eager": ratio}
        report.setdefault(name, {}).setdefault(backend, {})[lanes] = row
    return report


def backend_lines(report: dict) -> list[str]:
    """The report for a terminal; eager, whose ratio is 1, is left out."""
    return [
        f"{name:12s} {lanes:4d} lanes {backend:8s} {row['frames_per_second']:10.1f} frames/s, "
        f"{row['ratio_to_eager']:.2f}x eager"
        for name, backends in report.items()
        for backend, by_lanes in backends.items()
        for lanes, row in by_lanes.items()
        if backend != "eager"
    ]
