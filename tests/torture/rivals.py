"""Two processes that write one folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from tests.torture.kills import data_of
from tests.torture.runs import (
    COLLECT,
    PPO,
    TRAIN,
    Budget,
    Row,
    contents,
    ended,
    is_sentence,
    run,
    start,
    wait_for,
)


def campaign(budget: Budget) -> Iterator[Row]:
    refused = Row("the second of two on one folder is refused by a sentence that names the first")
    unharmed = Row("the first one ends as if it had been alone")
    taken = Row("the lock of a killed process is taken over")
    data = data_of(budget)
    writers = {
        "collect": (*COLLECT, "--resume"),
        "train": (*TRAIN, f"data={data}"),
        "ppo": PPO,
    }
    for number in budget.share(1.0):
        for name, words in writers.items():
            out = budget.folder / f"rivals-{name}-{number}"
            first = start(*words, f"--out={out}")
            wait_for(lambda out=out: (out / ".lock").exists())
            if number % 2:
                os.killpg(first.pid, signal.SIGKILL)
                first.communicate()
                code, text = run(*words, f"--out={out}")
                taken.note(code == 0, f"{name}: exit code {code}: {text}")
                continue
            code, text = run(*words, f"--out={out}")
            named = f"is being written by process {first.pid}" in text and is_sentence(text)
            # a fast first one has ended before the second begins to write
            refused.note((code == 1 and named) or first.poll() == 0, f"{name}: {code}: {text}")
            code, text = ended(first)
            same = name != "collect" or contents(out) == contents(data)
            unharmed.note(code == 0 and same, f"{name}: exit code {code}: {text}")
    yield refused
    yield unharmed
    yield taken
