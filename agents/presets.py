"""PPO settings that learn each world on two CPU cores; the same for its dream and its real game."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PPOSettings:
    """The hyperparameters of one PPO run; names as in stable-baselines3."""

    num_envs: int = field(default=64, metadata={"help": "lanes played at once"})
    n_steps: int = field(default=32, metadata={"help": "steps a lane between updates"})
    batch_size: int = field(default=512, metadata={"help": "samples a gradient step"})
    n_epochs: int = field(default=3, metadata={"help": "passes over each rollout"})
    learning_rate: float = field(default=1e-3, metadata={"help": "at the start"})
    final_learning_rate: float = field(default=1e-4, metadata={"help": "at the end; linear between"})
    gamma: float = field(default=0.97, metadata={"help": "discount a step"})
    gae_lambda: float = field(default=0.95, metadata={"help": "advantage estimation"})
    ent_coef: float = field(default=0.01, metadata={"help": "weight of the entropy bonus"})
    clip_range: float = field(default=0.2, metadata={"help": "how far an update may move the policy"})
    features_dim: int = field(default=128, metadata={"help": "size of the feature vector"})
    width: int = field(default=16, metadata={"help": "channels of the patch convolution"})


def snake() -> PPOSettings:
    return PPOSettings()


def snake_demo() -> PPOSettings:
    """For a budget of seconds: short rollouts, so that the policy is updated often."""
    return PPOSettings(n_steps=16, batch_size=256, learning_rate=1e-3)


PRESETS = {"snake": snake}


def ppo_settings(name: str) -> PPOSettings:
    """Return the preset of a world; a world without one gets the defaults."""
    return PRESETS.get(name, PPOSettings)()
