"""What the stages of a loop leave in its record, checked as it is read."""

from collections.abc import Callable

from agents.evaluation.play import Episodes


def check_played(*names: str) -> Callable[[dict], None]:
    """A check of a stage's record: these are episodes."""

    def check(found: dict) -> None:
        for name in names:
            Episodes.check_dict(found[name])

    return check


def check_counts(*names: str) -> Callable[[dict], None]:
    """A check of a stage's record: these are whole numbers."""

    def check(found: dict) -> None:
        if not all(type(found[name]) is int for name in names):
            raise TypeError(f"{', '.join(names)} are whole numbers")

    return check


CHECKS: dict[str, Callable[[dict], None]] = {
    "collect": check_counts("frames", "episodes"),
    "train": check_counts("updates"),
    "learn": check_counts("steps"),
    "refer": check_played("played"),
    "measure": check_played("real", "dream"),
}
