"""PPO settings that learn each world on two CPU cores; the same for its dream and its real game."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class PPOSettings:
    """The hyperparameters of one PPO run; names as in stable-baselines3."""

    num_envs: int = field(default=64, metadata={"help": "lanes played at once"})
    n_steps: int = field(default=32, metadata={"help": "steps a lane between updates"})
    batch_size: int = field(default=512, metadata={"help": "samples a gradient step"})
    n_epochs: int = field(default=3, metadata={"help": "passes over each rollout"})
    learning_rate: float = field(default=1e-3, metadata={"help": "at the start"})
    final_learning_rate: float = field(
        default=1e-4, metadata={"help": "at the end; linear between"}
    )
    gamma: float = field(default=0.97, metadata={"help": "discount a step"})
    gae_lambda: float = field(default=0.95, metadata={"help": "advantage estimation"})
    ent_coef: float = field(default=0.01, metadata={"help": "weight of the entropy bonus"})
    clip_range: float = field(
        default=0.2, metadata={"help": "how far an update may move the policy"}
    )
    features_dim: int = field(default=128, metadata={"help": "size of the feature vector"})
    width: int = field(default=16, metadata={"help": "channels of the patch convolution"})
    stack: int = field(
        default=1,
        metadata={"help": "frames that the policy sees at once; speeds show only in several"},
    )


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
