"""Full and read-only disks: a sentence, no partial file, and what was there before is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.torture.kills import data_of
from tests.torture.runs import (
    COLLECT,
    PPO,
    TRAIN,
    Budget,
    Row,
    contents,
    is_sentence,
    partial_files,
    remount,
    run,
    small_disk,
)

SIZES = {"collect": 3_000, "train": 400, "ppo": 700}  # kB that hold a part of the result
MORE = "size=256m"


def campaign(budget: Budget) -> Iterator[Row]:
    with small_disk(budget.folder / "probe", "1m") as mounted:
        pass
    if not mounted:
        yield Row("full and read-only disks: not tried, no disk can be mounted here")
        return
    yield from full_disks(budget)
    yield from read_only_disks(budget)


def writers(data: Path) -> dict[str, tuple[str, ...]]:
    return {
        "collect": (*COLLECT, "--workers=1", "--resume"),
        "train": (*TRAIN, f"data={data}"),
        "ppo": PPO,
    }


def full_disks(budget: Budget) -> Iterator[Row]:
    sentences = Row("a full disk is a sentence, exit code 1, and leaves no partial file")
    goes_on = Row("with room again, the same command ends as if nothing had been")
    data = data_of(budget)
    for number in budget.share(0.5):
        for name, words in writers(data).items():
            folder = budget.folder / f"full-{name}-{number}"
            size = int(SIZES[name] * budget.random.uniform(0.3, 1.2))
            with small_disk(folder, f"{size}k"):
                out = folder / "out"
                code, text = run(*words, f"--out={out}")
                if code == 0:
                    continue  # it had room enough
                right = code == 1 and is_sentence(text) and not partial_files(folder)
                sentences.note(right, f"{name} on {size} kB: exit code {code}: {text}")
                remount(folder, MORE)
                code, text = run(*words, f"--out={out}")
                same = name != "collect" or contents(out) == contents(data)
                goes_on.note(code == 0 and same, f"{name}: exit code {code}: {text}")
    yield sentences
    yield goes_on


def read_only_disks(budget: Budget) -> Iterator[Row]:
    sentences = Row("a read-only disk is a sentence and exit code 1, of every command that writes")
    data = data_of(budget)
    commands = writers(data) | {
        "stats": ("stats", str(data)),
        "video": ("video", "snake", "--steps=8"),
        "evaluate": ("evaluate", "snake", f"--data={data}"),
        "transfer": ("transfer", "snake", "--steps=64", "--episodes=2"),
        "dyna": ("dyna", "snake", "--rounds=1", "--frames=200"),
        "bench": ("bench",),
    }
    flags = {"stats": "--sheet={}/sheet.png", "video": "--out={}/film.mp4"}
    flags["bench"] = "--out={}/bench.json"
    for number in budget.share(0.5):
        for name, words in commands.items():
            folder = budget.folder / f"read-only-{name}-{number}"
            with small_disk(folder, "4m"):
                remount(folder, "ro")
                place = folder if name in flags else folder / "out"
                code, text = run(*words, flags.get(name, "--out={}").format(place))
                sentences.note(code == 1 and is_sentence(text), f"{name}: exit code {code}: {text}")
            shutil.rmtree(folder, ignore_errors=True)
    yield sentences
