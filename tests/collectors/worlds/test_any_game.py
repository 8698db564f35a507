"""Any Gymnasium game: pictures of one size, a spec read from the game, data, and a dream of it."""

import json
import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect, main
from collectors.worlds.any_game import AnyGame
from collectors.worlds.any_game_images import AnyGameError, is_image, resized


class FrameGame(gymnasium.Env):
    """A grey 20x30 picture of the steps so far; actions 5, 6 and 7; pays its step number / `share`,
    for three steps.
    """

    metadata = {"render_modes": []}
    observation_space = spaces.Box(0, 255, (20, 30), np.uint8)

    def __init__(self, share: float = 2.0, continuous: bool = False, length: int = 3):
        self.share, self.length = share, length
        unbounded = spaces.Box(-np.inf, np.inf, (1,))
        self.action_space = unbounded if continuous else spaces.Discrete(3, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros((20, 30), np.uint8), {}

    def step(self, action):
        assert 5 <= action <= 7
        self.count += 1
        return (
            np.full((20, 30), 10 * self.count % 256, np.uint8),
            self.count / self.share,
            self.count == self.length,
            False,
            {},
        )


def bounded_game(**options):
    """The game with unbounded actions, as the refusal of these says that it is to be wrapped."""
    bounds = spaces.Box(-1, 1, (1,))
    return gymnasium.wrappers.TransformAction(
        FrameGame(continuous=True, **options), lambda action: 6 + action, bounds
    )


class Vector(FrameGame):
    """The same without pictures."""

    observation_space = spaces.Box(0, 255, (4,), np.uint8)


@pytest.fixture(autouse=True)
def registered():
    for game in (FrameGame, Vector):
        if f"{game.__name__}-v0" not in gymnasium.registry:
            gymnasium.register(
                f"{game.__name__}-v0",
                entry_point=f"tests.collectors.worlds.test_any_game:{game.__name__}",
            )


def test_pictures_are_resized_by_area_and_grey_ones_get_three_channels():
    image = np.zeros((128, 192), np.uint8)
    image[::2] = 100
    shape = (64, 64, 3)
    assert (resized(image, shape) == 50).all() and resized(image[..., None], shape).shape == shape
    assert resized(np.full((16, 16, 3), 7, np.uint8), shape).shape == shape
    assert (resized(np.full((32, 48, 3), 7, np.uint8), (16, 24, 1)) == 7).all()
    assert is_image(FrameGame.observation_space) and not is_image(Vector.observation_space)
    assert not is_image(spaces.Box(0, 255, (7, 7, 3), np.uint8)) and not is_image(
        spaces.Discrete(3)
    )


def test_the_spec_is_read_from_the_game_and_actions_are_its_own():
    env = gymnasium.make("AnyGame-v0", env="FrameGame-v0", size=32, reward="sign", max_steps=2)
    spec = env.unwrapped.world_spec()
    assert spec == {
        "world": "FrameGame-v0", "frame_shape": [32, 32, 3], "action_names": ["5", "6", "7"],
        "action_space": {"type": "Discrete", "n": 3, "start": 5},
        "reward_values": [-1.0, 0.0, 1.0], "fps": 30, "max_episode_steps": 2,
    }  # fmt: skip
    assert env.reset(seed=2**62)[0].shape == (32, 32, 3)
    assert env.action_space == spaces.Discrete(3, start=5)
    assert env.step(5)[1:4] == (1.0, False, False) and env.step(7)[1:4] == (1.0, False, True)


def test_raw_rewards_are_found_while_collecting_and_resuming_goes_on(tmp_path):
    options = {"env": "FrameGame-v0"}
    dataset = collect("AnyGame-v0", tmp_path / "d", 12, "mix", shard_steps=6, env_options=options)
    assert (
        dataset.spec["reward_values"] == [0.5, 1.0, 1.5] and dataset.spec["world"] == "FrameGame-v0"
    )
    collect(
        "AnyGame-v0", tmp_path / "d", 30, "mix", shard_steps=6, env_options=options, resume=True
    )
    whole = collect("AnyGame-v0", tmp_path / "whole", 30, "mix", shard_steps=6, env_options=options)
    assert Dataset(tmp_path / "d", verify=True).fingerprint == whole.fingerprint


def test_too_many_different_rewards_name_the_remedy(tmp_path, capsys):
    words = ["--env=FrameGame-v0", "--workers=1", f"--out={tmp_path / 'd'}", "--frames=400"]
    whole = ["--frames=5000000", "--shard-steps=5000000"]  # hours, were it found at a shard's end
    assert main([*words[:3], *whole, "--options=length=300"]) == 1
    assert re.search(
        "300 different rewards.*--options reward=sign", capsys.readouterr().err, re.DOTALL
    )
    assert (
        main(
            [
                *words[:2],
                f"--out={tmp_path / 'e'}",
                "--frames=400",
                "--options=length=300,reward=sign",
            ]
        )
        == 0
    )
    spec = json.loads((tmp_path / "e" / "manifest.json").read_text())["spec"]
    assert spec["reward_values"] == [-1.0, 0.0, 1.0] and spec["world"] == "FrameGame-v0"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"env": "FrameGame-v0", "continuous": True}, "no bounds to scale"),
        ({"env": "Vector-v0"}, 'no images: .* its metadata."render_modes". names no rgb_array'),
        ({"env": "Vector-v0", "source": "observation"}, "names no rgb_array"),
        ({"env": "CartPole-v1", "source": "observation"}, "Box.*; leave out source=observation"),
        ({"env": "FrameGame-v0", "reward": "log"}, "reward must be one of"),
        ({"env": "FrameGame-v0", "size": 4}, "size is at least"),
        ({"env": "FrameGame-v0", "size": "64x50"}, "a multiple of 4 in both"),
        ({"env": "FrameGame-v0", "size": 256}, "at most 128"),
        ({"env": "FrameGame-v0", "size": "big"}, "as 64 or 96x128"),
        ({"env": "FrameGame-v0", "color": "grey"}, "color must be one of"),
        ({"env": "FrameGame-v0", "key": "camera"}, "no observation by keys"),
        ({"env": "FrameGame-v0", "max_steps": -1}, "max_steps"),
    ],
)
def test_a_game_that_makes_no_dream_is_refused_with_a_sentence(options, words):
    with pytest.raises(AnyGameError, match=words):
        AnyGame(**options)


def test_unbounded_actions_get_bounds_by_the_wrapper_that_their_refusal_names(tmp_path):
    with pytest.raises(AnyGameError, match=r"TransformAction\(env, f, Box\(low, high\)\)"):
        AnyGame(env="FrameGame-v0", continuous=True)
    gymnasium.register("Bounded-v0", entry_point=bounded_game)
    try:
        options = {"env": "Bounded-v0"}
        dataset = collect("AnyGame-v0", tmp_path / "d", 9, "random", env_options=options)
    finally:
        del gymnasium.registry["Bounded-v0"]
    assert dataset.actions.to_gymnasium() == spaces.Box(-1, 1, (1,))
    assert dataset.episode(0).rewards.tolist() == [0.5, 1.0, 1.5]


def test_the_command_wants_one_game(capsys):
    for words in ([], ["snake", "--env=FrameGame-v0"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "name the game to collect" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["MiniGrid-Empty-5x5-v0", "ALE/Pong-v5"])
def test_a_public_game_is_collected_and_names_its_actions(tmp_path, name):
    pytest.importorskip({"M": "minigrid", "A": "ale_py"}[name[0]])
    options = {"env": name, "reward": "sign", "max_steps": 40}
    dataset = collect("AnyGame-v0", tmp_path / "d", 80, "mix", seed=1, env_options=options)
    again = collect("AnyGame-v0", tmp_path / "e", 80, "mix", seed=1, env_options=options)
    assert dataset.fingerprint == again.fingerprint and dataset.spec["max_episode_steps"] == 40
    assert {"forward", "noop"} & set(dataset.spec["action_names"])
    assert dataset.episode(0).frames.std() > 5
