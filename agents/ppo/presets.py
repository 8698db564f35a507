"""PPO settings that learn a world on two CPU cores; the same for its dream and its real game.

What a world changes is in its row of `collectors.worlds.table`.
"""

from dataclasses import dataclass, replace

from collectors.progress import duration
from collectors.settings.parse import setting
from collectors.worlds.table import WORLDS

ANY_GAME_STEPS = 300_000  # of a game that is not in the table
STEPS_PER_SECOND = 400  # of PPO on two cores, about; before it has begun there is no better word


@dataclass(frozen=True)
class PPOSettings:
    """The hyperparameters of one PPO run; names as in stable-baselines3."""

    num_envs: int = setting(64, "lanes played at once")
    n_steps: int = setting(32, "steps per lane between updates")
    batch_size: int = setting(512, "samples per gradient step")
    n_epochs: int = setting(3, "passes over each rollout")
    learning_rate: float = setting(1e-3, "at the start")
    final_learning_rate: float = setting(1e-4, "at the end; linear between")
    gamma: float = setting(0.97, "discount per step")
    gae_lambda: float = setting(0.95, "advantage estimation")
    ent_coef: float = setting(0.01, "weight of the entropy bonus")
    clip_range: float = setting(0.2, "how far an update may move the policy")
    features_dim: int = setting(128, "size of the feature vector")
    width: int = setting(16, "channels of the patch convolution")
    stack: int = setting(1, "frames that the policy sees at once; speeds show only in several")


def any_game() -> PPOSettings:
    """A game that is not in the table: four frames, since motion may matter; a long horizon."""
    return PPOSettings(n_steps=64, batch_size=1024, gamma=0.99, width=32, stack=4)


def quick(settings: PPOSettings) -> PPOSettings:
    """The same for a budget of seconds: short rollouts, so that the policy is updated often."""
    return replace(settings, n_steps=16, batch_size=256)


def ppo_settings(name: str) -> PPOSettings:
    """The settings of a world: those of its row in the table of worlds, else `any_game`."""
    return PPOSettings(**WORLDS[name].ppo) if name in WORLDS else any_game()


def ppo_steps(name: str) -> int:
    """The steps after which a world's real game has taught something: those of its row."""
    return WORLDS[name].ppo_steps if name in WORLDS else ANY_GAME_STEPS


def played_steps(steps: int, settings: PPOSettings) -> int:
    """The steps that a training of at least `steps` plays: whole rollouts of all lanes."""
    rollout = settings.n_steps * settings.num_envs
    return -(-steps // rollout) * rollout


def expected_time(steps: int, settings: PPOSettings, device: str, trainings: int = 1) -> str:
    """Where so many steps of PPO are computed in each training, and about how long all take; also
    how many steps that are where whole rollouts are more.
    """
    played = played_steps(steps, settings)
    whole = f" ({played} steps in whole rollouts)" if played != steps else ""
    if device != "cpu":
        return f"on {device}{whole}"
    seconds = duration(max(1, played * trainings / STEPS_PER_SECOND))
    return f"on the processor, about {seconds} at {STEPS_PER_SECOND} steps per second{whole}"
