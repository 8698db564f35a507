"""The loop: `neural-envs dyna snake --rounds 5 --out runs/dyna-snake`.

A round plays the real game with the policy so far (the first with random play alone), adds that to
the dataset, fine-tunes the world model on all of it, trains the policy further in the dream, and
measures it in the real game (Sutton 1991, "Dyna, an integrated architecture for learning, planning,
and reacting"). A policy that has learned to exploit a fault of its dream is played in the real game
next, so the next dream is trained on the consequences.

A finished stage is never repeated, and a killed one goes on from its own checkpoint. With several
seeds the whole loop is done once per seed: intervals are over loops.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from agents.envs import (
    DEVICE_HELP,
    TRAINING_BACKEND_HELP,
    Backend,
    Kind,
    discrete_actions,
    env_id,
    env_settings,
    game_actions,
)
from agents.evaluation.play import MOST_GAMES, first_game, play_policy
from agents.experiments.dyna_records import CHECKS, check_played
from agents.experiments.dyna_report import LoopRun, format_table, report, write_plot
from agents.experiments.explore import Explorer
from agents.experiments.stages import StageError, Stages, settings_of, write_json
from agents.ppo.presets import PPOSettings, ppo_settings, ppo_steps
from agents.ppo.train import POLICY_FILE, PPOConfig, load_policy, train_ppo
from collectors.dataset.dataset import dataset_name
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.recording.collect import collect, damaged_shards
from collectors.recording.named_game import read_options
from collectors.settings.parse import LISTED_BY, check_settings, setting
from collectors.settings.run_command import command, first_word
from collectors.worlds.registration import environment_id
from collectors.worlds.table import WORLDS, find_world
from neural_envs.bundles import checked_device, load_model
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS
from world_models.training.run import train

# Settings that may change when a run goes on.
FREE = ("rounds", "out", "seeds", "backend", "device", "world_model.threads", "world_model.device")
ROUNDS_OF_BUDGET = 3  # in which PPO gets as many steps as teach the real game
SEEDS_PER_LOOP = 1000  # more than it has rounds: no two loops train with the same one
FINE_RATE = 0.5  # of the world model's learning rate, in rounds after the first
EVENT_WEIGHT = 20.0  # at least, of the world model: rewards are rare in random play


@dataclass(frozen=True)
class DynaConfig:
    """Rounds of: play the real game, train the dream, learn in it, measure in the real game."""

    name: str = setting("snake", "the world: " + ", ".join(WORLDS))
    rounds: int = setting(5, "how many; may grow when a run goes on", least=1)
    frames: int = setting(20_000, "real steps per round", least=1)
    random_episodes: float = setting(
        0.25, "share of the later rounds' games, random play", least=0, most=1
    )
    random_actions: float = setting(0.1, "share of the actions in the other games", least=0, most=1)
    fine_tune: int = setting(
        2_000, "world model updates per round; the first: world_model's", least=1
    )
    steps: int = setting(100_000, "PPO steps in the dream per round", least=1)
    episodes: int = setting(128, "games of each measurement", least=2, most=MOST_GAMES)
    reference: bool = setting(True, "the same PPO in the real game beside it, for transfer")
    out: str = setting("runs/dyna", "folder; finished stages in it are not repeated")
    seeds: tuple[int, ...] = setting((0, 1, 2), "a loop each; with one there is no interval")
    real_options: tuple[str, ...] = setting((), "of the real game, as grid_size=8")
    backend: Backend = setting("auto", TRAINING_BACKEND_HELP)
    device: str = setting("cpu", DEVICE_HELP)
    ppo: PPOSettings = field(default_factory=PPOSettings, metadata={LISTED_BY: "neural-envs ppo"})
    # Of the first round; `data` and `out` are set by the loop.
    world_model: TrainConfig = field(
        default_factory=PRESETS["snake"], metadata={LISTED_BY: "neural-envs train"}
    )

    def __post_init__(self):
        check_settings(self)
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds are different whole numbers from 0 on, as --seeds 0,1,2")
        if self.world_model.schedule != "updates":
            raise ValueError("dyna counts training in updates: leave world_model.schedule=updates")


class Loop:
    """One run, of one seed; a method named after a stage does it for one round and returns its
    record. A single seed has the folder to itself.
    """

    def __init__(self, config: DynaConfig, seed: int | None = None):
        find_world(config.name)
        self.seed = config.seeds[0] if seed is None else seed
        root = Path(config.out)
        self.root = root if len(config.seeds) == 1 else root / f"seed_{self.seed}"
        self.config = replace(config, seeds=(self.seed,))
        options = env_settings(config.name, "real", options=config.real_options)
        # Raises ValueError for wrong options.
        found = game_actions(env_id(config.name, "real"), **options)
        self.actions = discrete_actions(found, "dyna")
        self.stages = Stages(self.root, settings_of(config, FREE, seed=str(self.seed)))

    def run(self) -> LoopRun:
        """Do what is not done yet; what all stages found. `dyna.json` is written after every
        round.
        """
        found = LoopRun(self.stages.run("random", self.random, check=check_played("real")), [])
        for number in range(1, self.config.rounds + 1):
            found.rounds.append(self._round(number))
            result = _write_result(self.root, self.config, [found])
            print(f"round {number} of {self.config.rounds}\n{format_table(result)}", flush=True)
        return found

    def _round(self, number: int) -> dict[str, dict]:
        """What the stages of a round found, by stage and in their order."""
        works = {"collect": self.collect, "train": self.train, "learn": self.learn}
        if self.config.reference:
            works["refer"] = self.refer
        works["measure"] = self.measure
        return {
            stage: self.stages.run(f"{number}/{stage}", partial(work, number), check=CHECKS[stage])
            for stage, work in works.items()
        }

    def random(self) -> dict:
        """Random play in the real game."""
        return {"real": self._play(make_policy("random", self.actions), "real")}

    def collect(self, number: int) -> dict:
        """A shard of real play by the policy of the round before.

        Raises StageError where a shard of an earlier round, by another policy, is damaged.
        """
        config = self.config
        self._check_shards(number - 1)
        model = None if number == 1 else self._policy(number - 1, "dream")
        noise = (config.random_episodes, config.random_actions)
        player = Explorer(model, self.actions, f"round {number - 1}", *noise)
        shards = {
            "frames": number * config.frames,
            "shard_steps": config.frames,
            "seed": self.seed,
            "resume": True,
        }
        options = read_options(config.real_options)
        dataset = collect(
            environment_id(config.name),
            self.root / "data",
            policy=player,
            env_options=options,
            **shards,
        )
        return {
            "frames": dataset.steps,
            "episodes": len(dataset.episodes),
            "dataset": dataset.fingerprint,
        }

    def _check_shards(self, count: int) -> None:
        damaged = [shard for shard in damaged_shards(self.root / "data") if shard < count]
        if damaged:
            shard = damaged[0]
            raise StageError(
                f"shard {shard} of {self.root / 'data'} is damaged, and the policy that played it "
                f"is not this round's; put its files back, or delete {self.root} and begin anew"
            )

    def train(self, number: int) -> dict:
        """The world model on all data: first from scratch, then from the round before.

        Raises StageError where a shard is damaged.
        """
        self._check_shards(number)
        own = {
            "data": self.root / "data",
            "out": self._folder(number, "world_model"),
            "init_from": "",
            "resume": True,
        }
        run = replace(self.config.world_model, **own, seed=self._training_seed(number))
        if number > 1:
            run = replace(
                run,
                init_from=str(self._bundle(number - 1)),
                updates=self.config.fine_tune,
                learning_rate=FINE_RATE * run.learning_rate,
                rollout_from=0.0,  # it can dream already: trained on its own frames from the start
            )
        train(run, load_model)
        return {"updates": run.updates}

    def learn(self, number: int) -> dict:
        """PPO in the dream, going on from the policy so far."""
        return self._learn(number, "dream")

    def refer(self, number: int) -> dict:
        """The same PPO as long in the real game, which is what the dream's is compared with."""
        return {
            **self._learn(number, "real"),
            "played": self._play(self._policy(number, "real"), "real"),
        }

    def measure(self, number: int) -> dict:
        """The policy in the real game and in its dream, and the policy before in this dream.

        A policy that earns less in the next dream had exploited the one before.
        """
        policy = self._policy(number, "dream")
        found = {
            "real": self._play(policy, "real"),
            "dream": self._play(policy, "dream", self._bundle(number)),
        }
        if number > 1:
            found["before"] = self._play(
                self._policy(number - 1, "dream"), "dream", self._bundle(number)
            )
        return found

    def _learn(self, number: int, kind: Kind) -> dict:
        config, out = self.config, self._folder(number, kind)
        before = "" if number == 1 else str(self._folder(number - 1, kind) / POLICY_FILE)
        bundle, options = (
            (str(self._bundle(number)), ()) if kind == "dream" else (None, config.real_options)
        )
        run = PPOConfig(
            config.name, kind, config.steps, str(out), self._training_seed(number), bundle
        )
        run = replace(run, real_options=options, init_from=before, ppo=config.ppo)
        run = replace(run, device=config.device, backend=config.backend)
        if not (out / POLICY_FILE).is_file():  # it is there only when it is complete
            train_ppo(run)
        return {"steps": config.steps}

    def _play(self, policy, kind: Kind, bundle: Path | None = None) -> dict[str, list]:
        config, name = self.config, None if bundle is None else str(bundle)
        dreamed = {"device": config.device} if kind == "dream" else {}
        settings = env_settings(config.name, kind, name, config.real_options, dreamed)
        identifier = env_id(config.name, kind, name)
        return play_policy(
            policy, identifier, config.episodes, first_game(self.seed), **settings
        ).as_dict()

    def _policy(self, number: int, kind: Kind):
        return load_policy(self._folder(number, kind) / POLICY_FILE)

    def _bundle(self, number: int) -> Path:
        return self._folder(number, "world_model") / "bundle"

    def _training_seed(self, number: int) -> int:
        return SEEDS_PER_LOOP * self.seed + number

    def _folder(self, number: int, part: str) -> Path:
        return self.root / f"round_{number}" / part


def preset(name: str) -> DynaConfig:
    """The settings of a world: its PPO preset and its world model preset.

    Raises UnknownNameError.
    """
    find_world(name)
    model = PRESETS[name]()
    model = replace(model, event_weight=max(model.event_weight, EVENT_WEIGHT))
    steps = ppo_steps(name) // ROUNDS_OF_BUDGET
    out = f"runs/dyna/{dataset_name(name)}"
    return DynaConfig(name, out=out, steps=steps, ppo=ppo_settings(name), world_model=model)


def run_dyna(config: DynaConfig) -> dict:
    """Do what is not done yet of all loops; return what is in `dyna.json`.

    Raises LockError where another process writes the folder.
    """
    checked_device(config.device)  # before hours of training on another one
    root = Path(config.out)
    loops = [Loop(config, seed) for seed in config.seeds]
    with ExitStack() as opened:
        for folder in dict.fromkeys([root, *(loop.root for loop in loops)]):
            opened.enter_context(locked(folder))
        found = []
        for loop in loops:
            found.append(loop.run())
            done = replace(config, seeds=config.seeds[: len(found)])
            result = _write_result(root, done, found)
        if len(loops) > 1:
            print(f"all seeds\n{format_table(result)}", flush=True)
    return result


def _write_result(folder: Path, config: DynaConfig, found: list[LoopRun]) -> dict:
    """Write `dyna.json` and `dyna.png` of these loops and return what is in the first."""
    result = report(config, found, preset(config.name))
    write_json(folder / "dyna.json", result)
    write_plot(folder / "dyna.png", result)
    return result


def run(config: DynaConfig) -> str:
    """Run the rounds that are not done yet; return where the result is."""
    run_dyna(config)
    return f"written to {Path(config.out) / 'dyna.json'}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(
        lambda words: preset(first_word(words) or DynaConfig.name),
        run,
        argv,
        "neural-envs dyna",
        ("name",),
    )
