"""Does it help to truncate a dream where its trust is low? `neural-envs trust WORLD`.

A small world model learns from a few random games only, so a policy soon gets where it has never
been. Its trust is calibrated on games held out from it, and the same PPO is trained in it with
`min_trust` and without. Both, and a random policy, are measured in the real game. What is done is
not repeated: a killed run goes on.
"""

import csv
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from agents.envs import DEVICE_HELP, env_id, env_settings, game_actions, named_world
from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from agents.evaluation.play import Episodes, play_policy, summarise
from agents.experiments.stages import Settings, Stages, settings_of, write_json
from agents.ppo.presets import PPOSettings, ppo_settings
from agents.ppo.train import POLICY_FILE, PPOConfig, load_policy, train_ppo
from collectors.dataset.dataset import dataset_name
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.recording.collect import collect
from collectors.recording.named_game import read_options
from collectors.settings.parse import LISTED_BY, check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import UnknownNameError, unknown
from neural_envs.bundles import checked_device, load_model
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS
from world_models.training.run import train

FREE = (  # may change when a run goes on
    "out",
    "device",
    "seeds",
    "min_trust",
    "episodes",
    "world_model.data",
    "world_model.out",
    "world_model.threads",
    "world_model.device",
)
COUNTS = EvaluationOptions(  # of the short evaluation that calibrates trust
    transitions=1_000,
    random_actions=1_000,
    rollouts=16,
    horizon=8,
    kid_frames=0,
    survival_steps=50,
    survival_lanes=4,
)


@dataclass(frozen=True)
class TrustConfig:
    """PPO in a dream of too little data, with and without min_trust, measured in the real game."""

    name: str = setting("snake", "the world")
    frames: int = setting(2_000, "of random play, all that the dream learns from", least=1)
    steps: int = setting(80_000, "of each PPO, all lanes together", least=1)
    min_trust: float = setting(0.5, "trust below which a dream is truncated", least=0, most=1)
    seeds: tuple[int, ...] = setting((0, 1), "of the PPO runs")
    episodes: int = setting(64, "real episodes for each policy", least=2)
    out: str = setting("runs/trust", "folder for data, model, policies and trust.json")
    real_options: tuple[str, ...] = setting((), "of the real game, as grid_size=8")
    device: str = setting("cpu", DEVICE_HELP)
    ppo: PPOSettings = field(default_factory=PPOSettings, metadata={LISTED_BY: "neural-envs ppo"})
    # `data` and `out` are set by the experiment.
    world_model: TrainConfig = field(
        default_factory=lambda: few_updates("snake"), metadata={LISTED_BY: "neural-envs train"}
    )

    def __post_init__(self):
        check_settings(self)
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds are different whole numbers from 0 on, as --seeds 0,1")


def few_updates(name: str) -> TrainConfig:
    """The training preset of a world, cut to what little data bear.

    Raises UnknownNameError if there is none.
    """
    if name not in PRESETS:
        raise UnknownNameError(unknown("training preset", name, PRESETS))
    return replace(PRESETS[name](), updates=500, warmup=101, validate_every=250)


class Experiment:
    """One run in `config.out`; what is done is not repeated. Raises StageError as `Stages`."""

    def __init__(self, config: TrustConfig):
        self.config, self.root = config, Path(config.out)
        self.stages = Stages(self.root, settings_of(config, FREE))
        self.game = env_id(config.name, "real")
        self.options = env_settings(config.name, "real", options=config.real_options)
        self.bundle = self.root / "model" / "bundle"

    def run(self) -> dict:
        """Do what is not done yet; write `trust.json` and return what is in it.

        Raises LockError where another process writes the folder.
        """
        checked_device(self.config.device)  # before a training on another one
        with locked(self.root):
            return self._run()

    def _run(self) -> dict:
        self.stages.run("collect", self._collect)
        self.stages.run("train", self._train, product=self.bundle)
        trust = self.stages.run("evaluate", self._evaluate)["trust"]
        rows = {
            "without": self._row(None),
            "with_min_trust": self._row(self.config.min_trust),
            "random": summarise(self._random()).as_dict(),
        }
        about = {"frames": self.config.frames, "min_trust": self.config.min_trust}
        result = {**rows, "trust": trust, **about}
        write_json(self.root / "trust.json", result)
        return result

    def _collect(self) -> dict:
        dataset = collect(
            self.game,
            self.root / "data",
            self.config.frames,
            "random",
            env_options=read_options(self.config.real_options),
            resume=True,
        )
        return {"frames": dataset.steps}

    def _train(self) -> dict:
        own = replace(self.config.world_model, data=self.root / "data", out=self.root / "model")
        return {"bundle": str(train(own, load_model))}

    def _evaluate(self) -> dict:
        """A short evaluation: it measures trust and writes the calibration into the bundle."""
        report = evaluate_bundle(
            EvaluateConfig(
                bundle=str(self.bundle),
                data=str(self.root / "data"),
                out=str(self.root / "evaluation"),
                update_card=True,
                ranking=False,
                game=False,
                control_clips=0,
                decision_states=0,
                device=self.config.device,
                **asdict(COUNTS),
            )
        )
        return {"trust": json.loads(report.path.read_text())["trust"]}

    def _row(self, min_trust: float | None) -> dict:
        """What PPO in the dream reached over all seeds, in the real game and in its dream."""
        runs = [self._learned(min_trust, seed) for seed in self.config.seeds]
        played = [Episodes.from_dict(one["real"]) for one in runs]
        return {
            **summarise(Episodes.joined(played)).as_dict(),
            "by_seed": [float(one.returns.mean()) for one in played],
            "dreamed_return": [one["dreamed_return"] for one in runs],
        }

    def _learned(self, min_trust: float | None, seed: int) -> dict:
        """PPO in the dream with one seed: {"real": its episodes, "dreamed_return"}."""
        label = "without" if min_trust is None else f"trust_{min_trust:g}"
        out = self.root / f"ppo_{label}_seed_{seed}"
        dream = PPOConfig(
            self.config.name,
            "dream",
            self.config.steps,
            str(out),
            seed,
            str(self.bundle),
            min_trust=min_trust,
            device=self.config.device,
            ppo=self.config.ppo,
        )

        def learn() -> dict:
            train_ppo(dream)
            return {"dreamed_return": dreamed_return(out)}

        def play() -> dict:
            return self._play(load_policy(out / POLICY_FILE), seed + 1_000_000).as_dict()

        learned = self.stages.run(f"{label}/seed_{seed}/learn", learn, product=out / POLICY_FILE)
        played = self.stages.run(
            f"{label}/seed_{seed}/play",
            play,
            self._episodes(),
            repeat=True,
            check=Episodes.check_dict,
        )
        return {"real": played, "dreamed_return": learned["dreamed_return"]}

    def _random(self) -> Episodes:
        def play() -> dict:
            actions = game_actions(self.game, **self.options)
            policy = make_policy("random", actions)
            return self._play(policy, 1_000_000).as_dict()

        return Episodes.from_dict(
            self.stages.run(
                "random/play", play, self._episodes(), repeat=True, check=Episodes.check_dict
            )
        )

    def _play(self, policy, seed: int) -> Episodes:
        return play_policy(policy, self.game, self.config.episodes, seed, **self.options)

    def _episodes(self) -> Settings:
        return Settings({"episodes": str(self.config.episodes)}, {})


def dreamed_return(run: Path) -> float | None:
    """The mean return of a run's policy in its dream at the end: the last one in its tables."""
    rows = []
    for table in sorted(run.glob("progress*.csv"), key=lambda path: path.stat().st_mtime):
        with table.open(newline="") as lines:
            rows += [row for row in csv.DictReader(lines) if row.get("rollout/ep_rew_mean")]
    return float(rows[-1]["rollout/ep_rew_mean"]) if rows else None


def format_table(result: dict) -> str:
    """The result as lines for a terminal."""
    lines = [f"{'PPO in the dream':<18}{'real return':>12}  {'95 %':<16}{'in its dream':>13}"]
    for name in ("without", "with_min_trust", "random"):
        row = result[name]
        dreamed = [value for value in row.get("dreamed_return", []) if value is not None]
        shown = f"{sum(dreamed) / len(dreamed):.2f}" if dreamed else "-"
        span = "{:.2f} to {:.2f}".format(*row["return_ci"])
        lines.append(f"{name:<18}{row['return_mean']:>12.2f}  {span:<16}{shown:>13}")
    runs = len(result["without"].get("by_seed", []))
    over = f"95 % intervals are over games, as if the {runs} PPO runs of a line did not differ"
    return "\n".join([*lines, over if runs > 1 else "one PPO run a line: 95 % over its games"])


def run(config: TrustConfig) -> str:
    """Run the experiment; return its table and where it is written."""
    table = format_table(Experiment(config).run())
    return f"{table}\nwritten to {Path(config.out) / 'trust.json'}"


def preset(words: list[str]) -> TrustConfig:
    """The settings of the world that the command line is about."""
    name = named_world(words, TrustConfig.name)
    out = f"runs/trust/{dataset_name(name)}"
    return TrustConfig(name, out=out, ppo=ppo_settings(name), world_model=few_updates(name))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs trust", ("name",))
