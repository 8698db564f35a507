"""Does a dataset cover what an agent will try: every action, also in states of good play, keys that
do the same, and keys that are held?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import Dataset
from collectors.policies.equivalent_keys import equivalent_keys_of

UNDIRECTED = ("random", "sticky")  # policies that get nowhere; all others are good play
LOOKED_AT = 1000  # steps of a shard whose frames are read for keys that do the same
THIRDS = ("low", "middle", "high")
LONG = (4, 16)  # steps; how much of a recording is of keys that are held at least so long


def coverage(dataset: Dataset) -> dict[str, Any]:
    """What is pressed in a dataset with at least one episode, in shares of its steps.

    `actions` and `good play`: by action (of an action in parts: by part and choice), in all steps
    and in those of policies that are not undirected; `equivalent keys`: see `_equivalent`; `held
    keys`: the mean and the longest time that an action is kept, in steps, and the shares of steps
    in which it is kept for 4 and for 16 steps or more.
    """
    space = dataset.actions
    names = _labels(space, dataset.spec["action_names"])
    every, good = np.zeros((2, len(names)), np.int64)
    lengths: list[np.ndarray] = []
    for policy, actions in _episodes(dataset):
        counts = np.bincount(_labelled(space, actions).reshape(-1), minlength=len(names))
        every += counts
        good += 0 if policy.startswith(UNDIRECTED) else counts
        lengths.append(held_lengths(actions))
    return {
        "actions": _shares(names, every),
        "good play": _shares(names, good) if good.any() else {},
        "equivalent keys": _equivalent(dataset),
        "held keys": _durations(np.concatenate(lengths)),
    }


def held_lengths(actions: np.ndarray) -> np.ndarray:
    """(T,) or (T, P) actions of one episode -> (N,) int64: for how many steps each was kept, in
    turn.
    """
    rows = actions.reshape(len(actions), -1)
    changes = np.flatnonzero(np.diff(rows, axis=0).any(1)) + 1
    return np.diff(np.concatenate([[0], changes, [len(actions)]]))


def _episodes(dataset: Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """The policy and the actions (T, *row) of every episode."""
    for shard in dataset.shards:
        for number, (start, length) in enumerate(
            zip(shard.step_starts.tolist(), shard.lengths.tolist(), strict=True)
        ):
            row = dataset.episodes[shard.first_episode + number]
            yield row.policy, np.asarray(shard.actions[start : start + length])


def _labels(space: ActionSpace, names: Sequence[str]) -> list[str]:
    """What is counted: every choice of every part; of a Box the thirds of every part's range."""
    if space.is_box:
        return [f"{name} {third}" for name in names for third in THIRDS]
    return space.part_names(list(names))


def _labelled(space: ActionSpace, actions: np.ndarray) -> np.ndarray:
    """Actions (T, *row) of an episode -> (T, *row) int64, numbers of `_labels`."""
    encoded = space.encode(actions)
    if space.is_box:
        thirds = np.minimum((encoded + 1) * len(THIRDS) // 2, len(THIRDS) - 1).astype(np.int64)
        return thirds + len(THIRDS) * np.arange(space.parts)
    counts = np.array(space.counts)
    return encoded + (np.cumsum(counts) - counts).reshape(space.row)


def _shares(names: Sequence[str], counts: np.ndarray) -> dict[str, float]:
    return dict(zip(names, (counts / counts.sum()).tolist(), strict=True))


def _equivalent(dataset: Dataset) -> dict[str, float]:
    """`there`: the share of steps in which two keys do the same; `pressed`: in which such a key is
    pressed, other than the plainest. Of steps that are spread over the dataset; empty for a world
    that says nothing of its keys.
    """
    keys = equivalent_keys_of(dataset.spec["world"])
    if keys is None:
        return {}
    there, pressed = [], []
    for shard in dataset.shards:
        steps = np.unique(np.linspace(0, len(shard.actions) - 1, LOOKED_AT).astype(np.int64))
        episodes = np.searchsorted(shard.step_starts, steps, side="right") - 1
        effects = keys(np.asarray(shard.frames[steps + episodes]))
        plain, actions = np.arange(effects.shape[1]), np.asarray(shard.actions[steps])
        there.append((effects != plain).any(1))
        pressed.append(effects[np.arange(len(steps)), actions] != actions)
    return {
        "there": float(np.concatenate(there).mean()),
        "pressed": float(np.concatenate(pressed).mean()),
    }


def _durations(lengths: np.ndarray) -> dict[str, float]:
    long = {f"{least} or more": lengths[lengths >= least].sum() / lengths.sum() for least in LONG}
    found = {"mean": lengths.mean(), **long, "longest": lengths.max()}
    return {name: float(value) for name, value in found.items()}
