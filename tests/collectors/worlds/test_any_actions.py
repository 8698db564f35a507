"""Any game whose actions have parts, and any form of observation: spec, data, and bad input."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.dataset.stats import statistics
from collectors.recording.collect import collect
from collectors.recording.collect import main as collect_main
from collectors.worlds.any_game import AnyGame, twin_options
from collectors.worlds.any_game_images import AnyGameError, is_image, newest, resized
from collectors.worlds.default_keys import RIGHT, UP
from tests.collectors.parts_games import Dot, register

register()
BOX = {"type": "Box", "low": [-2.0, 0.0], "high": [2.0, 4.0]}


def collected(name, path, **options):
    return collect("AnyGame-v0", path, 60, "mix", env_options={"env": name, **options})


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [("Dot", (2,), np.float32), ("Pad", (2,), np.int64), ("Buttons", (3,), np.int64)],
)
def test_actions_are_recorded_as_the_game_takes_them(tmp_path, name, shape, kind):
    dataset = collected(f"{name}-v0", tmp_path, size="16x24")
    episode = dataset.episode(0)
    assert episode.actions.shape == (len(episode), *shape) and episode.actions.dtype == kind
    assert episode.frames.shape[1:] == (16, 24, 3)
    own = gymnasium.make(f"{name}-v0").action_space
    assert dataset.actions.to_gymnasium() == own
    assert all(own.contains(action.astype(own.dtype)) for action in episode.actions)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert manifest["spec"]["action_space"]["type"] == type(own).__name__
    again = Dataset(tmp_path, verify=True)
    assert again.fingerprint == dataset.fingerprint
    shares = statistics(again)["actions"]
    assert len(shares) == (6 if name == "Dot" else sum(dataset.actions.counts))
    assert sum(shares.values()) == pytest.approx(1)


def test_a_game_of_plain_actions_is_still_written_in_format_1(tmp_path):
    collect("RealSnake-v0", tmp_path, 40, "random")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format_version"] == 1 and "action_space" not in manifest["spec"]


@pytest.mark.parametrize(
    "wrong", [{"type": "Box"}, {**BOX, "high": [1.0, 4.0]}, {**BOX, "low": [9.0, 0.0]}]
)
def test_a_dataset_whose_actions_are_not_in_its_space_is_refused(tmp_path, wrong):
    collected("Dot-v0", tmp_path)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["spec"]["action_space"] = wrong
    file.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="actions that are not in|is damaged"):
        Dataset(tmp_path)


def test_the_twin_has_the_same_spaces():
    game = AnyGame("Dot-v0", size="96x128", color="gray", reward="sign", max_steps=9)
    twin = AnyGame(**twin_options(game.world_spec()))
    assert (
        twin.observation_space
        == game.observation_space
        == spaces.Box(0, 255, (96, 128, 1), np.uint8)
    )
    assert twin.action_space == game.action_space == game.game.action_space
    assert twin.world_spec() == game.world_spec()


class OneMap(Dot):
    """A game that has keys for single actions only, and says so by an error."""

    def get_keys_to_action(self):
        raise AttributeError("`get_keys_to_action` can't be provided with `continuous=True`")


def test_a_game_whose_own_keys_fail_has_those_of_its_actions():
    gymnasium.register("OneMap-v0", entry_point=OneMap)
    keys = AnyGame("OneMap-v0", size=16).get_keys_to_action()
    assert keys == AnyGame("Dot-v0", size=16).get_keys_to_action() and keys[(UP,)] == (0, 4)


def test_a_continuous_atari_game_has_keys():
    pytest.importorskip("ale_py")
    game = AnyGame("ALE/Pong-v5", size=16, continuous=True)
    keys = game.get_keys_to_action()
    assert game.action_space.shape == (3,) and keys[(UP,)] != keys[()] != keys[(RIGHT,)]


def test_out_of_range_is_refused_or_clipped():
    game = AnyGame("Dot-v0", size=16)
    game.reset(seed=0)
    with pytest.raises(ValueError, match=r"out_of_range='clip'"):
        game.step([5.0, 0.0])
    game = AnyGame("Dot-v0", size=16, out_of_range="clip")
    game.reset(seed=0)
    game.step([5.0, -1.0])
    assert game.game.unwrapped.taken[0].tolist() == [2.0, 0.0]


def test_bounds_in_float64_are_never_passed_by_rounding():
    game = AnyGame("Rendered-v0", size=16)
    game.reset(seed=0)
    game.step(game.action_space.high)
    game.step(game.action_space.low)
    assert game.game.unwrapped.taken[0].dtype == np.float64


@pytest.mark.parametrize(
    ("name", "options"),
    [("Buttons", {}), ("Buttons", {"key": "camera"}), ("Stacked", {}), ("Rendered", {}),
     ("Cameras", {"key": "right"}), ("Dot", {"source": "render"})],
)  # fmt: skip
def test_the_image_is_found_in_any_observation(name, options):
    game = AnyGame(f"{name}-v0", size=24, **options)
    frame, _ = game.reset(seed=3)
    assert frame.shape == (24, 24, 3) and frame.max() == (127 if name == "Cameras" else 255)
    assert (game.image() == frame).all()


def test_a_game_whose_channels_come_first_keeps_its_colors():
    frames = [AnyGame(f"{name}-v0", size=24).reset(seed=3)[0] for name in ("Planes", "Dot")]
    assert (frames[0] == frames[1]).all() and frames[0].max((0, 1)).tolist() == [255, 160, 40]


GRAY, COLOR = (np.random.default_rng(0).integers(0, 256, (20, 30, c), np.uint8) for c in (1, 3))
OLDER, DARK = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30, 9), np.uint8)


@pytest.mark.parametrize(
    ("observed", "image"),
    [
        (GRAY, GRAY),
        (COLOR, COLOR),
        (COLOR.transpose(2, 0, 1), COLOR),
        (GRAY.transpose(2, 0, 1), GRAY),
        (np.dstack([OLDER, GRAY]), GRAY),
        (np.dstack([OLDER, GRAY]).transpose(2, 0, 1), GRAY),
        (np.dstack([DARK, COLOR]), COLOR),
        (np.dstack([DARK, COLOR]).transpose(2, 0, 1), COLOR),
        (np.stack([OLDER, OLDER, COLOR]), COLOR),
        (np.stack([OLDER, COLOR]).transpose(0, 3, 1, 2), COLOR),
    ],
    ids=lambda array: str(array.shape),
)
def test_the_newest_image_is_found_along_any_axis(observed, image):
    assert is_image(spaces.Box(0, 255, observed.shape, np.uint8))
    assert (newest(observed) == image).all()
    assert (resized(newest(observed), (20, 30, 3)) == image).all()


@pytest.mark.parametrize("shape", [(4,), (7, 7, 3), (4, 10, 10), (3, 84), (2, 2, 2, 20, 20)])
def test_what_is_small_or_flat_is_no_image(shape):
    assert not is_image(spaces.Box(0, 255, shape, np.uint8))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [("Cameras", {}, "several images; .* --options key=left.* --real-options key=left"),
     ("Buttons", {"key": "speed"}, "no image 'speed'.*camera"),
     ("Tangled", {}, "Tangled-v0 makes no dream: actions are Discrete"),
     ("Rendered", {"source": "observation"}, "no images")],
)  # fmt: skip
def test_what_makes_no_dream_is_a_sentence_before_any_step(name, options, words):
    with pytest.raises(AnyGameError, match=words):
        AnyGame(f"{name}-v0", **options)


def test_the_command_says_so_too(capsys, tmp_path):
    assert collect_main(["--env=Tangled-v0", f"--out={tmp_path / 'd'}"]) == 1
    assert "makes no dream" in capsys.readouterr().err and not (tmp_path / "d").exists()
