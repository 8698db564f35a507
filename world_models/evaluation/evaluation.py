"""`neural-envs evaluate BUNDLE --out DIR`: a dream held against its game, the real one of the
bundle's world.

Writes DIR/evaluation.json with the figures of measurements.py, plots, a strip and films (real |
dreamed | difference). Everything is read off the dataset's test split, which training never saw,
and off dreams that policies play.
"""

import importlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from collectors.dataset.dataset import Dataset, dataset_name
from collectors.settings.command import command
from collectors.settings.parse import setting
from world_models.bundles.bundle import Bundle, load_bundle, update_scores
from world_models.evaluation import figures as scorecard
from world_models.evaluation import plots
from world_models.evaluation import rollouts as rollout_runs
from world_models.evaluation.evaluator import Evaluator, Runs
from world_models.evaluation.test_split import TestSplit
from world_models.evaluation.trust_scores import (
    TrustSignals,
    calibrate,
    calibrated_figures,
    signal_figures,
)
from world_models.evaluation.worlds.table import WORLDS, make_evaluator, world_of
from world_models.models.trust_calibration import save_scale
from world_models.protocols import WorldSpec


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `neural-envs evaluate`. The last three name functions as "module:function":
    policies, released bundles and the ranking live in packages that world_models must not import,
    so the command line hands them over."""

    bundle: str = setting(help="released name or directory of the bundle")
    real: str = setting(
        "", "id of the real environment; none: that of the bundle's world, if it is known"
    )
    real_options: tuple[str, ...] = setting(
        (), "of the real game of the policy ranking, as levels=test"
    )
    data: str = setting("", "dataset whose test split is held out from training; none: data/WORLD")
    out: str = setting("evaluation", "directory for evaluation.json, plots and films")
    transitions: int = setting(10_000, "teacher-forced transitions, at most")
    random_actions: int = setting(3_000, "of these, how many are dreamed again with random actions")
    rollouts: int = setting(128, "open-loop rollouts")
    horizon: int = setting(64, "steps of a rollout")
    kid_depth: int = setting(32, "steps after which frames are compared by KID")
    kid_frames: int = setting(128, "frames for KID, at most; under 2 leaves it out")
    survival_steps: int = setting(
        1_000, "steps of the dreams that policies play; MEASURES also wants 10000"
    )
    survival_lanes: int = setting(16, "dreams played at a time")
    policies: tuple[str, ...] = setting(
        (), "names of a random and a good policy; none: the world's own"
    )
    sampler_steps: int = setting(0, "denoising steps; 0 is the bundle's own number")
    trust_transitions: int = setting(
        4_000, "validation transitions that trust is calibrated on; 0 leaves it out"
    )
    guidance: float | None = setting(
        None, "strength of guidance on the action, 1 for none; none: the bundle's own"
    )
    batch: int = setting(128, "transitions in one forward")
    seed: int = setting(0, "seed of every choice made here")
    device: str = setting("cpu", "torch device")
    update_card: bool = setting(
        False, "write the figures into the bundle's config.json and model card"
    )
    policy_maker: str = setting(
        "collectors.policies.policies:make_policy", "function (name, actions, world=) -> policy"
    )
    resolver: str = setting(
        "neural_envs.bundles:resolve_bundle", "function (name) -> directory of a bundle"
    )
    ranking: str = setting(
        "agents.evaluation.ranking:rank_policies", "function -> policy_ranking; empty leaves it out"
    )

    def __post_init__(self):
        for name in ("transitions", "random_actions", "rollouts", "horizon", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {getattr(self, name)}: every figure needs a "
                    "sample"
                )


def named(reference: str):
    """The object called "module:name"; raises ValueError that says what is missing."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{reference!r} is not a module:function that can be imported ({error})"
        ) from error


def resolved(config: EvaluateConfig, world: str) -> EvaluateConfig:
    """The settings with what was left out filled in from the bundle's world."""
    row = world_of(world)
    data, policies = config.data or f"data/{dataset_name(world)}", config.policies or row.policies
    return replace(config, real=config.real or row.real, data=data, policies=policies)


def evaluate(
    bundle: Bundle, dataset: Dataset, evaluator: Evaluator, config: EvaluateConfig, policies: dict
) -> tuple[dict, Runs]:
    """The figures and the runs they are read off.

    `policies`: name -> function that makes one lane's pixel policy.
    """
    model = bundle.model
    check_same_game(model.spec, dataset)
    set_sampling(model, config)
    generator = np.random.default_rng(config.seed)
    test_split = TestSplit(dataset, model.context_length)
    training = TestSplit(dataset, model.context_length, "train")
    evaluator.fit(training, config.seed)
    signals = TrustSignals.of(model, training, np.random.default_rng(config.seed + 1))
    if hasattr(model, "trust_scale"):
        model.trust_scale = None  # the head's own word is measured, and then calibrated
    runs = _run(bundle, test_split, evaluator, config, policies, generator, signals)
    figures = _figures(runs, evaluator, model.spec, config, generator)
    figures["trust"] |= _calibrated(signals, dataset, evaluator, runs, config)
    return figures, runs


def _calibrated(
    signals: TrustSignals, dataset: Dataset, evaluator: Evaluator, runs: Runs, config: EvaluateConfig
) -> dict:
    """Calibrates the model's trust on the validation split; returns what the test split says of
    that.
    """
    if (
        signals.familiarity is None
        or not config.trust_transitions
        or not dataset.split()["validation"]
    ):
        return {}
    model, generator = signals.model, np.random.default_rng(config.seed + 2)
    validation = TestSplit(dataset, model.context_length, "validation")
    places = validation.transitions(config.trust_transitions, generator)
    one, other = _one_steps(
        model, validation, places, evaluator, config, generator, replace(signals, draws=0)
    )
    model.trust_scale, learned_from = calibrate(
        evaluator, Runs(one, other, runs.rollouts, {}), signals.familiarity
    )
    return calibrated_figures(evaluator, runs, model.trust_scale, learned_from)


def set_sampling(model, config: EvaluateConfig) -> None:
    """Steps and guidance as asked for. Raises ValueError where the model has no such thing."""
    asked = {"sampler_steps": config.sampler_steps or None, "guidance": config.guidance}
    for name, value in asked.items():
        if value is None:
            continue
        if not hasattr(model, name):
            raise ValueError(
                f"the bundle {config.bundle} has no sampler, so {name} cannot be set; leave it out"
            )
        setattr(model, name, value)


def check_same_game(spec, dataset: Dataset) -> None:
    """Raises ValueError where a model and a dataset speak of different games."""
    other = dataset.spec
    for name, mine, its in (("frame shape", list(spec.frame_shape), list(other["frame_shape"])),
                            ("actions", list(spec.action_names), list(other["action_names"])),
                            ("world", spec.world, other["world"])):  # fmt: skip
        if mine != its:
            raise ValueError(
                f"the bundle's {name} is {mine}, the dataset's {its}: take data of the bundle's "
                "own game"
            )


def _one_steps(
    model,
    test_split: TestSplit,
    places: list,
    evaluator,
    config: EvaluateConfig,
    generator,
    signals: TrustSignals,
):
    """Transitions with the recorded actions, and some of them again with random ones."""
    one = rollout_runs.one_step(model, test_split, places, evaluator.decode_batch, config.batch, signals=signals)
    count = min(config.random_actions, len(places))
    again = [places[i] for i in np.sort(generator.choice(len(places), count, replace=False))]
    drawn = torch.from_numpy(generator.integers(len(model.spec.action_names), size=len(again)))
    return one, rollout_runs.one_step(
        model, test_split, again, evaluator.decode_batch, config.batch, drawn, signals
    )


def _run(
    bundle: Bundle,
    test_split: TestSplit,
    evaluator,
    config: EvaluateConfig,
    policies: dict,
    generator,
    signals: TrustSignals,
) -> Runs:
    model = bundle.model
    places = test_split.transitions(config.transitions, generator)
    one, other = _one_steps(model, test_split, places, evaluator, config, generator, signals)
    starts = test_split.starts(config.rollouts, config.horizon, generator)
    opened = rollout_runs.rollouts(model, test_split, starts, config.horizon)
    size = (config.survival_steps, config.survival_lanes)
    closed = {
        name: rollout_runs.closed_loop(
            model, bundle.contexts, make, size, evaluator.decode_step, config.seed
        )
        for name, make in policies.items()
    }
    return Runs(
        one, other, opened, closed, {name: evaluator.score(run) for name, run in closed.items()}
    )


def _figures(runs: Runs, evaluator: Evaluator, spec, config: EvaluateConfig, generator) -> dict:
    one, opened = runs.one_step, runs.rollouts
    reward, termination = scorecard.outcome_figures(
        one, opened, evaluator.expected(runs), spec.reward_values
    )
    return {
        "one_step": scorecard.one_step_figures(one, evaluator.events(one)),
        "rollout": scorecard.rollout_figures(opened, config.horizon),
        "kid": scorecard.kid_figures(
            opened, min(config.kid_depth, config.horizon), config.kid_frames
        ),
        "reward": reward,
        "termination": termination,
        "action_sensitivity": evaluator.action_figures(runs),
        "rules": evaluator.rule_figures(runs, generator),
        "trust": {**scorecard.trust_figures(*evaluator.correctness(runs)), **signal_figures(evaluator, runs)},
        "policy_ranking": {"omitted": "no --ranking function was given"},
        "survival": {
            name: {
                **scorecard.survival_figures(run),
                **evaluator.survival_figures(run, runs.scores[name]),
            }
            for name, run in runs.closed.items()
        },
    }


def card_scores(figures: dict, evaluator: Evaluator) -> dict:
    """The few figures that a model card shows: those of every world, then the judge's own."""
    return {
        **{f"one_step.{k}": figures["one_step"][k] for k in ("psnr", "ssim", "exact_frame_rate")},
        "rollout.break_even_horizon": figures["rollout"]["break_even_horizon"],
        **{
            f"reward.f1[{value}]": score["f1"]
            for value, score in figures["reward"]["one_step"]["classes"].items()
        },
        "termination.f1": figures["termination"]["one_step"]["f1"],
        **{
            f"trust.{name}": v
            for name, v in figures["trust"].items()
            if name.startswith(("auroc", "calibration_"))
        },
        **{
            name: value
            for path in evaluator.card
            for name, value in at_path(figures, path.split(".")).items()
        },
    }


def at_path(figures: dict, path: list[str]) -> dict:
    """{dotted path: figure}; a "*" in the path stands for every key there, and what is not there is
    None.
    """
    head, *rest = path
    if not isinstance(figures, dict):
        return {".".join(path): None}
    below = {key: figures.get(key) for key in (figures if head == "*" else [head])}
    if not rest:
        return below
    return {
        f"{key}.{tail}": v
        for key, value in below.items()
        for tail, v in at_path(value, rest).items()
    }


def write_plots(folder: Path, runs: Runs, figures: dict, fps: int) -> None:
    """Plots of quality against horizon, a strip, and films of the longest rollout and of dreams
    that policies play.
    """
    curves = figures["rollout"]["curves"]
    for metric, unit in (("psnr", "dB"), ("ssim", "")):
        lines = {
            name: [np.nan if v is None else v for v in curve[metric]]
            for name, curve in curves.items()
        }
        plots.line_plot(
            folder / f"{metric}.png", lines, f"{metric.upper()} against horizon", unit
        )
    row = int(runs.rollouts.real_running.sum(1).argmax())
    real, dreamed = runs.rollouts.real_frames[row].numpy(), runs.rollouts.frames[row].numpy()
    plots.write_film(folder, "side_by_side", plots.side_by_side(real, dreamed), fps)
    plots.write_strip(folder / "strip.png", [real, dreamed])
    for name, run in runs.closed.items():
        film = run.frames.repeat(4, 1).repeat(4, 2)
        plots.write_film(folder, f"dream_{name.replace(':', '_')}", film, fps)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(
        EvaluateConfig,
        lambda config: report(*evaluate_bundle(config)),
        argv,
        "neural-envs evaluate",
        ("bundle",),
    )


def evaluate_bundle(config: EvaluateConfig) -> tuple[dict, Path, float]:
    """Evaluates a bundle, writes everything into `config.out`; returns the card's scores, the file
    of all figures and the seconds it took. Raises ValueError with the remedy where there is nothing
    to evaluate on.
    """
    started, path = time.monotonic(), Path(named(config.resolver)(config.bundle))
    bundle = load_bundle(path, config.device)
    spec = bundle.model.spec
    config = resolved(config, spec.world)
    dataset, maker, evaluator = (
        recording(config.data, spec),
        named(config.policy_maker),
        make_evaluator(spec, config.real),
    )
    actions = len(spec.action_names)
    policies = {
        name: (lambda name=name: maker(name, actions, world=spec.world)) for name in config.policies
    }
    figures, runs = evaluate(bundle, dataset, evaluator, config, policies)
    if config.ranking:
        game = {"seed": config.seed, "real_options": config.real_options}
        figures["policy_ranking"] = named(config.ranking)(spec.world, bundle=str(path), **game)
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    write_plots(folder, runs, figures, spec.fps)
    data = {"path": config.data, "fingerprint": dataset.fingerprint, "split": "test"}
    seconds = round(time.monotonic() - started, 1)
    sampling = {name: getattr(bundle.model, name, None) for name in ("sampler_steps", "guidance")}
    about = {
        "bundle": config.bundle,
        "real": config.real,
        "data": data,
        "seed": config.seed,
        "seconds": seconds,
    }
    (folder / "evaluation.json").write_text(
        json.dumps({**about, **sampling, **figures}, indent=1) + "\n"
    )
    scores = card_scores(figures, evaluator)
    if config.update_card:
        update_scores(path, scores)
        if getattr(bundle.model, "trust_scale", None) is not None:
            save_scale(path, bundle.model.trust_scale)
    return scores, folder / "evaluation.json", seconds


def recording(data: str, spec: WorldSpec) -> Dataset:
    """The dataset that is evaluated on.

    Raises ValueError with the command that records one where there is none.
    """
    if not (Path(data) / "manifest.json").is_file():
        game = spec.world if spec.world in WORLDS else f"--env {spec.world}"
        remedy = f"record some with `neural-envs collect {game} --frames 200000 --out {data}`"
        raise ValueError(f"there are no held-out episodes in {data!r}; {remedy}")
    return Dataset(data)


def report(scores: dict, path: Path, seconds: float) -> None:
    """Prints the figures of the card and where the others are."""
    for name, value in scores.items():
        print(f"{name:44s} {'-' if value is None else format(value, '.5g')}")
    print(f"written: {path} ({seconds} s)")


if __name__ == "__main__":
    raise SystemExit(main())
