"""The whole idea in two minutes: `neural-envs demo`, or `neural-envs demo pong`.

A good player plays a dreamed game and the real one; then PPO learns in the dream and is measured in
the real game.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np

from agents.envs import (
    WORLD_HELP,
    action_count,
    discrete_actions,
    env_id,
    env_settings,
    find_twins,
    named_world,
)
from agents.evaluation.play import Evaluation, evaluate_policy
from agents.ppo.presets import ppo_settings, quick
from agents.ppo.train import PPOConfig, load_policy, train_ppo
from collectors.policies.policies import make_policy
from collectors.settings.parse import setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS

STRIP_FRAMES = 12


@dataclass(frozen=True)
class DemoConfig:
    """Play a dreamed game beside the real one, then learn in the dream and play the real one."""

    name: str = setting("snake", WORLD_HELP)
    out: str = setting("demo", "folder for the video, the strip of frames and the policy")
    seconds: float = setting(60.0, "time for learning in the dream")
    steps: int = setting(100_000, "most steps for learning in the dream")
    frames: int = setting(200, "most frames of the video")
    episodes: int = setting(128, "real episodes for each policy")
    seed: int = setting(0, "seed of everything")
    bundle: str | None = setting(None, "the dream's model; none: the released one")


def make_dream(config: DemoConfig) -> gym.Env:
    """Make the world's dream."""
    dream = env_id(config.name, "dream", config.bundle)
    return gym.make(dream, **env_settings(config.name, "dream", config.bundle))


def play_film(
    env: gym.Env, policy, frames: int, seed: int, options: dict | None = None
) -> tuple[np.ndarray, float]:
    """Play one game of at most `frames` frames; the film (T, H, W, C) uint8 and the return."""
    policy.reset(np.random.default_rng(seed))
    frame, _ = env.reset(seed=seed, options=options)
    film, total, ended = [frame], 0.0, False
    while not ended and len(film) < frames:
        frame, reward, termination, truncation, _ = env.step(policy(frame))
        film.append(frame)
        total += float(reward)
        ended = termination or truncation
    env.close()
    return np.stack(film), total


def film_both(config: DemoConfig) -> list[str]:
    """Write both games side by side, as a video and as a strip; return lines that say so."""
    from collectors.media import side_by_side, write_strip
    from collectors.video_writers import write_video

    world = find_twins(config.name, config.bundle)
    game = gym.make(world.real, **world.options)
    actions = discrete_actions(game.action_space)
    player = make_policy(world.ranking[-1], actions, WORLDS.get(config.name))
    real, real_return = play_film(game, player, config.frames, config.seed)
    start = {"context": real[0]}  # the dream goes on from the real game's first frame
    dream, dream_return = play_film(make_dream(config), player, config.frames, config.seed, start)
    films = side_by_side(dream, real)
    try:
        video = write_video(Path(config.out) / "dream_vs_real.mp4", films)
    except ImportError:  # no ffmpeg on this machine
        video = write_video(Path(config.out) / "dream_vs_real.gif", films)
    rows = [
        film[np.linspace(0, min(len(dream), len(real)) - 1, STRIP_FRAMES).astype(int)]
        for film in (dream, real)
    ]
    strip = write_strip(Path(config.out) / "strip.png", rows, labels=("dream", "real"))
    return [
        f"  dream (left): {len(dream) - 1} steps, return {dream_return:.0f}; "
        f"real game (right): {len(real) - 1} steps, return {real_return:.0f}",
        f"  video {video}, strip {strip}",
    ]


def learn_and_measure(config: DemoConfig) -> dict[str, Evaluation]:
    """Train PPO in the dream; return how it and a random policy play the real game."""
    out = str(Path(config.out) / "ppo")
    settings = quick(ppo_settings(config.name))
    run = PPOConfig(
        config.name, "dream", config.steps, out, config.seed, config.bundle, ppo=settings
    )
    trained = load_policy(train_ppo(run, config.seconds))
    world = find_twins(config.name, config.bundle)
    random = make_policy("random", action_count(world.real, **world.options))
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
    return f"done in {time.monotonic() - start:.0f} s"


def preset(words: list[str]) -> DemoConfig:
    """The settings of the world that the command line is about."""
    return DemoConfig(name=named_world(words, "snake"))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs demo", ("name",))
