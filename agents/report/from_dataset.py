"""What a dataset adds to a report: transitions and rollouts of its test split, dreamed again.

N transitions, R rollouts, H horizon, B bins. The runs are those of evaluation
(world_models.evaluation.rollouts), but fewer, and their frames are kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from collectors.media import to_rgb
from world_models.evaluation import figures as scorecard
from world_models.evaluation.action_classes import ActionClasses
from world_models.evaluation.evaluation import check_same_game
from world_models.evaluation.evaluator import Runs
from world_models.evaluation.rollouts import OneStep, Rollouts, one_step, rollouts
from world_models.evaluation.test_split import Place, SplitReader
from world_models.evaluation.worlds.table import make_evaluator

VISIBLE = 48  # gray levels of 255 from which a pixel visibly differs
DIVERGED = 0.003  # share of such pixels from which two frames count as different
BINS = 10


class Reliability(NamedTuple):
    """How often a claim of some confidence is true; (B,) each, without empty bins."""

    claimed: np.ndarray
    found: np.ndarray
    samples: np.ndarray


class Clip(NamedTuple):
    """A dream beside its recording under the same actions: T + 1 frames (H, W, 3), T numbers."""

    dream: np.ndarray
    real: np.ndarray
    different: np.ndarray  # share of visibly different pixels, (T + 1,)
    trust: np.ndarray
    reward: np.ndarray
    real_reward: np.ndarray
    # The first frame that is different, or the first step with another reward or termination.
    diverged: int | None
    why: str
    actions: list[str]


class Measured(NamedTuple):
    """Everything that was dreamed on the test split."""

    one_step: OneStep
    curves: dict  # as evaluation.json has them: dream and copy_last_frame -> psnr and ssim -> (H,)
    rollouts: Rollouts
    reward_confusion: np.ndarray  # (classes, classes) counts, real rows, dreamed columns
    termination_confusion: np.ndarray  # (2, 2)
    reliability: dict[str, Reliability]
    clips: list[Clip]
    episodes: int
    dataset: str


class Size(NamedTuple):
    """How much is dreamed."""

    transitions: int
    rollouts: int
    horizon: int
    clips: int


def measure(bundle, dataset: Dataset, size: Size, seed: int) -> Measured:
    """Dream transitions and rollouts of the test split.

    Raises ValueError where it is empty or of another game.
    """
    model = bundle.model
    check_same_game(model.spec, dataset)
    generator, test_split = np.random.default_rng(seed), SplitReader(dataset, model.context_length)
    evaluator = make_evaluator(model.spec)
    places = test_split.transitions(size.transitions, generator)
    one = one_step(model, test_split, places, evaluator.decode_batch)
    rare = one_step(
        model, test_split, _eventful(dataset, test_split, size.transitions // 4, generator)
    )
    opened = rollouts(
        model, test_split, test_split.starts(size.rollouts, size.horizon, generator), size.horizon
    )
    drawn = torch.from_numpy(model.spec.actions.draw_encoded(generator, (len(places[::4]),)))
    other = one_step(model, test_split, places[::4], evaluator.decode_batch, actions=drawn)
    real, dreamed, real_terminations, terminations = _outcomes((one, rare))
    values = np.array(model.spec.reward_values)
    classes = [np.abs(rewards[:, None] - values).argmin(1) for rewards in (real, dreamed)]
    return Measured(
        one,
        scorecard.rollout_figures(opened, size.horizon)["curves"],
        opened,
        _confusion(classes[0], classes[1], len(values)),
        _confusion(real_terminations, terminations, 2),
        _reliabilities(Runs(one, other, opened, {}), evaluator),
        _clips(opened, ActionClasses(model.spec), size.clips),
        len(test_split.episodes),
        dataset.fingerprint,
    )


def _eventful(
    dataset: Dataset, test_split: SplitReader, count: int, generator: np.random.Generator
) -> list[Place]:
    """At most `count` transitions with a termination or an unusual reward; else any."""
    found, rewards = [], np.concatenate([shard.rewards for shard in dataset.shards])
    values, counts = np.unique(rewards, return_counts=True)
    usual = values[counts.argmax()]
    for episode in generator.permutation(test_split.episodes):
        row = dataset.episode(int(episode))
        steps = np.flatnonzero((row.rewards != usual) | row.terminations)
        found += [Place(int(episode), int(step)) for step in steps]
        if len(found) >= count:
            break
    return sorted(found[:count]) or test_split.transitions(1, generator)


def _outcomes(runs: Sequence[OneStep]) -> tuple[np.ndarray, ...]:
    """Real and dreamed rewards, real and dreamed terminations of all runs, (N,) each."""
    names = ("real_reward", "reward", "real_termination", "termination")
    return tuple(np.concatenate([getattr(run, name).numpy() for run in runs]) for name in names)


def _confusion(real: np.ndarray, dreamed: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (real.astype(int), dreamed.astype(int)), 1)
    return counts


def _reliabilities(runs: Runs, evaluator) -> dict[str, Reliability]:
    """Of trust, reward and termination, where the model gives a confidence."""
    one, (trust, correct) = runs.one_step, evaluator.correctness(runs)
    pairs = {"trust": (trust, correct)}
    if one.reward_confidence is not None:
        pairs["reward"] = (one.reward_confidence, (one.reward - one.real_reward).abs() < 1e-4)
        pairs["game over"] = (one.termination_confidence, one.termination == one.real_termination)
    return {
        name: reliability(confidence.numpy(), correct.numpy())
        for name, (confidence, correct) in pairs.items()
    }


def reliability(claimed: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """Confidences (N,) in [0, 1] and whether they were right (N,) bool, in bins of equal width."""
    index = np.clip((claimed * bins).astype(int), 0, bins - 1)
    rows = [index == number for number in range(bins) if (index == number).any()]
    columns = [
        [float(claimed[row].mean()), float(correct[row].mean()), int(row.sum())] for row in rows
    ]
    return Reliability(*(np.array(column) for column in zip(*columns, strict=True)))


def visibly_different(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The share of pixels that visibly differ between films (T, H, W, 3): (T,)."""
    return (np.abs(a.astype(np.int16) - b).max(-1) >= VISIBLE).mean((1, 2))


def _clips(run: Rollouts, actions: ActionClasses, count: int) -> list[Clip]:
    """Rollouts that diverge early, in the middle and late or never, of the longest recordings."""
    run, names = run._replace(actions=actions.of(run.actions)), tuple(actions.names)
    longest = run.real_running.sum(1).argsort(descending=True, stable=True)
    order = longest[: max(count, len(run.frames) // 2)]
    clips = sorted(
        (clip_of(run, int(row), names) for row in order), key=lambda clip: clip.diverged or 10**9
    )
    picked = np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int))
    return [clips[number] for number in picked]


def clip_of(run: Rollouts, row: int, names: tuple[str, ...]) -> Clip:
    """One rollout, cut where its recording ends, and where the two diverge."""
    length = int(run.real_running[row].sum())
    dream, real = (_rgb(frames[row, : length + 1]) for frames in (run.frames, run.real_frames))
    different = visibly_different(dream, real)
    columns = (run.trust, run.rewards, run.real_rewards, run.terminations, run.real_terminations)
    trust, reward, real_reward, end, real_end = (column[row, :length].numpy() for column in columns)
    reasons = {
        "the frames differ": np.flatnonzero(different >= DIVERGED),
        "another reward": 1 + np.flatnonzero(np.abs(reward - real_reward) > 1e-4),
        "only one game is over": 1 + np.flatnonzero(end != real_end),
    }
    first = [(int(steps[0]), why) for why, steps in reasons.items() if len(steps)]
    step, why = min(first, key=lambda reason: reason[0], default=(None, ""))
    chosen = [names[int(action)] for action in run.actions[row, :length]]
    return Clip(dream, real, different, trust, reward, real_reward, step, why, chosen)


def _rgb(frames: torch.Tensor) -> np.ndarray:
    return to_rgb(frames.numpy())
