"""One player in the dream and in the real game, from the same start, side by side as a film."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from agents.envs import env_id, env_settings, find_twins, policy_actions
from agents.ppo.player import AgentPolicy
from collectors.media import side_by_side, to_rgb, write_strip
from collectors.policies.policies import Policy, make_policy
from collectors.video_writers import write_video
from collectors.worlds.table import WORLDS

STRIP_FRAMES = 12


class Game(NamedTuple):
    """One game, or its first frames."""

    frames: np.ndarray  # (T + 1, H, W, C) uint8
    total: float  # sum of the rewards
    ended: bool  # False where it was cut short

    def __str__(self) -> str:
        steps = len(self.frames) - 1
        end = "" if self.ended else ", still going on"
        return f"{steps} step{'s' * (steps != 1)}, return {self.total:.4g}{end}"


class TwinFilm(NamedTuple):
    """The two games and the files that show them."""

    dream: Game
    real: Game
    video: Path
    strip: Path


def film_twins(
    name: str,
    bundle: str | None,
    policy: str,
    frames: int,
    seed: int,
    folder: str | Path,
    options: Mapping[str, Any] | None = None,
) -> TwinFilm:
    """Write `dream_vs_real.mp4` (.gif where there is no ffmpeg) and `strip.png` into `folder`.

    `policy` is a scripted one's name or a policy file; the dream goes on from the real game's first
    frame, and each game has at most `frames` frames. `options` are the real game's. Raises
    DependencyNotInstalled where the real game is not installed.
    """
    world = find_twins(name, bundle)
    game = gym.make(world.real, disable_env_checker=True, **{**world.options, **(options or {})})
    row = WORLDS.get(name)
    player = make_policy(policy, policy_actions(game.action_space), row, AgentPolicy)
    real = play_film(game, player, frames, seed)
    dream_id, settings = env_id(name, "dream", bundle), env_settings(name, "dream", bundle)
    env = gym.make(dream_id, disable_env_checker=True, **settings)
    dream = play_film(env, player, frames, seed, {"context": real.frames[0]})
    return write_twins(dream, real, folder, float(env.metadata.get("render_fps") or 10))


def write_twins(dream: Game, real: Game, folder: str | Path, fps: float) -> TwinFilm:
    """The files of `film_twins` for two games."""
    shown, out = (to_rgb(dream.frames), to_rgb(real.frames)), Path(folder)
    films = side_by_side(*shown)
    try:
        video = write_video(out / "dream_vs_real.mp4", films, fps)
    except ImportError:  # no ffmpeg on this machine
        video = write_video(out / "dream_vs_real.gif", films, fps)
    moments = np.linspace(0, min(map(len, shown)) - 1, STRIP_FRAMES).astype(int)
    rows = [film[moments] for film in shown]
    return TwinFilm(
        dream, real, video, write_strip(out / "strip.png", rows, labels=("dream", "real"))
    )


def play_film(
    env: gym.Env, policy: Policy, frames: int, seed: int, options: dict | None = None
) -> Game:
    """Play one game of at most `frames` frames and close the environment."""
    policy.reset(np.random.default_rng(seed))
    frame, _ = env.reset(seed=seed, options=options)
    film, total, ended = [frame], 0.0, False
    while not ended and len(film) < frames:
        frame, reward, termination, truncation, _ = env.step(policy(frame))
        film.append(frame)
        total += float(reward)
        ended = termination or truncation
    env.close()
    return Game(np.stack(film), total, ended)
