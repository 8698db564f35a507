"""`neural-envs evaluate BUNDLE --out DIR`: measure a dream against the real game of its world.

Writes DIR/evaluation.json, plots, a strip and films (real | dreamed | difference). Figures come
from the dataset's test split, which training never saw, and from dreams that policies play.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.envs import weights_fingerprint
from agents.evaluation.control import LOOPS as CONTROL_LOOPS
from agents.evaluation.control import ControlOptions, measure_control
from agents.evaluation.game import GameOptions, Games, measure_games, write_strips
from agents.evaluation.game_table import game_table
from agents.evaluation.how_made import how_made
from collectors.dataset.dataset import Dataset, dataset_name
from collectors.files import check_writable
from collectors.policies.policies import POLICY_FILE, make_policy
from collectors.progress import OverallProgress
from collectors.settings.parse import setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.bundles import resolve_bundle
from world_models.bundles.bundle import Bundle, load_bundle, update_scores
from world_models.evaluation.evaluation import (
    Evaluation,
    EvaluationOptions,
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
PLAYERS = 4  # of the games, see `make_players`
FIRST_LOOK: dict[str, Any] = {
    "transitions": 500,
    "random_actions": 200,
    "rollouts": 16,
    "horizon": 32,
    "kid_frames": 16,
    "survival_steps": 50,
    "survival_lanes": 8,
    "trust_transitions": 300,
    "control_clips": 64,
    "decision_states": 16,
    "ranking": False,
    "game_lanes": 16,
    "game_steps": 100,
}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluationOptions, GameOptions, ControlOptions):
    """Measure a bundle against the real game."""

    bundle: str = setting(help="released name or directory of the bundle")
    real: str = setting(
        "", "id of the real environment; none: that of the bundle's world, if it is known"
    )
    data: str = setting("", "dataset whose test split is held out from training; none: data/WORLD")
    out: str = setting("evaluation", "directory for evaluation.json, plots and films")
    policies: tuple[str, ...] = setting(
        (), "a random and a good policy, none: the world's own; FILE.zip: an agent that is ranked"
    )
    device: str = setting("cpu", "torch device")
    quick: bool = setting(False, "a first look within a minute: few games, few samples, no ranking")
    update_card: bool = setting(
        False, "write the figures into the bundle's config.json and model card"
    )


class Report(NamedTuple):
    """What one evaluation gave."""

    scores: dict[str, float | None]  # the figures of the model card
    path: Path  # evaluation.json, with all figures
    games: str  # the figures of whole games, as a table
    evaluator: str  # which evaluator it was, in words
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(
        EvaluateConfig,
        lambda config: as_text(evaluate_bundle(config)),
        argv,
        "neural-envs evaluate",
        ("bundle",),
    )


def as_text(report: Report) -> str:
    """The figures of the model card, one per line, those of games, and where the others are."""
    lines = [
        f"{name:44s} {'-' if value is None else format(value, '.5g')}"
        for name, value in report.scores.items()
    ]
    lines += [report.games] if report.games else []
    lines += [f"evaluator: {report.evaluator}", f"written: {report.path} ({report.seconds} s)"]
    return "\n".join(lines)


def evaluate_bundle(config: EvaluateConfig) -> Report:
    """Evaluates a bundle and writes everything into `config.out`.

    Raises ValueError with the remedy where there is nothing to evaluate on.
    """
    config = replace(config, **FIRST_LOOK) if config.quick else config
    started, path = time.monotonic(), resolve_bundle(config.bundle)
    check_writable(config.out)
    bundle = load_bundle(path, config.device)
    model, spec = bundle.model, bundle.model.spec
    dataset = open_dataset(config.data, spec.world)
    evaluator = make_evaluator(spec, config.real)
    result, games = _measure(config, path, bundle, dataset, evaluator)
    sampling = model.resolve_options(config.sampling)
    about = {
        "made": how_made("evaluate", config, EvaluateConfig, ("bundle",)),
        "bundle": config.bundle,
        "weights": weights_fingerprint(spec.world, config.bundle),
        "real": config.real or real_id(spec.world),
        "data": {"path": str(dataset.path), "fingerprint": dataset.fingerprint, "split": "test"},
        "evaluator": describe_evaluator(spec.world),
        "seed": config.seed,
        "seconds": round(time.monotonic() - started, 1),
        "sampler_steps": sampling.steps,
        "guidance": sampling.guidance,
        "temperature": sampling.temperature,
    }
    file = write_evaluation(Path(config.out), result, about, spec.fps)
    write_strips(Path(config.out), games.plays)
    scores = card_scores(result.figures, evaluator)
    if config.update_card:
        update_scores(path, scores)
        if result.trust_scale is not None:
            save_scale(path, result.trust_scale)
    return Report(scores, file, game_table(result.figures), about["evaluator"], about["seconds"])


def _measure(
    config: EvaluateConfig, path: Path, bundle: Bundle, dataset: Dataset, evaluator: Evaluator
) -> tuple[Evaluation, Games]:
    """Everything but the files, under one progress bar."""
    spec = bundle.model.spec
    agents = [name for name in config.policies if name.endswith(POLICY_FILE)]
    names = [name for name in config.policies if name not in agents] or policies_of(spec.world)

    def maker(name: str):
        return lambda: make_policy(name, len(spec.action_names), world=WORLDS.get(spec.world))

    with OverallProgress(_phases(config, len(names))) as overall:
        overall.phase("held-out episodes", loops=LOOPS + len(names))
        result = evaluate(bundle, dataset, evaluator, config, {name: maker(name) for name in names})
        overall.phase("games", loops=2 * PLAYERS)
        games = measure_games(path, bundle.model, evaluator, config, config)
        result.figures.update(games.figures)
        result.figures["rules"]["counts"] = games.counts
        overall.phase("control", loops=CONTROL_LOOPS)
        result.figures.update(
            measure_control(
                path, bundle.model, dataset, config, config, config.real_options, agents
            )
        )
    return result, games


def _phases(config: EvaluateConfig, policies: int) -> dict[str, float]:
    """About how many frames each phase dreams; a real game costs little beside its dream."""
    one = config.transitions + config.random_actions + 2 * config.trust_transitions
    closed = policies * config.survival_steps * config.survival_lanes
    games = config.game * PLAYERS * config.game_lanes * config.game_steps
    control = 20 * config.control_clips + 100 * config.decision_states
    control += 9 * config.ranking * config.ranking_episodes * config.ranking_steps
    held_out = one + config.rollouts * config.horizon + closed
    return {"held-out episodes": held_out, "games": games, "control": control}


def open_dataset(data: str, world: str) -> Dataset:
    """The dataset that is evaluated on; without a path that of the world's name.

    Raises ValueError with the command that records one where there is none.
    """
    path = data or f"data/{dataset_name(world)}"
    if not (Path(path) / "manifest.json").is_file():
        game = world if world in WORLDS else f"--env {world}"
        remedy = f"record some with `neural-envs collect {game} --frames 200000 --out {path}`"
        raise ValueError(f"there are no held-out episodes in {path!r}; {remedy}")
    return Dataset(path)


if __name__ == "__main__":
    raise SystemExit(main())
