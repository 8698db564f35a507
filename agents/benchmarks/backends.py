"""What a backend gains: the same dream by eager torch and by the backend, timed in turn."""

import statistics
from collections.abc import Iterator, Mapping

import torch

from agents.benchmarks.peaks import peak_for
from agents.benchmarks.timing import Dream, dream
from collectors.progress import progress
from neural_envs.backends.backends import checked_backend
from neural_envs.backends.errors import BackendError, ExportError

OF_A_CARD = ("cuda-graph",)
OF_A_PROCESSOR = ("onnx", "openvino", "openvino-bf16")


def backend_subjects(
    names: list[str], backends: tuple[str, ...], lanes: tuple[int, ...], device: str = "cpu"
) -> dict[tuple, Dream]:
    """("backend", bundle, backend, lanes) -> steps of such a dream, eager first; maybe empty.
    Those that are for another device are not tried.

    What a backend does not run, or refuses, is left out, and a line says so. Raises BackendError
    for an unknown backend.
    """
    subjects: dict[tuple, Dream] = {}
    foreign = OF_A_CARD if torch.device(device).type == "cpu" else OF_A_PROCESSOR
    fitting = [one for one in map(checked_backend, backends) if one not in foreign]
    combinations = [(n, name, b) for name in names for n in lanes for b in fitting]
    for n, name, backend in progress(combinations, desc="opening backends"):
        try:
            advance = dream(name, n, None, backend, device)
        except (BackendError, ExportError) as error:
            print(f"{name} is not timed at {n} lanes: {error}")
            continue
        if backend not in ("auto", advance.backend):
            continue  # it was refused with a warning
        subjects[("backend", name, backend, n)] = advance
        if ("backend", name, "eager", n) not in subjects:
            subjects[("backend", name, "eager", n)] = dream(name, n, None, "eager", device)
    return subjects


def backend_report(
    rates: dict[tuple, list[float]],
    work: Mapping[str, int],
    peaks: Mapping[str, float],
    others: Mapping[int, list[float]] | None = None,
    runs: Mapping[tuple, str] | None = None,
) -> dict:
    """{bundle: {backend: {lanes: {frames_per_second, ratio_to_eager, ratio_to_diamond,
    share_of_peak, runs}}}}, medians over rounds. The ratio to the DIAMOND-sized model is there
    where that was timed with as many lanes, `others`: its rates by lanes. The share is of what the
    fastest convolution does, see `peak_for`. `runs`: what runs each dream, shown for `auto` alone.
    `work`: multiply-adds of a frame by bundle. `peaks`: of a second by dtype.
    """
    report: dict = {}
    for (_, name, backend, lanes), values in rates.items():
        eager = rates["backend", name, "eager", lanes]
        rate, peak = statistics.median(values), peak_for(backend, peaks)
        row: dict = {"frames_per_second": rate, "ratio_to_eager": _ratio(values, eager)}
        if lanes in (others or {}):
            row["ratio_to_diamond"] = _ratio(values, (others or {})[lanes])
        if peak is not None:
            row["share_of_peak"] = rate * work[name] / peak
        if backend == "auto" and runs:
            row["runs"] = runs["backend", name, backend, lanes]
        report.setdefault(name, {}).setdefault(backend, {})[lanes] = row
    return report


def _ratio(own: list[float], others: list[float]) -> float:
    """The median over rounds."""
    return statistics.median(a / b for a, b in zip(own, others, strict=True))


def backend_lines(report: dict) -> list[str]:
    """The report for a terminal; eager, whose ratio is 1, is left out."""
    return [
        f"{name:12s} {lanes:4d} lanes {backend:13s} {row['frames_per_second']:10.1f} frames/s, "
        + ", ".join(_words(row))
        for name, backends in report.items()
        for backend, by_lanes in backends.items()
        for lanes, row in by_lanes.items()
        if backend != "eager"
    ]


def _words(row: Mapping) -> Iterator[str]:
    """What is known of a row beside its rate."""
    yield f"{row['ratio_to_eager']:.2f}x eager"
    if "ratio_to_diamond" in row:
        yield f"{row['ratio_to_diamond']:.3g}x DIAMOND-sized"
    if "share_of_peak" in row:
        yield f"{100 * row['share_of_peak']:.0f} % of the peak"
    if "runs" in row:
        yield f"run by {row['runs']}"
