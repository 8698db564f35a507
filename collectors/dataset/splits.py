"""Which part of a split an episode belongs to: training, validation or test."""

from __future__ import annotations

import hashlib

PARTS = ("train", "validation", "test")


def split_part(key: str, validation: float = 0.1, test: float = 0.1) -> str:
    """The part of an episode with this key, by its hash: more data moves no episode. A key that
    begins with a part's name and a colon belongs to that part.
    """
    forced, colon, _ = key.partition(":")
    if colon and forced in PARTS:
        return forced
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if place < validation:
        return "validation"
    return "test" if place < validation + test else "train"


def split_keys(count: int) -> list[str]:
    """Keys for episodes with the seeds 0, 1, ...: none where the seeds give every part of the split
    some, else such that, of three or more, one is for validation and one for test.
    """
    keys = [""] * count
    if count >= 3 and len({split_part(str(seed)) for seed in range(count)}) < len(PARTS):
        keys = [f"train:{seed}" for seed in range(count)]
        keys[-2:] = [f"validation:{count - 2}", f"test:{count - 1}"]
    return keys
