"""From a bundle and a dataset to the figures of evaluation.json.

In this order: the test split, which training never saw; one-step, open-loop and closed-loop dreams;
what the world's evaluator decodes from them; figures; files. `agents.evaluation.evaluate` is the
command.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from collectors.files import write_atomically
from collectors.settings.parse import check_settings, setting
from world_models.bundles.bundle import Bundle
from world_models.evaluation import figures, plots
from world_models.evaluation.closed_loop import PixelPolicy, closed_loop
from world_models.evaluation.evaluator import Evaluator, Runs
from world_models.evaluation.risk_coverage import risk_figures
from world_models.evaluation.rollouts import Drawing, OneStep, Rollouts, one_step, rollouts
from world_models.evaluation.test_split import SplitReader
from world_models.evaluation.trust_scores import (
    TrustSignals,
    calibrate,
    calibrated_figures,
    motion_figures,
    signal_figures,
)
from world_models.models.trust_calibration import TrustScale
from world_models.protocols import SamplingOptions, WorldSpec


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How much is dreamed, and how. Raises ValueError for a count of nothing."""

    transitions: int = setting(10_000, "teacher-forced transitions, at most", least=1)
    random_actions: int = setting(
        3_000, "of these, how many are dreamed again with random actions", least=1
    )
    rollouts: int = setting(128, "open-loop rollouts", least=1)
    horizon: int = setting(64, "steps of a rollout", least=1)
    kid_depth: int = setting(32, "steps after which frames are compared by KID", least=1)
    kid_frames: int = setting(128, "frames for KID, at most; under 2 leaves it out", least=0)
    survival_steps: int = setting(1_000, "steps of the dreams that policies play", least=1)
    survival_lanes: int = setting(16, "dreams played at a time", least=1)
    sampler_steps: int = setting(0, "denoising steps; 0 is the bundle's own number", least=0)
    guidance: float | None = setting(
        None, "strength of guidance on the action, 1 for none; none: the bundle's own"
    )
    temperature: float | None = setting(
        None, "of categorical draws, where the model has it; none: the bundle's own", least=0
    )
    trust_transitions: int = setting(
        4_000, "validation transitions that trust is calibrated on; 0 leaves it out", least=0
    )
    trust_contexts: int = setting(
        4_000, "training contexts that the distance of others is measured from", least=2
    )
    trust_draws: int = setting(
        2, "further samples per transition that the dreamed one is compared with", least=0
    )
    probe_transitions: int = setting(
        6_000, "training transitions from which a small network learns to tell actions", least=1
    )
    batch: int = setting(128, "transitions in one forward", least=1)
    seed: int = setting(0, "seed of every choice made here", least=0)

    def __post_init__(self):
        check_settings(self)

    @property
    def sampling(self) -> SamplingOptions:
        """How frames are drawn."""
        return SamplingOptions(self.sampler_steps or None, self.guidance, self.temperature)


class Evaluation(NamedTuple):
    """What `evaluate` measured."""

    figures: dict  # as evaluation.json has them
    runs: Runs  # what the figures are computed from
    trust_scale: TrustScale | None  # calibrated on the validation split; None: not calibrated


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    evaluator: Evaluator,
    options: EvaluationOptions,
    policies: dict[str, Callable[[], PixelPolicy]],
) -> Evaluation:
    """Dream the test split of a dataset, and measure.

    `policies`: name -> function that makes the pixel policy of one lane, for the closed loops.
    Raises ValueError where the dataset is of another game or a split is empty.
    """
    model = bundle.model.with_trust_scale(None)  # its own trust is measured, and then calibrated
    check_same_game(model.spec, dataset)
    sampling = model.resolve_options(options.sampling)
    test_split = SplitReader(dataset, model.context_length)
    training = SplitReader(dataset, model.context_length, "train")
    generator = np.random.default_rng(options.seed)

    evaluator.fit(training, options.seed, options.probe_transitions)
    signals = TrustSignals.of(
        model, training, np.random.default_rng(options.seed + 1), sampling, options.trust_contexts
    )
    signals = replace(signals, draws=options.trust_draws)

    one, random = _one_steps(
        signals, test_split, options.transitions, evaluator, options, generator
    )
    starts = test_split.starts(options.rollouts, options.horizon, generator)
    opened = rollouts(model, test_split, starts, options.horizon, sampling)
    size = (options.survival_steps, options.survival_lanes)
    closed = {
        name: closed_loop(
            model, bundle.contexts, make, size, evaluator.decode_step, options.seed, sampling
        )
        for name, make in policies.items()
    }
    scores = {name: evaluator.score(run) for name, run in closed.items()}
    runs = Runs(one, random, opened, closed, scores)

    found = _figures(runs, evaluator, model.spec, options, generator)
    scale, samples = _calibrate(signals, dataset, evaluator, opened, options)
    found["trust"] |= calibrated_figures(evaluator, runs, scale, samples)
    return Evaluation(found, runs, scale)


def check_same_game(spec: WorldSpec, dataset: Dataset) -> None:
    """Raises ValueError where a model and a dataset are of different games."""
    other = dataset.spec
    pairs = {
        "frame shape": (list(spec.frame_shape), list(other["frame_shape"])),
        "actions": (list(spec.action_names), list(other["action_names"])),
        "action space": (spec.actions, dataset.actions),
        "world": (spec.world, other["world"]),
    }
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise ValueError(
                f"the bundle's {name} is {ours}, the dataset's {theirs}: take data of the bundle's "
                "own game"
            )


def _one_steps(
    signals: TrustSignals,
    split: SplitReader,
    count: int,
    evaluator: Evaluator,
    options: EvaluationOptions,
    generator: np.random.Generator,
) -> tuple[OneStep, OneStep]:
    """`count` transitions with the recorded actions, and some of them again with random ones."""
    model, places = signals.model, split.transitions(count, generator)
    drawing = Drawing(options.batch, signals.options)
    again = min(options.random_actions, len(places))
    run = one_step(model, split, places, evaluator.decode_batch, drawing, signals=signals)
    chosen = np.sort(generator.choice(len(places), again, replace=False))
    actions = torch.from_numpy(model.spec.actions.draw_encoded(generator, (again,)))
    places = [places[i] for i in chosen]
    return run, one_step(model, split, places, evaluator.decode_batch, drawing, actions, signals)


def _figures(
    runs: Runs,
    evaluator: Evaluator,
    spec: WorldSpec,
    options: EvaluationOptions,
    generator: np.random.Generator,
) -> dict:
    """All figures but those of calibrated trust."""
    one, opened = runs.one_step, runs.rollouts
    reward, termination = figures.outcome_figures(
        one, opened, evaluator.expected(runs), spec.reward_values
    )
    depth = min(options.kid_depth, options.horizon)
    trust, correct = evaluator.correctness(runs)
    risk = risk_figures(trust.numpy(), correct.numpy(), np.random.default_rng(options.seed))
    return {
        "one_step": figures.one_step_figures(one, evaluator.events(one)),
        "rollout": figures.rollout_figures(opened, options.horizon),
        "kid": figures.kid_figures(opened, depth, options.kid_frames),
        "reward": reward,
        "termination": termination,
        "action_sensitivity": evaluator.action_figures(runs),
        "rules": evaluator.rule_figures(runs, generator),
        "trust": {
            **figures.trust_figures(trust, correct),
            **risk,
            **signal_figures(evaluator, runs),
            "by_motion": motion_figures(one),
        },
        "policy_ranking": {"omitted": "no policy ranking was asked for"},
        "survival": {
            name: {
                **figures.survival_figures(run),
                **evaluator.survival_figures(run, runs.scores[name]),
            }
            for name, run in runs.closed.items()
        },
    }


def _calibrate(
    signals: TrustSignals,
    dataset: Dataset,
    evaluator: Evaluator,
    opened: Rollouts,
    options: EvaluationOptions,
) -> tuple[TrustScale | None, int]:
    """The scale of trust fitted to the validation split, and its number of samples; (None, 0) where
    the model or the data do not allow it.
    """
    distance, count = signals.distance, options.trust_transitions
    if distance is None or not count or not dataset.split()["validation"]:
        return None, 0
    validation = SplitReader(dataset, signals.model.context_length, "validation")
    quick = replace(signals, draws=0)
    generator = np.random.default_rng(options.seed + 2)
    one, random = _one_steps(quick, validation, count, evaluator, options, generator)
    return calibrate(evaluator, Runs(one, random, opened, {}), distance)


def write_evaluation(folder: Path, result: Evaluation, about: dict, fps: int) -> Path:
    """Writes plots, films and evaluation.json, `about` first; returns the path of the last."""
    folder.mkdir(parents=True, exist_ok=True)
    plots.write_plots(folder, result.runs, result.figures, fps)
    text = json.dumps({**about, **result.figures}, indent=1) + "\n"
    return write_atomically(folder / "evaluation.json", text)
