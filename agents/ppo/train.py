"""Train PPO in a dream or in the real game: `neural-envs ppo WORLD --world dream`.

In the dream of any bundle: `neural-envs ppo --bundle runs/any/bundle`.
"""

import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from agents.envs import (
    BACKEND_HELP,
    DEVICE_HELP,
    WORLD_HELP,
    Backend,
    Kind,
    dream_settings,
    env_id,
    env_settings,
    find_twins,
    make_vector_env,
    weights_fingerprint,
)
from agents.ppo.backend_line import BackendLine
from agents.ppo.checkpoints import (
    POLICY_FILE,
    Checkpoint,
    Checkpoints,
    KeptPolicies,
    newest_checkpoint,
    remove_checkpoints,
    remove_kept_policies,
    save_checkpoint,
)
from agents.ppo.policy_file import (
    Learner,
    Origin,
    make_ppo,
    read_policy,
    read_weights,
    save_policy,
)
from agents.ppo.presets import PPOSettings, played_steps
from agents.ppo.progress_table import ProgressTable
from agents.ppo.run_folder import SETTINGS_FILE
from agents.ppo.torch_learner import TensorLanes, TensorRollout, TorchPPO
from agents.ppo.vec_env import sb3_env
from collectors.files import write_atomically
from collectors.interrupts import StopRequest, deferred_interrupts
from collectors.locks import locked
from collectors.progress import progress
from collectors.settings.parse import as_text, check_settings, setting
from neural_envs.bundles import checked_device, label_of
from neural_envs.ray_vector_env import RayVectorEnv


@dataclass(frozen=True)
class PPOConfig:
    """Train PPO in a world's dream or in its real game."""

    name: str = setting("snake", WORLD_HELP)
    world: Kind = setting("dream", "where to train: in the dream or in the real game")
    steps: int = setting(300_000, "environment steps, all lanes together")
    out: str = setting("runs/ppo", "folder for policy.zip, progress.csv and settings.yaml")
    seed: int = setting(0, "seed of the network, the sampling and the worlds")
    bundle: str | None = setting(None, "the dream's model; none: the released one")
    save_every: int = setting(20, "rollouts between checkpoints, from which the run goes on")
    real_options: tuple[str, ...] = setting((), "of the real game, as num_levels=500")
    init_from: str = setting("", "a policy.zip to begin with, of the same network")
    ray: str = setting("", "lanes on a Ray cluster: its address, or local to start one")
    actors: int = setting(2, "with ray: processes that share the lanes; not in the result")
    min_trust: float | None = setting(
        None,
        "end a dream, as a truncation, where its trust falls below this; see docs/trust.md",
        least=0,
        most=1,
    )
    starts: str = setting(
        "", "a dataset: dreams branch off anywhere in its training episodes, not at starts"
    )
    horizon: int | None = setting(
        None, "steps after which a dream is cut short, as a truncation; none: the game's"
    )
    backend: Backend = setting("auto", BACKEND_HELP)
    device: str = setting("cpu", DEVICE_HELP)
    learner: Literal["sb3", "torch"] = setting(
        "sb3", "stable-baselines3, or the same with frames that stay on the device, for dreams only"
    )
    ppo: PPOSettings = field(default_factory=PPOSettings)

    def __post_init__(self):
        check_settings(self)
        if self.learner == "torch" and (self.world == "real" or self.ray):
            raise ValueError(
                "learner=torch plays dreams on its own device: leave it out in the real game and "
                "with ray"
            )


class ProgressBar(BaseCallback):
    """Shows steps, rate and mean return of the latest episodes; ends the training by `seconds`,
    and then counts those, for nobody knows how many steps they hold.
    """

    def __init__(self, total: int, desc: str, seconds: float | None = None, done: int = 0):
        super().__init__()
        if seconds is None:
            self._bar = progress(total=total, desc=desc, unit="step", initial=done)
        else:
            self._bar = progress(total=max(1, round(seconds)), desc=desc, unit="s")
        self._left, self._end = seconds, time.monotonic() + (seconds or 0.0)

    def _on_step(self) -> bool:
        if self._left is None:
            self._bar.update(self.training_env.num_envs)
            return True
        left = max(0.0, self._end - time.monotonic())
        self._bar.update(self._left - left)
        self._left = left
        return left > 0

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes:
            mean = sum(episode["r"] for episode in episodes) / len(episodes)
            self._bar.set_postfix_str(f"return {mean:.2f}")

    def _on_training_end(self) -> None:
        self._bar.close()


def train_ppo(config: PPOConfig, seconds: float | None = None, kept: int = 0) -> Path:
    """Train as `config` says, at most `seconds` long if given; the path of the saved policy.

    `kept` policies from along the training stay beside it, see `KeptPolicies`.
    The policy appears under its name only when it is complete, so its being there means that the
    run is finished. A run that was killed goes on from its last checkpoint, if that was made with
    the same settings and the same dream; its games start anew, so it is as good as the run it would
    have been, but not the same. Raises LockError where another process writes the folder, and
    Interrupted after a signal, once a checkpoint is written.
    """
    out = Path(config.out)
    checked_device(config.device)
    with locked(out), deferred_interrupts() as stop:
        found = _open_run(out, run_text(config) + "\n")
        env = _make_env(config, found.steps if found else 0)
        try:
            model = _learn(config, env, found, _callbacks(config, found, seconds, kept, stop))
        finally:
            env.close()
        if stop:
            save_checkpoint(model, out)
            stop.end(f"{model.num_timesteps} steps are saved in {out}, the same command goes on")
        policy = save_policy(model, out / POLICY_FILE, origin(config))
        remove_checkpoints(out)
    return policy


def _make_env(config: PPOConfig, done: int) -> VecEnv:
    """The environment of a run after `done` steps."""
    dreamed = {}
    if config.world == "dream":
        dreamed = dream_settings(
            config.min_trust,
            config.starts,
            config.horizon,
            config.backend,
            config.device,
            "torch" if config.learner == "torch" else "numpy",
        )
    constructor = env_settings(
        config.name, config.world, config.bundle, config.real_options, dreamed
    )
    make = (
        partial(
            RayVectorEnv,
            actors=config.actors,
            address=config.ray,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        if config.ray
        else make_vector_env
    )
    identifier = env_id(config.name, config.world, config.bundle)
    envs = make(identifier, config.ppo.num_envs, **constructor)
    if config.learner == "sb3":
        return sb3_env(envs, config.seed + done, config.ppo.stack)
    lanes = TensorLanes(envs, config.ppo.stack)
    lanes.seed(config.seed + done)
    return lanes


def learner_of(config: PPOConfig) -> Learner:
    """What learns, and where."""
    if config.learner == "sb3":
        return Learner(device=config.device)
    return Learner(TorchPPO, config.device, {"rollout_buffer_class": TensorRollout})


def _callbacks(
    config: PPOConfig, found: Checkpoint | None, seconds: float | None, kept: int, stop: StopRequest
) -> list[BaseCallback]:
    out, done = Path(config.out), found.steps if found else 0
    total = played_steps(config.steps, config.ppo)
    bar = ProgressBar(total, f"ppo {config.name} ({config.world})", seconds, done)
    keeping = [KeptPolicies(out, kept, config.steps)] if kept else []
    about = [BackendLine()] if config.world == "dream" else []
    return [*about, bar, Checkpoints(out, config.save_every, stop), *keeping]


def _learn(
    config: PPOConfig, env: VecEnv, found: Checkpoint | None, callbacks: list[BaseCallback]
) -> PPO:
    """The policy after all steps, or after those until a callback ends the training."""
    out, done = config.out, found.steps if found else 0
    learner = learner_of(config)
    if found:
        model = read_policy(found.path, env, learner)
    else:
        model = make_ppo(env, config.ppo, config.seed, learner=learner)
    if config.init_from and not found:
        begin_with(model, config.init_from)
    table = ProgressTable(Path(out), done)
    model.set_logger(Logger(out, [table]))
    try:
        model.learn(config.steps - done, callback=callbacks, reset_num_timesteps=not done)
    finally:
        table.close()
    return model


def begin_with(model: PPO, path: str) -> None:
    """Take over the weights of a saved policy, and its optimizer's state.

    Raises ValueError where they do not fit.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"init_from: no trained policy at {path}")
    weights = read_weights(path)
    try:
        model.set_parameters(weights, device=model.device)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"init_from: the policy {path} is of another network or game ({reason})"
        ) from error


def run_text(config: PPOConfig) -> str:
    """All that decides a run, as text: the settings and the model that is dreamed."""
    settings = as_text(
        replace(
            config,
            out="",
            ray="",
            actors=PPOConfig.actors,
            backend=PPOConfig.backend,
            device=PPOConfig.device,
        )
    )
    return f"{settings}\nmodel: {dreamed_weights(config)}"


def dreamed_weights(config: PPOConfig) -> str:
    """The fingerprint of the weights that a run in a dream trains in; "none" in the real game."""
    return weights_fingerprint(config.name, config.bundle) if config.world == "dream" else "none"


def origin(config: PPOConfig) -> Origin:
    """What the policy file says of where its agent learned."""
    weights = dreamed_weights(config)
    if config.world == "real":
        return Origin(config.name, config.world)
    bundle = label_of(config.bundle or find_twins(config.name).bundle)
    return Origin(config.name, config.world, bundle, weights)


def _open_run(out: Path, text: str) -> Checkpoint | None:
    """Write the run's settings; return its own newest checkpoint to go on from, if any."""
    settings = out / SETTINGS_FILE
    if not (settings.is_file() and settings.read_bytes() == text.encode()):
        remove_checkpoints(out)
        remove_kept_policies(out)
    write_atomically(settings, text)
    return newest_checkpoint(out)


def load_policy(path: str | Path) -> PPO:
    """Load a policy that `train_ppo` saved, without unpickling anything.

    Raises FileNotFoundError with the remedy if there is none, PolicyFileError for another file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no trained policy at {path}; train one with: neural-envs ppo WORLD --out FOLDER"
        )
    return read_policy(path)
