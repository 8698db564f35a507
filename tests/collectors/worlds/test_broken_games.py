"""Games that break: what they raise and what they give ends in a sentence, in the step itself."""

import gymnasium
import numpy as np
import pytest

from collectors.dataset.dataset import DatasetError, recorded_dataset
from collectors.recording.collect import collect, main
from collectors.worlds.any_game import AnyGame
from collectors.worlds.any_game_images import AnyGameError
from tests.collectors.broken_games import Broken, Old, RenderedBroken
from tests.collectors.parts_games import SIDE, Dot


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(Broken, "given", {})
    for game in (Broken, RenderedBroken, Old):
        if f"{game.__name__}-v0" not in gymnasium.registry:
            gymnasium.register(
                f"{game.__name__}-v0",
                entry_point=f"tests.collectors.broken_games:{game.__name__}",
            )


def played(name: str, given: dict, **options) -> float:
    """The last reward of four steps."""
    Broken.given = given
    env, reward = AnyGame(name, **options), 0.0
    env.reset(seed=0)
    for _ in range(4):
        _, reward, *_ = env.step(np.float32([0, 2]))
    env.close()
    return reward


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"error": RuntimeError("no level 3")},
            "broke in step 3: RuntimeError: no level 3 .*py, ",
        ),
        ({"error": KeyError("x")}, "broke in step 3: KeyError: 'x'"),
        ({"reward": float("nan")}, "the reward nan in step 1; a reward is one finite number"),
        ({"reward": None}, "the reward None in step 1"),
        ({"reward": np.ones(2)}, "a reward is one finite number"),
        ({"reward": float("inf")}, "more than a model can learn; .*--options reward=sign"),
        ({"reward": -2e30}, "more than a model can learn"),
        ({"frame": np.zeros((SIDE, SIDE, 3))}, "observed float64 .*, which is no image"),
        ({"frame": np.zeros(SIDE, np.uint8)}, "observed uint8 .24,., which is no image"),
        ({"frame": np.full((SIDE, SIDE, 3), 300)}, "an image from 300 to 300, not 0 to 255"),
    ],
)
def test_what_a_game_raises_or_gives_that_no_dream_can_have_is_a_sentence(given, words):
    with pytest.raises(AnyGameError, match=f"Broken-v0 .*{words}"):
        played("Broken-v0", given)


@pytest.mark.parametrize("found", [None, [np.zeros((SIDE, SIDE, 3), np.uint8)], {}, [[1], [1, 2]]])
def test_a_game_that_renders_no_image_is_named(found):
    with pytest.raises(
        AnyGameError, match=r"render\(\) of RenderedBroken-v0 gave .*which is no image"
    ):
        played("RenderedBroken-v0", {"frame": found})


def test_rewards_in_an_array_and_signs_of_infinite_ones_are_numbers():
    assert played("Broken-v0", {"reward": np.float32([2])}) == 2.0
    assert played("Broken-v0", {"reward": float("-inf")}, reward="sign") == -1.0


def test_a_rendered_image_may_say_how_opaque_it_is():
    image = np.full((SIDE, SIDE, 4), 9, np.uint8)
    image[..., 3] = 255
    Broken.given = {"frame": image}
    assert (AnyGame("RenderedBroken-v0", size=24).reset()[0] == 9).all()


def test_a_game_for_the_older_gym_and_one_that_cannot_be_made_are_named():
    with pytest.raises(AnyGameError, match="reset of Old-v0 gives 1 value, not observation, info"):
        AnyGame("Old-v0").reset()
    with pytest.raises(AnyGameError, match="Broken-v0 cannot be made: TypeError: .*'level'; its"):
        AnyGame("Broken-v0", level=3)
    with pytest.raises(AnyGameError, match="no module 'nomodule' .*PYTHONPATH=. before"):
        AnyGame("nomodule:Broken-v0")


def test_a_limit_that_no_memory_holds_is_the_limit_of_games_without_one(monkeypatch):
    for own, limit in ((7, 7), (10**12, 10_000), (None, 10_000)):
        monkeypatch.setattr(gymnasium.spec("Broken-v0"), "max_episode_steps", own)
        assert AnyGame("Broken-v0").limit == limit
    with pytest.raises(AnyGameError, match="max_steps is 0 .* got many"):
        AnyGame("Broken-v0", max_steps="many")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("named", "fps"), [(0.5, 1), (0, 30), ("fast", 30), (1e9, 1000)])
def test_steps_per_second_are_what_a_file_may_say(named, fps, monkeypatch):
    monkeypatch.setitem(Dot.metadata, "render_fps", named)
    assert AnyGame("Broken-v0").world_spec()["fps"] == fps


def test_where_a_game_broke_before_its_first_shard_the_same_command_begins_anew(tmp_path, capsys):
    Broken.given = {"error": RuntimeError("no level 3")}
    command = ["--env", "Broken-v0", "--frames", "20", "--workers", "1", "--out", str(tmp_path)]
    assert main(command) == 1 and "no level 3" in capsys.readouterr().err
    with pytest.raises(DatasetError, match="no finished shard yet"):
        recorded_dataset(tmp_path)
    Broken.given = {}
    assert main(command) == 0 and recorded_dataset(tmp_path).steps >= 20
    with pytest.raises(DatasetError, match="already holds a dataset"):
        collect("AnyGame-v0", tmp_path, 20, env_options={"env": "Broken-v0"})
