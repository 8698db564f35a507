"""What a backend gains: the same dream by eager torch and by the backend, timed in turn."""

import statistics
from collections.abc import Mapping

from agents.benchmarks.peaks import BFLOAT16, FLOAT32
from agents.benchmarks.timing import Advance, dream
from collectors.progress import progress
from neural_envs.backends.backends import checked_backend
from neural_envs.backends.errors import BackendError, ExportError


def backend_subjects(
    names: list[str], backends: tuple[str, ...], lanes: tuple[int, ...]
) -> dict[tuple, Advance]:
    """("backend", bundle, backend, lanes) -> steps of such a dream, eager first; maybe empty.

    What a backend does not run, or refuses, is left out, and a line says so. Raises BackendError
    for an unknown backend.
    """
    subjects: dict[tuple, Advance] = {}
    combinations = [
        (n, name, b) for name in names for n in lanes for b in map(checked_backend, backends)
    ]
    for n, name, backend in progress(combinations, desc="opening backends"):
        try:
            advance = dream(name, n, None, backend)
        except (BackendError, ExportError) as error:
            print(f"{name} is not timed at {n} lanes: {error}")
            continue
        if backend not in ("auto", advance.backend):
            continue  # it was refused with a warning
        subjects[("backend", name, backend, n)] = advance
        if ("backend", name, "eager", n) not in subjects:
            subjects[("backend", name, "eager", n)] = dream(name, n, None)
    return subjects


def backend_report(
    rates: dict[tuple, list[float]], work: Mapping[str, int], peaks: Mapping[str, float]
) -> dict:
    """{bundle: {backend: {lanes: {frames_per_second, ratio_to_eager, share_of_peak}}}}, medians
    over rounds; the share of what the fastest convolution does, in bfloat16 for a backend that
    computes so, and none for `auto`, which may. `work`: multiply-adds of a frame by bundle.
    `peaks`: of a second by dtype.
    """
    report: dict = {}
    for (_, name, backend, lanes), values in rates.items():
        eager = rates["backend", name, "eager", lanes]
        ratio = statistics.median(own / theirs for own, theirs in zip(values, eager, strict=True))
        rate, dtype = statistics.median(values), BFLOAT16 if backend.endswith("bf16") else FLOAT32
        row = {"frames_per_second": rate, "ratio_to_eager": ratio}
        if dtype in peaks and backend != "auto":
            row["share_of_peak"] = rate * work[name] / peaks[dtype]
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
