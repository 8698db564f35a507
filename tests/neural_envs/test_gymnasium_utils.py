"""RecordVideo and play, as Gymnasium has them, on every id that is registered: games and dreams."""

import gymnasium as gym
import imageio_ffmpeg
import pygame
import pytest
from gymnasium.utils.play import play

from collectors.worlds.registration import ANY_GAME
from collectors.worlds.table import WORLDS
from neural_envs.registration import environments

SETTINGS = {  # of an id that is made with some
    ANY_GAME["id"]: {"env": "neural_envs:NeuralSnake-v0"},
    "NeuralEnv-v0": {"bundle": "snake"},
}
GAMES = [ANY_GAME["id"], *(world.real_id for world in WORLDS.values())]
IDS = [f"collectors:{name}" for name in GAMES]
IDS += [f"neural_envs:{row.id}" for row in environments()]


@pytest.fixture(params=IDS)
def env(request):
    """One environment that draws, of every id."""
    name = request.param
    try:
        made = gym.make(name, render_mode="rgb_array", **SETTINGS.get(name.split(":")[1], {}))
    except gym.error.DependencyNotInstalled as missing:
        if "RealCoinRun" not in name:
            raise
        pytest.skip(str(missing))
    yield made
    made.close()


def test_record_video_writes_what_it_saw(env, tmp_path):
    pytest.importorskip("moviepy")
    film = gym.wrappers.RecordVideo(env, str(tmp_path), disable_logger=True)
    frames, ended = [film.reset(seed=0)[0]], False
    while len(frames) < 5 and not ended:
        frame, _, terminated, truncated, _ = film.step(0)
        frames, ended = [*frames, frame], terminated or truncated
    film.close()
    (path,) = tmp_path.glob("*.mp4")
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == len(frames)


def test_play_turns_posted_keys_into_actions_and_leaves_on_escape(env, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    table = env.get_wrapper_attr("get_keys_to_action")()
    keys, expected = next((keys, action) for keys, action in table.items() if action)
    actions = []

    def watch(before, after, action, *outcome):
        actions.append(int(action))
        if len(actions) == 1:
            press(keys)
        elif len(actions) == 4:
            press([pygame.K_ESCAPE])

    play(
        env,
        callback=watch,
        seed=0,
        zoom=4,
        fps=1000,
        noop=getattr(env.unwrapped, "idle_action", None) or 0,
    )
    assert expected in actions[1:] and env.action_space.contains(expected)


def press(keys):
    """Post a KEYDOWN for each of a table's keys."""
    for part in keys:
        pygame.event.post(
            pygame.event.Event(pygame.KEYDOWN, key=ord(part) if isinstance(part, str) else part)
        )
