"""The whole idea in two minutes: `neural-envs demo`, or `neural-envs demo pong`.

A good player plays a dreamed game and the real one; then PPO learns in the dream and is measured in
the real game.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from agents.envs import DEVICE_HELP, WORLD_HELP, find_twins, game_actions, named_world
from agents.evaluation.play import Evaluation, evaluate_policy
from agents.evaluation.twin_film import film_twins
from agents.ppo.presets import ppo_settings, quick
from agents.ppo.train import POLICY_FILE, PPOConfig, load_policy, train_ppo
from collectors.policies.policies import make_policy
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from neural_envs.bundles import checked_device


@dataclass(frozen=True)
class DemoConfig:
    """Play a dreamed game beside the real one, then learn in the dream and play the real one."""

    name: str = setting("snake", WORLD_HELP)
    out: str = setting("demo", "folder for the video, the strip of frames and the policy")
    seconds: float = setting(60.0, "time for learning in the dream", above=0)
    steps: int = setting(100_000, "most steps for learning in the dream", least=1)
    frames: int = setting(200, "most frames of the video", least=1)
    episodes: int = setting(128, "real episodes for each policy", least=1)
    seed: int = setting(0, "seed of everything", least=0)
    bundle: str | None = setting(None, "the dream's model; none: the released one")
    device: str = setting("cpu", DEVICE_HELP)

    def __post_init__(self):
        check_settings(self)


def film_both(config: DemoConfig) -> list[str]:
    """Write both games side by side, as a video and as a strip; return lines that say so."""
    player = find_twins(config.name, config.bundle).ranking[-1]
    film = film_twins(config.name, config.bundle, player, config.frames, config.seed, config.out)
    return [
        f"  dream (left): {film.dream}; real game (right): {film.real}",
        f"  video {film.video}, strip {film.strip}",
    ]


def learn_and_measure(config: DemoConfig) -> dict[str, Evaluation]:
    """Train PPO in the dream; return how it and a random policy play the real game."""
    out = str(Path(config.out) / "ppo")
    settings = quick(ppo_settings(config.name))
    run = PPOConfig(config.name, "dream", config.steps, out, config.seed, config.bundle)
    run = replace(run, device=config.device, ppo=settings)
    trained = load_policy(train_ppo(run, config.seconds))
    world = find_twins(config.name, config.bundle)
    random = make_policy("random", game_actions(world.real, **world.options))
    return {
        name: evaluate_policy(policy, world.real, config.episodes, config.seed, **world.options)
        for name, policy in (("random", random), ("learned in the dream", trained))
    }


def format_table(rows: dict[str, Evaluation], event: str = "events") -> str:
    """The evaluations as lines for a terminal; `event` is the world's word for a reward."""
    lines = [f"{'in the real game':<24}{'return':>8}{event:>10}  {'95 %':<16}{'steps':>7}"]
    for name, row in rows.items():
        span = "{:.2f} to {:.2f}".format(*row.events_ci)
        lines.append(
            f"{name:<24}{row.return_mean:>8.2f}{row.events_mean:>10.2f}  "
            f"{span:<16}{row.length_mean:>7.0f}"
        )
    return "\n".join(lines)


def run(config: DemoConfig) -> str:
    """Film, learn, measure; print each part as it is done; return the time it took."""
    checked_device(config.device)
    start = time.monotonic()
    world = find_twins(config.name, config.bundle)
    player = world.ranking[-1]
    print(
        f"1. a good player ({player}, which sees only pixels) in the dream and in the real game",
        flush=True,
    )
    print("\n".join(film_both(config)))
    print(
        f"2. PPO learns in the dream for {config.seconds:.0f} seconds, then plays the real game",
        flush=True,
    )
    print(format_table(learn_and_measure(config), world.event))
    policy = Path(config.out) / "ppo" / POLICY_FILE
    return (
        f"done in {time.monotonic() - start:.0f} s; watch what was learned: neural-envs play "
        f"{config.name} --real --policy {policy}\n"
        "or play yourself, in the browser: neural-envs serve"
    )


def preset(words: list[str]) -> DemoConfig:
    """The settings of the world that the command line is about."""
    return DemoConfig(name=named_world(words, "snake"))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs demo", ("name",))
