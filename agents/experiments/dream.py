"""`neural-envs dream ID --minutes 30`: a game becomes a dream, by one command.

Random and sticky play is recorded; a first dream is trained, in which an agent learns; it plays the
real game, which shows states that chance does not reach; the dream itself is trained on all that,
measured, and described on a page. What is done is not done again: the same command goes on.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.evaluation.evaluate import EvaluateConfig, as_text, evaluate_bundle
from agents.experiments.dream_choice import check_family, check_size, choose_family
from agents.experiments.stages import Stages, settings_of
from agents.ppo.presets import ppo_settings, quick
from agents.ppo.train import POLICY_FILE, PPOConfig, train_ppo
from agents.report.command import run as write_report
from agents.report.findings import ReportConfig
from collectors.action_space import ActionSpace
from collectors.dataset.dataset import Dataset, dataset_name
from collectors.dataset.joining import add_recording
from collectors.extras import MissingExtra, optional
from collectors.interrupts import Interrupted
from collectors.locks import locked
from collectors.policies.policies import Policy, make_policy
from collectors.progress import OverallProgress, note, on_terminal
from collectors.recording.collect import asked_frames, collect
from collectors.recording.named_game import game_header, make_named_game, named_game
from collectors.recording.speed import steps_per_second
from collectors.recording.workers import ShardTask
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.bundles import load_model
from world_models.bundles.bundle import update_provenance
from world_models.training.distributed import find_device
from world_models.training.presets.scaling import fitted
from world_models.training.presets.table import PRESETS, find_preset
from world_models.training.run import train
from world_models.training.run_info import machine_class

FREE = (
    "out",
    "workers",
    "threads",
    "device",
    "serve",
    "compress",
)  # a run may go on on another machine
SHARES = {  # of the minutes
    "record": 0.12,
    "first dream": 0.12,
    "an agent learns": 0.10,
    "it plays": 0.06,
    "dream": 0.50,
    "evaluate": 0.07,
    "report": 0.03,
}
PLAYERS = "random,sticky:0.5,sticky:0.8,sticky:0.95"  # of a game without players of its own
AGENT_NOISE = 0.2  # share of random actions in half of the agent's games
LEAST_FRAMES, MOST_FRAMES = 2_000, 200_000
SHARD_STEPS = 5_000
REPORT_SIZE: dict[str, Any] = {
    "transitions": 300,
    "rollouts": 8,
    "depth": 100,
}
MOST_STEPS = 100_000_000  # of the agent, which its minutes end


@dataclass(frozen=True)
class DreamConfig:
    """Make a dream of a game: record it, train a first dream, let an agent learn in it and play the
    game, train on all of that, measure, describe, and open the page to play it."""

    id: str = setting("", "a world, as snake, or any Gymnasium id with images, as ALE/Breakout-v5")
    minutes: float = setting(30.0, "all may take about so long", least=0.5)
    out: str = setting("", "folder of the run; dreams/ID if empty")
    options: tuple[str, ...] = setting((), "of the game, as size=96x128,reward=raw")
    family: str = setting("", "preset of the model; none: by what the recording holds")
    workers: int = setting(2, "processes that record", least=1)
    threads: int = setting(0, "CPU threads of training; 0: torch's choice", least=0)
    device: str = setting("cpu", "where models are trained, e.g. cuda")
    seed: int = setting(0, "of everything", least=0)
    compress: bool = setting(False, "recorded frames without loss in a seventh of the room or less")
    serve: bool = setting(True, "on a terminal, open the page to play it at the end")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.compress:
            optional("zstandard")  # before anything is recorded
        if self.family and self.family not in PRESETS:
            find_preset(self.family)  # which names the nearest one


class DreamRun:
    """The stages of one run; a method named after a stage does it and returns its record."""

    def __init__(self, config: DreamConfig):
        if not config.id:
            raise ValueError("name the game: neural-envs dream ID, as snake or ALE/Breakout-v5")
        self.config = config
        self.root = Path(config.out or f"dreams/{dataset_name(config.id)}")
        self.world, self.env = (config.id, "") if config.id in WORLDS else ("", config.id)
        given = {word.partition("=")[0] for word in config.options}
        signs = () if self.world or "reward" in given else ("reward=sign",)
        self.options = (*config.options, *signs)
        with make_named_game(self.world, self.env, self.options) as env:  # or a sentence, at once
            self.header = game_header(env)
        check_size(self.header["spec"])
        if config.family:
            check_family(config.family, self.header["spec"])
        self.data, self.bundle = self.root / "data", self.root / "dream" / "bundle"

    def run(self) -> str:
        """Do what is not done yet; the figures as lines."""
        config = self.config
        works: dict[str, tuple[Callable[[], Mapping[str, Any]], Path]] = {
            "record": (self.record, self.data / "manifest.json"),
            "first dream": (lambda: self.train("first"), self.root / "first" / "bundle"),
            "an agent learns": (self.learn, self.policy),
            "it plays": (self.play, self.data / "manifest.json"),
            "dream": (lambda: self.train("dream"), self.bundle),
            "evaluate": (self.evaluate, self.root / "evaluation" / "evaluation.json"),
            "report": (self.report, self.root / "report" / "index.html"),
        }
        if not works["evaluate"][1].exists():  # nothing is computed any more
            find_device(config.device)
        note(f"{config.id}: about {config.minutes:g} minutes, into {self.root}")
        with locked(self.root), OverallProgress(SHARES) as overall:
            self.stages = Stages(self.root, settings_of(config, FREE))
            found = {}
            for name, (work, product) in works.items():
                overall.phase(name, loops=2 if name == "evaluate" else 1)
                found[name] = self.stages.run(name, work, product=product)
        return str(found["evaluate"]["text"])

    @property
    def policy(self) -> Path:
        """The policy file of the agent."""
        return self.root / "agent" / POLICY_FILE

    @property
    def page(self) -> list[str]:
        """The words of `serve` that show the dream: on the run's device and, beside it, the game,
        which the page knows by itself where it is a world of ours.
        """
        config, words = self.config, ["--bundle", str(self.bundle)]
        if config.device != DreamConfig.device:
            words += ["--device", config.device]
        if self.env:
            words += ["--twin", self.env]
        if self.env and config.options:
            words += ["--real-options", ",".join(config.options)]
        return words

    def record(self) -> dict[str, Any]:
        """Random and sticky play, or the mixture of players of a world."""
        players = "mix" if self.world else PLAYERS
        frames = max(self._frames(players, "record"), asked_frames(self.data))
        dataset = self._collect(players, self.data, frames)
        while not all(dataset.split().values()) and frames < MOST_FRAMES:
            few = f"{len(dataset.episodes)} episodes are too few to train and to measure on"
            frames = min(2 * frames, MOST_FRAMES)
            note(f"{few}: {frames} steps are recorded, whatever time that takes")
            dataset = self._collect(players, self.data, frames)
        choice = choose_family(dataset)
        family = self.config.family or choice.preset
        note(f"{dataset.steps} steps recorded; {family}: {choice.reason}")
        return {
            "frames": dataset.steps,
            "shards": len(dataset.shards),
            "family": family,
            **choice._asdict(),
        }

    def train(self, part: str) -> dict[str, Any]:
        """A model from the beginning, as long as this part of the run may take."""
        made = json.loads(self.stages.path.read_text())["done"]["record"]
        stage = "first dream" if part == "first" else "dream"
        preset = replace(
            fitted(made["family"], find_preset(made["family"]), self.header["spec"]["frame_shape"]),
            data=self.data,
            out=self.root / part,
            schedule="minutes",
            minutes=SHARES[stage] * self.config.minutes,
            threads=self.config.threads,
            device=self.config.device,
            seed=self.config.seed,
        )
        train(preset, load_model)
        machine = machine_class(preset.device)
        return {"family": made["family"], "minutes": preset.minutes, "machine": machine}

    def learn(self) -> dict[str, Any]:
        """An agent, by PPO in the first dream."""
        config = self.config
        run = PPOConfig(
            config.id,
            "dream",
            MOST_STEPS,
            str(self.root / "agent"),
            config.seed,
            str(self.root / "first" / "bundle"),
        )
        run = replace(run, device=config.device, ppo=quick(ppo_settings(config.id)))
        train_ppo(run, self._seconds("an agent learns"))
        return {}

    def play(self) -> dict[str, Any]:
        """The agent in the real game, half of the time with random actions; its games are added to
        the recording.
        """
        from agents.ppo.player import AgentPolicy

        actions = ActionSpace.of_spec(self.header["spec"]).for_policies
        name = f"{self.policy},{self.policy}:{AGENT_NOISE}"
        player = make_policy(name, actions, WORLDS.get(self.world), AgentPolicy)
        played = self.root / "data-agent"
        self._collect(player, played, self._frames(player, "it plays"))
        made = json.loads(self.stages.path.read_text())["done"]["record"]
        dataset = add_recording(self.data, played, made["shards"])
        return {"frames": dataset.steps}

    def evaluate(self) -> dict[str, Any]:
        """The figures of the dream on games that training never saw."""
        minutes = max(1.0, SHARES["evaluate"] * self.config.minutes)
        update_provenance(self.bundle, {"made": f"neural-envs dream {self.config.id}"})
        report = evaluate_bundle(
            EvaluateConfig(
                bundle=str(self.bundle),
                data=str(self.data),
                out=str(self.root / "evaluation"),
                minutes=minutes,
                quick=minutes < 5,
                ranking=False,
                update_card=True,
                device=self.config.device,
            )
        )
        return {"text": as_text(report)}

    def report(self) -> dict[str, Any]:
        """The page about the dream."""
        line = write_report(
            ReportConfig(
                bundle=str(self.bundle),
                data=str(self.data),
                evaluation=str(self.root / "evaluation"),
                run=str(self.root / "dream"),
                **REPORT_SIZE,
                out=str(self.root / "report"),
                overwrite=True,
            )
        )
        return {"text": line}

    def _seconds(self, stage: str) -> float:
        return 60 * SHARES[stage] * self.config.minutes

    def _frames(self, players: str | Policy, stage: str) -> int:
        """How many steps are recorded in the time of a stage, as fast as they are played here."""
        world, spec = WORLDS.get(self.world), self.header["env_spec"]
        task = ShardTask(str(self.root), spec, world, players, self.config.seed, 0, SHARD_STEPS)

        def measured() -> dict[str, int]:
            steps = steps_per_second(task) * self._seconds(stage) * self.config.workers
            return {"frames": round(min(max(steps, LEAST_FRAMES), MOST_FRAMES))}

        # once: a run that goes on records as much as it began with
        return int(self.stages.run(f"{stage}: how much", measured)["frames"])

    def _collect(self, players: str | Policy, out: Path, frames: int) -> Dataset:
        env_id, options = named_game(self.world, self.env, self.options)
        how: dict[str, Any] = {"workers": self.config.workers, "seed": self.config.seed}
        how["compress"] = self.config.compress
        return collect(
            env_id, out, frames, players, options, shard_steps=SHARD_STEPS, resume=True, **how
        )


def run(config: DreamConfig) -> str:
    """Make the dream; on a terminal, open the page to play it. Return figures and commands."""
    made = DreamRun(config)
    figures = made.run()
    bundle = str(made.bundle)
    lines = [
        figures,
        f"report: {made.root / 'report' / 'index.html'}",
        f"play it: {shlex.join(['neural-envs', 'serve', *made.page])}",
        f'in Python: gym.make("neural_envs:NeuralEnv-v0", bundle="{bundle}")',
    ]
    if config.serve and on_terminal():
        print("\n".join(lines), flush=True)
        return _served(made.page)
    return "\n".join(lines)


def _served(words: list[str]) -> str:
    """Serve the page of these words until Ctrl-C; a line about it."""
    try:
        from neural_envs.web.server import main as serve

        serve(words)
    except (MissingExtra, Interrupted, KeyboardInterrupt) as error:
        return str(error)
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """The verb `dream`; returns the exit code."""
    return command(DreamConfig, run, argv, "neural-envs dream", ("id",))
