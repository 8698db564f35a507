"""A figure as it is shown: number, interval, samples and where it comes from.

Files of figures are nested dictionaries. A figure is a number, its interval and its count stand
beside it, or it is a dictionary {"value", "interval", "samples"} of its own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from agents.results.intervals import Interval, auroc_interval, f1_interval
from world_models.evaluation.estimates import share_interval

VALUES = ("value", "mean", "ratio", "all")
INTERVALS = ("interval", "ci", "ratio_interval", "ratio_ci")
COUNTS = ("samples", "support", "runs", "episodes", "games", "count", "frames", "clips", "starts")
COUNTED = {  # figures whose count stands beside them under names of its own
    "one_food_after_eating": ("samples_eating", "eaten"),  # teacher-forced, in closed loops
    "transition_exact_rate_random_actions": ("samples_random_actions",),
    "food_uniformity_p": ("samples_food",),
    "bounce_accuracy": ("samples_bounces",),
    "shift_error": ("samples_shift",),
    "dream": ("samples_dream",),
}
SHARES = (  # figures that are a share of their samples
    "transition_exact_rate",
    "transition_exact_rate_random_actions",
    "one_food_after_eating",
    "one_head_one_food",
    "legal_frames",
    "ball_and_paddles",
    "bounce_accuracy",
    "exact_frame_rate",
    "hit_rate",
    "counts",
    "ends_by_the_rules",
    "dream",  # of action_sensitivity
)
# shares of samples that are met or not, whose interval is in the file
MET_OR_NOT = ("ends_by_the_rules", "hit_rate", "regret", "same_frame", "same_outcome")

BESIDE = {  # what a figure is read against, where its file has it, as a reader knows it
    "dreamed": "dream",
    "real": "game",
    "copy_start": "start frames",
    "copy_first_frame": "first frame kept, PSNR",
    "true_actions": "true actions",
    "copied": "frame kept",
    "by_chance": "by chance",
    "reconstruction": "reconstructions",
}


class Figure(NamedTuple):
    """A number of a file; None where the file has no interval or no count."""

    value: float
    interval: Interval | None
    samples: int | None
    pair: tuple[float, float] | None = None  # what a ratio is of: dream and game
    beside: Mapping[str, float] = {}  # what it is read against


def find_figure(figures: Mapping, path: str) -> Figure | None:
    """The figure at a dotted path, None where there is no number."""
    above = _above(figures, path.split("."))
    if above is None:
        return None
    found, leaf = above[-1], path.rpartition(".")[2]
    beside = above[-2] if len(above) > 1 else {}
    if isinstance(found, Mapping):
        value = next((v for key in VALUES if (v := as_number(found.get(key))) is not None), None)
        interval, samples = _interval(found, ""), _samples([*above, {}], "")
    else:
        interval = _interval(beside, leaf) or _by_depth(above, path)
        value, samples = as_number(found), _samples(above, leaf)
    if value is None:
        return None
    if samples and _is_of_all(path, value, interval):
        interval = share_interval(value, samples)
    interval = interval or _computed(beside, leaf, value, samples)
    read = {**_beside(found), **_beside_by_name(beside, leaf)}
    return Figure(value, interval, samples, _pair(found), read)


def find_value(figures: Mapping, path: str) -> Any:
    """Whatever stands at a dotted path, None where nothing does."""
    above = _above(figures, path.split("."))
    return above[-1] if above else None


def as_number(value: Any) -> float | None:
    """The value as float, None where it is no number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _pair(found: Any) -> tuple[float, float] | None:
    """Dream and game where the figure holds both."""
    if not isinstance(found, Mapping):
        return None
    dream, real = (find_figure(found, name) for name in ("dream", "real"))
    return (dream.value, real.value) if dream and real else None


def _beside(found: Any) -> dict[str, float]:
    """What the file says of the same figure elsewhere, where it is no ratio of two games."""
    if not isinstance(found, Mapping) or "dream" in found:
        return {}
    read = {name: find_figure(found, key) for key, name in BESIDE.items() if key in found}
    return {name: figure.value for name, figure in read.items() if figure}


def _beside_by_name(above: Any, leaf: str) -> dict[str, float]:
    """What stands beside a figure under its own name and more, as regret_by_chance."""
    names = {key: f"{leaf}_{key}" for key in BESIDE} if isinstance(above, Mapping) else {}
    return {
        BESIDE[key]: value
        for key, name in names.items()
        if (value := as_number(above.get(name))) is not None
    }


def _above(figures: Any, keys: list[str]) -> list | None:
    """What is met on the way to a figure, the figure last."""
    met = [figures]
    while keys:
        here = met[-1]
        if isinstance(here, list):  # by number, -1 for the last
            here = {str(at - len(here)): one for at, one in enumerate(here)}
        if not isinstance(here, Mapping):
            return None
        # a key may hold dots itself, as the reward "-0.01"
        whole = next((n for n in range(len(keys), 0, -1) if ".".join(keys[:n]) in here), 0)
        if not whole:
            return None
        met.append(here[".".join(keys[:whole])])
        keys = keys[whole:]
    return met


def _interval(beside: Mapping, leaf: str) -> Interval | None:
    names = [f"{leaf}_{word}" for word in INTERVALS] if leaf else list(INTERVALS)
    names += [leaf.replace("_mean", "_ci")] if leaf.endswith("_mean") else []
    for name in names:
        bounds = beside.get(name) if isinstance(beside, Mapping) else None
        if isinstance(bounds, list | tuple) and len(bounds) == 2:
            low, high = map(as_number, bounds)
            if low is not None and high is not None:
                return low, high
    return None


def _by_depth(above: list, path: str) -> Interval | None:
    """Of psnr.32, beside it psnr_ci.32."""
    *_, parent, leaf = ["", *path.split(".")]
    bounds = above[-3].get(f"{parent}_ci") if len(above) > 2 else None
    return _interval({"ci": bounds.get(leaf)}, "") if isinstance(bounds, Mapping) else None


def _is_of_all(path: str, value: float, interval: Interval | None) -> bool:
    """Whether all samples of a share agreed, which the bootstrap of older files took for sure."""
    sure = value in (0.0, 1.0) and interval == (value, value)
    return sure and not set(MET_OR_NOT).isdisjoint(path.split("."))


def _samples(above: list, leaf: str) -> int | None:
    """The nearest count: beside the figure, or by depth (samples.32), or above it."""
    # an F1 counts the times that its class occurred
    own = ("support",) if leaf == "f1" else COUNTED.get(leaf, ())
    names = [*own, f"samples_{leaf}", f"{leaf}_samples"]
    for here in reversed(above[:-1]):
        if not isinstance(here, Mapping):
            continue
        for name in (*names, *COUNTS):
            count = here.get(name)
            count = count.get(leaf) if isinstance(count, Mapping) else count
            if isinstance(count, int) and not isinstance(count, bool) and count:
                return count  # 0 runs: random play has none, and is counted by its games
    return None


def _computed(beside: Mapping, leaf: str, value: float, samples: int | None) -> Interval | None:
    """The interval where it follows from counts in the file."""
    if not samples or not 0 <= value <= 1:
        return None
    if leaf in SHARES:
        return share_interval(value, samples)
    if leaf == "f1" and beside.get("support"):
        hits = (as_number(beside.get("recall")) or 0) * beside["support"]
        claimed = hits / (as_number(beside.get("precision")) or 1)
        return f1_interval(value, round(beside["support"] + claimed - hits))
    wrong = beside.get("wrong") if leaf == "auroc" else None
    if wrong and wrong < samples:
        return auroc_interval(value, wrong, samples - wrong)
    return None


def number_text(value: float) -> str:
    """A figure as a person reads it: near 1 the last digits are the ones that matter."""
    if 0.99 < abs(value) < 1:
        return f"{value:.4f}" if abs(value) < 0.9995 else f"{value:.5f}"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return (
        f"{value:.3f}"
        if abs(value) < 10
        else f"{value:.1f}"
        if abs(value) < 1000
        else f"{value:.0f}"
    )


def count_text(samples: int) -> str:
    """A count with a thin gap between its thousands."""
    return f"{samples:,}".replace(",", " ")
