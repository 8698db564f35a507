"""PPO settings that learn each world on two CPU cores; the same for its dream and its real game."""

from dataclasses import dataclass, replace

from collectors.settings.parse import setting


@dataclass(frozen=True)
class PPOSettings:
    """The hyperparameters of one PPO run; names as in stable-baselines3."""

    num_envs: int = setting(64, "lanes played at once")
    n_steps: int = setting(32, "steps a lane between updates")
    batch_size: int = setting(512, "samples a gradient step")
    n_epochs: int = setting(3, "passes over each rollout")
    learning_rate: float = setting(1e-3, "at the start")
    final_learning_rate: float = setting(1e-4, "at the end; linear between")
    gamma: float = setting(0.97, "discount a step")
    gae_lambda: float = setting(0.95, "advantage estimation")
    ent_coef: float = setting(0.01, "weight of the entropy bonus")
    clip_range: float = setting(0.2, "how far an update may move the policy")
    features_dim: int = setting(128, "size of the feature vector")
    width: int = setting(16, "channels of the patch convolution")
    stack: int = setting(1, "frames that the policy sees at once; speeds show only in several")


def snake() -> PPOSettings:
    """One frame shows the whole board, apples come often: the defaults."""
    return PPOSettings()


def pong() -> PPOSettings:
    """Points are far apart, so many gradient steps are made of what there is; two frames show the
    speeds.
    """
    return PPOSettings(n_steps=64, n_epochs=4, gamma=0.99, ent_coef=0.005, stack=2)


def worldmap() -> PPOSettings:
    """Short voyages; all there is to see is in one frame."""
    return PPOSettings(width=32)


def coinrun() -> PPOSettings:
    """A coin is a long way off, jumps are seen in motion, and the pictures are rich."""
    return PPOSettings(n_steps=64, batch_size=1024, gamma=0.99, width=32, features_dim=256, stack=4)


def any_game() -> PPOSettings:
    """A game without a preset: four frames, for some of them move; a long horizon."""
    return PPOSettings(n_steps=64, batch_size=1024, gamma=0.99, width=32, stack=4)


def quick(settings: PPOSettings) -> PPOSettings:
    """The same for a budget of seconds: short rollouts, so that the policy is updated often."""
    return replace(settings, n_steps=16, batch_size=256)


PRESETS = {"snake": snake, "pong": pong, "worldmap": worldmap, "coinrun": coinrun}


def ppo_settings(name: str) -> PPOSettings:
    """Return the preset of a world; one without a preset of its own gets that of any game."""
    return PRESETS.get(name, any_game)()
