"""The loop: `neural-envs dyna snake --rounds 5 --out runs/dyna-snake`.

A round plays the real game with the policy so far (the first with random play alone), adds that to
the dataset, fine-tunes the world model on all of it, trains the policy further in the dream, and
measures it in the real game (Sutton 1991, "Dyna, an integrated architecture for learning, planning,
and reacting"). A policy that has learned to exploit a fault of its dream is played in the real game
next, so the next dream is trained on the consequences.

A finished stage is never repeated, and a killed one goes on from its own checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from agents.envs import Kind, action_count, env_id, env_settings
from agents.evaluation.play import Episodes, play_policy
from agents.experiments.dyna_report import format_table, report, write_plot
from agents.experiments.explore import Explorer
from agents.experiments.stages import StageError, Stages, settings_of, write_json
from agents.ppo.presets import PPOSettings, ppo_settings
from agents.ppo.train import POLICY_FILE, PPOConfig, load_policy, train_ppo
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.recording.collect import collect, damaged_shards, read_options
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command, first_word
from collectors.worlds.registration import environment_id
from collectors.worlds.table import WORLDS, find_world
from neural_envs.bundles import load_model
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS
from world_models.training.run import train

# Settings that may change when a run goes on.
FREE = ("rounds", "out", "world_model.threads", "world_model.device")
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
    episodes: int = setting(128, "games of each measurement", least=1)
    reference: bool = setting(True, "the same PPO in the real game beside it, for transfer")
    out: str = setting("runs/dyna", "folder; finished stages in it are not repeated")
    seed: int = setting(0, "seed of everything", least=0)
    real_options: tuple[str, ...] = setting((), "of the real game, as grid_size=8")
    ppo: PPOSettings = field(default_factory=PPOSettings)
    # Of the first round; `data` and `out` are set by the loop.
    world_model: TrainConfig = field(default_factory=PRESETS["snake"])

    def __post_init__(self):
        check_settings(self)
        if self.world_model.schedule != "updates":
            raise ValueError("dyna counts training in updates: leave world_model.schedule=updates")


class Loop:
    """One run; a method named after a stage does it for one round and returns its record."""

    def __init__(self, config: DynaConfig):
        find_world(config.name)
        self.config, self.root = config, Path(config.out)
        options = env_settings(config.name, "real", options=config.real_options)
        # Raises ValueError for wrong options.
        self.actions = action_count(env_id(config.name, "real"), **options)
        self.stages = Stages(self.root, settings_of(config, FREE))

    def run(self) -> dict:
        """Do what is not done yet; return what is in `dyna.json`, written after every round.

        Raises LockError where another process writes the folder.
        """
        with locked(self.root):
            return self._run()

    def _run(self) -> dict:
        random = self.stages.run("random", self.random, check=_check_played("real"))
        rounds = []
        for number in range(1, self.config.rounds + 1):
            rounds.append(self._round(number))
            result = report(self.config, random, rounds)
            write_json(self.root / "dyna.json", result)
            write_plot(self.root / "dyna.png", result)
            print(f"round {number} of {self.config.rounds}\n{format_table(result)}", flush=True)
        return result

    def _round(self, number: int) -> dict[str, dict]:
        """What the stages of a round found, by stage and in their order."""
        works = {"collect": self.collect, "train": self.train, "learn": self.learn}
        if self.config.reference:
            works["refer"] = self.refer
        works["measure"] = self.measure
        return {
            stage: self.stages.run(
                f"{number}/{stage}", partial(work, number), check=FOUND.get(stage, _anything)
            )
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
        model = (
            None if number == 1 else load_policy(self._folder(number - 1, "dream") / POLICY_FILE)
        )
        player = Explorer(
            model,
            self.actions,
            f"round {number - 1}",
            config.random_episodes,
            config.random_actions,
        )
        shards = {
            "frames": number * config.frames,
            "shard_steps": config.frames,
            "seed": config.seed,
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
                f"shard {shard} of {self.root / 'data'} is damaged, and this round's policy is not "
                f"the one that played it; put its files back, or delete {self.root} and begin anew"
            )

    def train(self, number: int) -> dict:
        """The world model on all data: first from scratch, then from the round before."""
        own = {
            "data": self.root / "data",
            "out": self._folder(number, "world_model"),
            "init_from": "",
            "resume": True,
        }
        run = replace(self.config.world_model, **own, seed=self.config.seed + number)
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
        run = PPOConfig(config.name, kind, config.steps, str(out), config.seed + number, bundle)
        run = replace(run, real_options=options, init_from=before, ppo=config.ppo)
        if not (out / POLICY_FILE).is_file():  # it is there only when it is complete
            train_ppo(run)
        return {"steps": config.steps}

    def _play(self, policy, kind: Kind, bundle: Path | None = None) -> dict[str, list]:
        config, name = self.config, None if bundle is None else str(bundle)
        settings = env_settings(config.name, kind, name, config.real_options)
        identifier = env_id(config.name, kind, name)
        return play_policy(
            policy, identifier, config.episodes, config.seed + 1_000_000, **settings
        ).as_dict()

    def _policy(self, number: int, kind: Kind):
        return load_policy(self._folder(number, kind) / POLICY_FILE)

    def _bundle(self, number: int) -> Path:
        return self._folder(number, "world_model") / "bundle"

    def _folder(self, number: int, part: str) -> Path:
        return self.root / f"round_{number}" / part


def _anything(found: dict) -> None:
    pass


def _check_played(*names: str) -> Callable[[dict], None]:
    """A check of a stage's record: these are episodes."""

    def check(found: dict) -> None:
        for name in names:
            Episodes.check_dict(found[name])

    return check


def _check_counts(*names: str) -> Callable[[dict], None]:
    """A check of a stage's record: these are whole numbers."""

    def check(found: dict) -> None:
        if not all(type(found[name]) is int for name in names):
            raise TypeError(f"{', '.join(names)} are whole numbers")

    return check


FOUND: dict[str, Callable[[dict], None]] = {
    "collect": _check_counts("frames", "episodes"),
    "train": _check_counts("updates"),
    "learn": _check_counts("steps"),
    "refer": _check_played("played"),
    "measure": _check_played("real", "dream"),
}


def preset(name: str) -> DynaConfig:
    """The settings of a world: its PPO preset and its world model preset.

    Raises UnknownNameError.
    """
    find_world(name)
    model = PRESETS[name]()
    model = replace(model, event_weight=max(model.event_weight, EVENT_WEIGHT))
    return DynaConfig(name, ppo=ppo_settings(name), world_model=model)


def run(config: DynaConfig) -> str:
    """Run the rounds that are not done yet; return where the result is."""
    Loop(config).run()
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
