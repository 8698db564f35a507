"""`neural-envs transfer WORLD`: does an agent that learned in the dream play the real game?

The same PPO with the same budget and seed is trained in the dream and in the real game; both, and
a random policy, are measured in the same real games: that of training (CoinRun's training levels),
or that of `--real-options levels=test` (held-out levels). All is done once per PPO seed, and the
dream's half once per world model too: the training run is the unit, and intervals are over runs.
transfer = (dream-trained - random) / (real-trained - random), in mean return, is the last line, and
there is none where the real game taught nothing in this budget.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.envs import (
    DEVICE_HELP,
    TRAINING_BACKEND_HELP,
    WORLD_HELP,
    Backend,
    Kind,
    env_id,
    env_settings,
    find_twins,
    game_actions,
    named_world,
    option,
)
from agents.evaluation.early_checks import check_dream_of
from agents.evaluation.how_made import how_made
from agents.evaluation.play import MOST_GAMES, Episodes, first_game, play_policy
from agents.experiments.exploitation import DreamRun, RunExploitation, measure_run
from agents.experiments.stages import Settings, Stages, folder_of_seed, settings_of, write_json
from agents.experiments.transfer_records import cards_of, check_training, training_record
from agents.experiments.transfer_report import SeedRuns, format_table, report, write_plots
from agents.experiments.world_model_seeds import (
    WorldModel,
    check_worlds,
    trained_bundles,
    world_models,
)
from agents.ppo.presets import PPOSettings, expected_time, ppo_settings, ppo_steps
from agents.ppo.train import POLICY_FILE, PPOConfig, dreamed_weights, load_policy, train_ppo
from collectors.dataset.dataset import dataset_name
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.progress import note
from collectors.settings.parse import LISTED_BY, check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS, find_preset

FREE = ("out", "bundle", "ray", "actors", "device", "backend")  # decide no training


@dataclass(frozen=True)
class TransferConfig:
    """Train the same PPO in the dream and in the real game, then measure both in the real game."""

    name: str = setting("snake", WORLD_HELP)
    steps: int = setting(300_000, "training budget of each, in environment steps", least=1)
    episodes: int = setting(128, "real games per policy", least=2, most=MOST_GAMES)
    out: str = setting("runs/transfer", "folder; finished stages in it are not repeated")
    seeds: tuple[int, ...] = setting((0, 1, 2), "of PPO; with one there is no interval")
    bundle: str | None = setting(None, "the dream's model; none: the released one")
    bundles: tuple[str, ...] = setting((), "several models, each a dream to learn in")
    world_model_seeds: tuple[int, ...] = setting(
        (), "train the world model with these seeds, as runs/NAME-seed0, and learn in each"
    )
    world_model_preset: str = setting("", "preset of that training; none: the world's")
    min_trust: float | None = setting(
        None, "trust below which the dream is cut short in training; none: never", least=0, most=1
    )
    starts: str = setting(
        "", "a dataset: dreams branch off anywhere in its training episodes, not at starts"
    )
    horizon: int | None = setting(
        None, "steps after which a dream is cut short, as a truncation; none: the game's"
    )
    real_options: tuple[str, ...] = setting(
        (),
        "of the real game in which all are measured, as levels=test; of a game that is no "
        "world of ours, as continuous=true, in training too",
    )
    exploitation_points: int = setting(
        8, "moments of the training at which dreamed and real return are compared; 0: none", least=0
    )
    exploitation_episodes: int = setting(
        32, "dreams and real games at each", least=2, most=MOST_GAMES
    )
    backend: Backend = setting("auto", TRAINING_BACKEND_HELP)
    device: str = setting("cpu", DEVICE_HELP)
    ppo: PPOSettings = field(default_factory=PPOSettings, metadata={LISTED_BY: "neural-envs ppo"})
    world_model: TrainConfig = field(
        default_factory=PRESETS["snake"], metadata={LISTED_BY: "neural-envs train"}
    )

    def __post_init__(self):
        check_settings(self)
        for name in ("seeds", "world_model_seeds", "bundles"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} has one twice: {', '.join(map(str, values))}")
        if not self.seeds or min((*self.seeds, *self.world_model_seeds)) < 0:
            raise ValueError("seeds are one or more whole numbers from 0 on, as --seeds 0,1,2")
        given = ("bundle", "bundles", "world_model_seeds")
        named = [name for name in given if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"give one of {' and '.join(named)}: each says what the dreams are")


class Half(NamedTuple):
    """One training: in the real game or in a dream."""

    kind: Kind
    name: str  # its folder, and the first part of its stages' names
    bundle: str | None


class SeedWork:
    """One PPO seed in its folder. Raises StageError as `Stages`."""

    def __init__(self, config: TransferConfig, seed: int):
        self.config, self.seed, self.folder = config, seed, _folder(config, seed)
        self.stages, self.bundle = Stages(self.folder), config.bundle
        self.first_game = first_game(seed)

    def run(self, models: list[WorldModel]) -> SeedRuns:
        """Do what is not done yet: all trainings, then all measurements."""
        self.bundle = models[0].bundle  # by which a game that is not in the table is known
        real = Half("real", "real", self.bundle)
        dreams = [Half("dream", model.half, model.bundle) for model in models]
        made = {half.name: self.train(half) for half in (*dreams, real)}
        played = {
            name: self.measure(name, made[name]["policy"] if name in made else "random")
            for name in (*made, "random")
        }
        exploited = [
            self.exploitation(half, model, made[half.name]["policy"])
            for half, model in zip(dreams, models, strict=True)
            if self.config.exploitation_points
        ]
        seconds = {
            "seconds_dream": sum(made[half.name]["seconds"] for half in dreams),
            "seconds_real": made["real"]["seconds"],
        }
        dreamed = [played[half.name] for half in dreams]
        cards = cards_of(made.values())
        return SeedRuns(dreamed, played["real"], played["random"], exploited, seconds, cards)

    def train(self, half: Half) -> dict:
        """Train one half, unless that is done; the policy's hash, the machine and seconds.

        Raises StageError if it was made with other settings or with another model.
        """
        config, out = self.config, self.folder / half.name
        run = PPOConfig(config.name, half.kind, config.steps, str(out), self.seed, half.bundle)
        run = replace(run, ppo=config.ppo, device=config.device, backend=config.backend)
        if half.kind == "dream":
            run = replace(
                run, min_trust=config.min_trust, starts=config.starts, horizon=config.horizon
            )
        elif config.name not in WORLDS:  # without them it is another game
            run = replace(run, real_options=config.real_options)
        settings = settings_of(run, FREE, model=dreamed_weights(run))
        product = out / POLICY_FILE
        kept = config.exploitation_points if half.kind == "dream" else 0

        def work() -> dict:
            train_ppo(run, kept=kept)
            return training_record(product, config.device)

        return self.stages.run(f"{half.name}/train", work, settings, product, check=check_training)

    def measure(self, name: str, policy: str) -> Episodes:
        """Play real games with the policy of a half or with the "random" one, unless that is done.

        `policy` is the hash of its file: those of another policy are played again.
        """
        config = self.config
        decided = {"episodes": str(config.episodes), **self._decided(policy)}
        defaults = {"games": "in turn"}  # of records from when players did not meet the same games

        def work() -> dict[str, list]:
            game, settings = env_id(config.name, "real", self.bundle), self._real_settings()
            if name == "random":
                player = make_policy("random", game_actions(game, **settings))
            else:
                player = load_policy(self.folder / name / POLICY_FILE)
            return play_policy(player, game, config.episodes, self.first_game, **settings).as_dict()

        settings, check = Settings(decided, defaults), Episodes.check_dict
        found = self.stages.run(f"{name}/play", work, settings, repeat=True, check=check)
        return Episodes.from_dict(found)

    def exploitation(self, half: Half, model: WorldModel, policy: str) -> RunExploitation:
        """What the policies of a half in the dream earn there and in the real game."""
        config, decided = self.config, {**self._decided(policy), "model": model.weights}
        games = (config.exploitation_episodes, self.first_game, self._real_settings())
        dreamed = {"device": config.device}
        run = DreamRun(config.name, half.bundle, half.name, decided, *games, dreamed)
        return measure_run(run, self.stages)

    def _decided(self, policy: str) -> dict[str, str]:
        """What decides every measurement of a policy."""
        options = ",".join(self.config.real_options)
        return {"policy": policy, "games": str(self.first_game), "real_options": options}

    def _real_settings(self) -> Mapping[str, Any]:
        return real_settings(self.config, self.bundle)


def _folder(config: TransferConfig, seed: int) -> Path:
    return folder_of_seed(Path(config.out), seed, alone=len(config.seeds) == 1)


def real_settings(config: TransferConfig, bundle: str | None) -> Mapping[str, Any]:
    """The constructor settings of the real game in which all are measured."""
    return env_settings(config.name, "real", bundle, config.real_options)


def dreams_of(config: TransferConfig) -> list[WorldModel]:
    """The world models to learn in; those of `world_model_seeds` are trained first."""
    if config.world_model_seeds:
        folder = Path(config.out) / "world_models"
        trained = trained_bundles(config.name, config.world_model, config.world_model_seeds, folder)
        return world_models(config.name, trained)
    return world_models(config.name, config.bundles or (config.bundle,))


def run_transfer(config: TransferConfig) -> dict:
    """Do what is not done yet, write `transfer.json` and return what is in it.

    Raises LockError where another process writes the folder.
    """
    with ExitStack() as opened:
        folders = [Path(config.out), *(_folder(config, seed) for seed in config.seeds)]
        for folder in dict.fromkeys(folders):
            opened.enter_context(locked(folder))
        return _run_transfer(config)


def _run_transfer(config: TransferConfig) -> dict:
    bundle = (*config.bundles, config.bundle)[0]
    # a game that is not here, or wrong options of it, fail before an hour of training
    game_actions(env_id(config.name, "real", bundle), **real_settings(config, bundle))
    check_worlds(config.name, (*config.bundles, config.bundle))
    dreams = config.bundles or (bundle or find_twins(config.name).bundle,)
    for dream in () if config.world_model_seeds else dreams:
        check_dream_of(config.name, dream, config.real_options)
    works = [SeedWork(config, seed) for seed in config.seeds]
    note(start_line(config, works))
    models = dreams_of(config)
    found: dict[int, SeedRuns] = {}
    for work in works:
        found[work.seed] = work.run(models)
        one = replace(config, seeds=(work.seed,))
        result = _write_result(work.folder, one, models, {work.seed: found[work.seed]})
    if len(works) > 1:
        result = _write_result(Path(config.out), config, models, found)
    write_plots(Path(config.out), result)
    return result


def start_line(config: TransferConfig, works: list[SeedWork]) -> str:
    """What is about to be trained and played, and what is there already."""
    dreams = len(config.world_model_seeds or config.bundles) or 1
    where = f"{dreams} dream{'s' * (dreams > 1)} and in the real game"
    trainings = len(works) * (dreams + 1)
    done = sum(name.endswith("/train") for work in works for name in work.stages.finished())
    again = f"; {done} of {trainings} trainings are done already" if done else ""
    time = expected_time(config.steps, config.ppo, config.device, trainings - done)
    return (
        f"transfer {config.name}: {trainings} trainings of PPO, {config.steps} steps each, {time}; "
        f"in {where}, seeds "
        f"{', '.join(map(str, config.seeds))}; then {config.episodes} real games per policy, into "
        f"{config.out}{again}"
    )


def _write_result(
    folder: Path, config: TransferConfig, models: list[WorldModel], found: Mapping[int, SeedRuns]
) -> dict:
    """Write the `transfer.json` of these seeds and return what is in it."""
    weights = [model.weights for model in models]
    about = {
        "made": how_made("transfer", config, preset([config.name]), ("name",)),
        "weights": weights if len(weights) > 1 else weights[0],
        "world": config.name,
        "budget_steps": config.steps,
        "world_models": [model.as_dict(config.name) for model in models],
    }
    result = report(about, find_twins(config.name, models[0].bundle).event, found)
    write_json(folder / "transfer.json", result)
    return result


def run(config: TransferConfig) -> str:
    """Run the experiment; return its table and where it is written."""
    table = format_table(run_transfer(config))
    return f"{table}\nwritten to {Path(config.out) / 'transfer.json'}"


def preset(words: list[str]) -> TransferConfig:
    """The settings of the world that the command line is about."""
    name = named_world(words, TransferConfig.name)
    chosen = option(words, "world_model_preset") or option(words, "world-model-preset") or name
    training = find_preset(chosen) if chosen in PRESETS or chosen != name else PRESETS["any"]()
    settings = ppo_settings(name)
    out = f"runs/transfer/{dataset_name(name)}"
    return TransferConfig(name, ppo_steps(name), out=out, ppo=settings, world_model=training)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs transfer", ("name",))
