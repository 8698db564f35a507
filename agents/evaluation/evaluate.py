"""`neural-envs evaluate BUNDLE --out DIR`: measure a dream against the real game of its world.

Writes DIR/evaluation.json, plots, a strip and films (real | dreamed | difference). Figures come
from the dataset's test split, which training never saw, and from dreams that policies play.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.envs import weights_fingerprint
from agents.evaluation.control import LOOPS as CONTROL_LOOPS
from agents.evaluation.control import measure_control
from agents.evaluation.early_checks import (
    check_before_dreaming,
    check_before_loading,
    check_named_game,
)
from agents.evaluation.evaluate_config import EvaluateConfig
from agents.evaluation.game import Games, measure_games, write_strips
from agents.evaluation.game_table import game_table
from agents.evaluation.goal_table import goal_table
from agents.evaluation.how_made import how_made
from agents.evaluation.players import EQUIVALENT
from agents.evaluation.time_budget import (
    DREAMED,
    dreamed_frames,
    dreams_played,
    fitted,
    frames_per_second,
    reduced,
)
from collectors.dataset.dataset import Dataset, dataset_name, recorded_dataset
from collectors.files import check_free, check_writable
from collectors.policies.policies import make_policy, makers_of
from collectors.progress import OverallProgress, duration, note
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.bundles import label_of, resolve_bundle
from world_models.bundles.bundle import Bundle, load_bundle, update_scores
from world_models.evaluation.evaluation import (
    Evaluation,
    evaluate,
    write_evaluation,
)
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.figures import card_scores
from world_models.evaluation.worlds.table import (
    describe_evaluator,
    make_evaluator,
    policies_of,
    real_id,
)
from world_models.models.trust_calibration import save_scale

LOOPS = 5  # over held-out episodes, beside those that policies play
FILES = 0.03  # plots and films, as a share of all the work


class Report(NamedTuple):
    """What one evaluation gave."""

    scores: dict[str, float | None]  # the figures of the model card
    path: Path  # evaluation.json, with all figures
    games: str  # the figures of whole games, as a table
    evaluator: str  # which evaluator it was, in words
    seconds: float
    reduced: dict[str, list[int]]  # counts that did not fit into the time: asked for, measured
    goals: str = ""  # the other figures beside what they should be, as a table


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(EvaluateConfig, run, argv, "neural-envs evaluate", ("bundle",))


def run(config: EvaluateConfig) -> str:
    """Evaluate into a folder of the bundle's own; return the figures as lines."""
    resolve_bundle(config.bundle)
    config = replace(config, out=config.out or f"evaluation/{label_of(config.bundle)}")
    check_free(Path(config.out) / "evaluation.json", config.overwrite)
    return as_text(evaluate_bundle(config))


def as_text(report: Report) -> str:
    """The figures beside their goals, those of games, and where the others are."""
    lines = [table for table in (report.goals, report.games) if table]
    if report.reduced:
        pairs = [f"{name} {done} of {asked}" for name, (asked, done) in report.reduced.items()]
        lines += [f"fewer samples, to stay within the time (--minutes 0: all): {', '.join(pairs)}"]
    lines += [f"evaluator: {report.evaluator}", f"written: {report.path} ({report.seconds} s)"]
    return "\n".join(lines)


def evaluate_bundle(config: EvaluateConfig) -> Report:
    """Evaluates a bundle and writes everything into `config.out`.

    Raises ValueError with the remedy where there is nothing to evaluate on.
    """
    asked = config.first_look() if config.quick else config
    started, path = time.monotonic(), resolve_bundle(config.bundle)
    check_writable(config.out)
    check_before_loading(asked)
    bundle = load_bundle(path, config.device)
    spec = bundle.model.spec
    check_named_game(spec.world, config.real)
    dataset = open_dataset(config.data, spec.world)
    evaluator = make_evaluator(spec, config.real)
    names = _player_names(config, spec.world)
    check_before_dreaming(asked, bundle, dataset, names)
    within, phases, seconds = _planned(asked, bundle, len(names))
    note(start_line(config, bundle, dataset, seconds))
    with OverallProgress(phases) as overall:
        result, games = _measure(within, bundle, dataset, evaluator, names, overall)
        about = {
            **_about(config, bundle, dataset),
            "seconds": round(time.monotonic() - started, 1),
            "reduced": reduced(asked, within),
        }
        overall.phase("plots and films")
        file = write_evaluation(Path(config.out), result, about, spec.fps)
        write_strips(Path(config.out), games.plays)
    scores = card_scores(result.figures, evaluator)
    if config.update_card:
        _update_card(path, scores, result)
    return Report(
        scores,
        file,
        game_table(result.figures),
        about["evaluator"],
        about["seconds"],
        about["reduced"],
        goal_table(spec.world, result.figures),
    )


def _player_names(config: EvaluateConfig, world: str) -> list[str]:
    """The players of the closed loops: the named policies but agents, else those of the world and
    the one that presses equivalent keys.
    """
    named = [name for name in config.policies if name not in config.agents]
    more = [EQUIVALENT] if world in WORLDS and EQUIVALENT in makers_of(world) else []
    return named or [*policies_of(world), *more]


def _planned(
    asked: EvaluateConfig, bundle: Bundle, players: int
) -> tuple[EvaluateConfig, dict[str, float], float]:
    """What fits into the time, the work of each phase, and about how many seconds all take."""
    world, rate = bundle.model.spec.world, frames_per_second(bundle, asked)
    within = fitted(asked, rate, world, players)
    phases = dreamed_frames(within, world, players)
    dreamed = sum(phases.values())
    return within, {**phases, "plots and films": FILES * dreamed}, dreamed / rate / DREAMED


def _update_card(path: Path, scores: dict[str, float | None], result: Evaluation) -> None:
    """Writes the figures into the bundle, and the scale of its trust where that was measured."""
    update_scores(path, scores)
    if result.trust_scale is not None:
        save_scale(path, result.trust_scale)


def start_line(config: EvaluateConfig, bundle: Bundle, dataset: Dataset, seconds: float) -> str:
    """What is about to be measured, on what, and about how long it takes."""
    parameters = sum(each.numel() for each in bundle.model.parameters())
    return (
        f"evaluating {config.bundle} ({parameters / 1e6:.2g} M parameters, on {config.device}) "
        f"with the test split of {dataset.path} ({dataset.steps} steps in all), into "
        f"{config.out}: about {duration(seconds)}"
    )


def _about(config: EvaluateConfig, bundle: Bundle, dataset: Dataset) -> dict[str, Any]:
    """What was measured, on what, and how."""
    world, sampling = bundle.model.spec.world, bundle.model.resolve_options(config.sampling)
    return {
        "made": how_made("evaluate", config, EvaluateConfig, ("bundle",)),
        "bundle": config.bundle,
        "weights": weights_fingerprint(world, config.bundle),
        "real": config.real or real_id(world),
        "data": {"path": str(dataset.path), "fingerprint": dataset.fingerprint, "split": "test"},
        "evaluator": describe_evaluator(world),
        "seed": config.seed,
        "sampler_steps": sampling.steps,
        "guidance": sampling.guidance,
        "temperature": sampling.temperature,
    }


def _measure(
    config: EvaluateConfig,
    bundle: Bundle,
    dataset: Dataset,
    evaluator: Evaluator,
    names: list[str],
    overall: OverallProgress,
) -> tuple[Evaluation, Games]:
    """Everything but the files; policies of these `names` play the closed loops."""
    model = bundle.model

    def maker(name: str):
        world = WORLDS.get(model.spec.world)
        return lambda: make_policy(name, model.spec.actions.for_policies, world=world)

    overall.phase("held-out episodes", loops=LOOPS + len(names))
    result = evaluate(bundle, dataset, evaluator, config, {name: maker(name) for name in names})
    overall.phase("games", loops=2 * dreams_played(config) - bool(config.min_trust))
    calibrated = result.trust_scale or model.trust_scale
    bundle = bundle._replace(model=model.with_trust_scale(calibrated))
    games = measure_games(bundle, evaluator, config, config, config.real)
    result.figures.update(games.figures)
    result.figures["rules"]["counts"] = games.counts
    result.figures["trust"]["min_trust"] = games.min_trust
    overall.phase("control", loops=CONTROL_LOOPS)
    figures = measure_control(
        bundle.path, model, dataset, config, config, config.real_options, config.agents
    )
    result.figures.update(figures)
    return result, games


def open_dataset(data: str, world: str) -> Dataset:
    """The dataset that is evaluated on; without a path that of the world's name.

    Raises ValueError with the command that records one where there is none.
    """
    path = data or f"data/{dataset_name(world)}"
    if not (Path(path) / "manifest.json").is_file():
        game = world if world in WORLDS else f"--env {world}"
        remedy = f"record some with `neural-envs collect {game} --frames 200000 --out {path}`"
        raise ValueError(f"there are no held-out episodes in {path!r}; {remedy}")
    return recorded_dataset(path)


if __name__ == "__main__":
    raise SystemExit(main())
