"""Train PPO in a dream or in the real game: `neural-envs ppo snake --world dream`."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from collectors.progress import progress
from collectors.settings import as_text, parse

from .networks import PatchCNN
from .presets import PPOSettings, ppo_settings
from .worlds import Kind, make_world

POLICY_FILE = "policy.zip"


@dataclass(frozen=True)
class PPOConfig:
    """Train PPO in a world's dream or in its real game."""

    name: str = field(default="snake", metadata={"help": "the world"})
    world: Kind = field(default="dream", metadata={"help": "where to train: in the dream or in the real game"})
    steps: int = field(default=300_000, metadata={"help": "environment steps, all lanes together"})
    out: str = field(default="runs/ppo", metadata={"help": "folder for policy.zip, progress.csv and settings.yaml"})
    seed: int = field(default=0, metadata={"help": "seed of the network, the sampling and the worlds"})
    bundle: str | None = field(default=None, metadata={"help": "the dream's model; none: the released one"})
    ppo: PPOSettings = field(default_factory=PPOSettings)


class ProgressBar(BaseCallback):
    """Shows steps, rate and the mean return of the latest episodes; stops the training after `seconds`, if given."""

    def __init__(self, total: int, desc: str, seconds: float | None = None):
        super().__init__()
        self._bar = progress(total=total, desc=desc, unit="step")
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def _on_step(self) -> bool:
        self._bar.update(self.training_env.num_envs)
        return self._deadline is None or time.monotonic() < self._deadline

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes:
            mean = sum(episode["r"] for episode in episodes) / len(episodes)
            self._bar.set_postfix_str(f"return {mean:.2f}")

    def _on_training_end(self) -> None:
        self._bar.close()


def make_ppo(env: VecEnv, settings: PPOSettings, seed: int) -> PPO:
    """Make an untrained PPO on the CPU with the patch network."""
    return PPO(
        "CnnPolicy",
        env,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        learning_rate=LinearSchedule(settings.learning_rate, settings.final_learning_rate, 1.0),
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.ent_coef,
        clip_range=settings.clip_range,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "features_extractor_class": PatchCNN,
            "features_extractor_kwargs": {"features_dim": settings.features_dim, "width": settings.width},
            "net_arch": [64],
        },
    )


def train_ppo(config: PPOConfig, seconds: float | None = None) -> Path:
    """Train as `config` says (at most `seconds` long, if given) and return the path of the saved policy.

    The policy appears under its name only when it is complete, so its being there means that the run is finished.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.yaml").write_text(as_text(config) + "\n")
    env = make_world(config.name, config.world, config.ppo.num_envs, config.seed, config.bundle)
    try:
        model = make_ppo(env, config.ppo, config.seed)
        model.set_logger(configure(str(out), ["csv"]))
        bar = ProgressBar(config.steps, f"ppo {config.name} ({config.world})", seconds)
        model.learn(config.steps, callback=bar)
    finally:
        env.close()
    return save_policy(model, out / POLICY_FILE)


def save_policy(model: PPO, path: Path) -> Path:
    """Write the model under a temporary name, then rename it: a reader never sees half a file."""
    partial = path.with_name("partial.zip")
    model.save(partial)
    return partial.replace(path)


def load_policy(path: str | Path) -> PPO:
    """Load a policy that `train_ppo` saved. The zip holds pickled values: load only what you trust.

    Raises FileNotFoundError with the remedy if there is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no trained policy at {path}; train one with: neural-envs ppo snake --out FOLDER")
    return PPO.load(path, device="cpu")


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    name = words[0] if words and not words[0].startswith("-") else PPOConfig.name
    config = parse(PPOConfig(name=name, ppo=ppo_settings(name)), words, "neural-envs ppo", positional=("name",))
    start = time.monotonic()
    try:
        path = train_ppo(config)
    except (ValueError, FileNotFoundError) as error:
        print(f"neural-envs ppo: {error}", file=sys.stderr)
        return 1
    print(f"{config.steps} steps in {time.monotonic() - start:.0f} s; policy: {path}")
    return 0
