"""The same start under every action: the tiles are the lanes they claim to be, and the film can be
read back.
"""

import imageio_ffmpeg
import numpy as np
import pytest

from neural_envs import bundles
from neural_envs.branching import (
    GAP,
    LABEL,
    action_grid,
    branches,
    branches_film,
    start_state,
)
from neural_envs.commands.action_grid import main
from neural_envs.env import NeuralEnv
from neural_envs.simulator import Simulator
from neural_envs.vector_env import NeuralVectorEnv
from tests.oracles import ACTION_SUM, COUNT, NOISE, counting_bundle, shown


@pytest.fixture
def found():
    """Every action of the counting model, held for 8 steps from the start of seed 3."""
    simulator = Simulator(counting_bundle(), "cpu")
    return branches(simulator, start_state(simulator, 3), 8)


def test_every_action_is_held_from_the_same_start_with_the_same_random_numbers(found):
    frame, _ = NeuralEnv(counting_bundle()).reset(seed=3)
    assert (found.frames[0] == frame).all() and found.frames.shape == (9, 4, 8, 8, 3)
    alive = ~found.terminated[2]
    assert alive.all() and (shown(found.frames[2], ACTION_SUM) == [0, 2, 4, 6]).all()
    noise = shown(found.frames[:3], NOISE)
    assert (noise == noise[:, :1]).all() and noise[1, 0] != noise[2, 0]


def test_a_branch_is_the_single_environment_that_plays_this_action(found):
    env = NeuralEnv(counting_bundle())
    env.reset(seed=3)
    for step in range(1, 4):
        frame, _, over, _, _ = env.step(2)
        np.testing.assert_array_equal(frame, found.frames[step, 2])
        if over:
            break


def test_a_game_that_is_over_stays_as_it_ended_and_earns_no_more(found):
    end = int(found.terminated[:, 0].argmax())
    assert 3 <= end <= 6 and found.terminated[end:, 0].all()
    assert (found.frames[end:, 0] == found.frames[end, 0]).all() and (
        found.returns[end:, 0] == found.returns[end, 0]
    ).all()
    assert shown(found.frames[-1], COUNT)[0] == end


def test_the_film_has_a_labelled_tile_for_each_action_and_dims_what_is_over(found):
    film = branches_film(found)
    height, width = 128 + LABEL + 2 * GAP, 128 + 2 * GAP
    assert film.shape == (9, 2 * height, 2 * width, 3) and film.dtype == np.uint8
    labels = [
        film[0, r * height : r * height + GAP + LABEL, c * width : (c + 1) * width]
        for r in (0, 1)
        for c in (0, 1)
    ]
    assert all(label.max() > 150 for label in labels)  # ink on dark paper
    assert len({label.tobytes() for label in labels}) == 4
    assert (
        film[-1, GAP + LABEL : height - GAP, GAP : width - GAP].max()
        < 150
        < found.frames[-1, 0].max()
    )


def test_an_action_grid_of_a_released_bundle_by_name():
    film = action_grid("snake", frames=2, seed=1)
    assert film.shape[0] == 3 and (film[0] != film[2]).any()
    np.testing.assert_array_equal(film, action_grid("snake", frames=2, seed=1))


def test_the_start_may_be_any_state_of_a_dream():
    env = NeuralVectorEnv(1, counting_bundle())
    env.reset(seed=0)
    env.step([2])
    branched = branches(env.simulator, env.get_state(), 1)
    assert (shown(branched.frames[0], COUNT) == 1).all() and (
        shown(branched.frames[1], COUNT) == 2
    ).all()


@pytest.mark.parametrize("name", ["grid.mp4", "grid.gif"])
def test_the_command_writes_a_film_and_tells_the_returns(
    counting, tmp_path, monkeypatch, capsys, name
):
    monkeypatch.chdir(tmp_path)
    assert main(["counting", "--frames", "6", "--out", name]) == 0
    out = capsys.readouterr().out
    assert "up: return" in out and f"wrote {name}" in out and (tmp_path / name).stat().st_size > 0
    if name.endswith("mp4"):
        assert imageio_ffmpeg.count_frames_and_secs(name)[0] == 7


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["nowhere"], 1, "no bundle 'nowhere'"),
        (["counting", "--guidance", "2"], 1, "no guidance on the action"),
        (["counting", "--temperature", "0.5"], 1, "has no temperature"),
        (["counting", "--temperature", "-1"], 2, "'temperature' got -1"),
        (["counting", "--frames", "0"], 2, "'frames' got 0, expected 1 or more"),
        (["counting", "--out", "a.avi"], 2, ".mp4 or .gif"),
    ],
)
def test_what_cannot_be_filmed_is_refused_with_a_sentence(counting, capsys, words, code, sentence):
    try:
        found = main(words)
    except SystemExit as stop:
        found = stop.code
    assert found == code and sentence in capsys.readouterr().err


def test_less_than_one_step_is_refused():
    simulator = Simulator(bundles.load("snake"), "cpu")
    with pytest.raises(ValueError, match="at least 1 frame"):
        branches(simulator, start_state(simulator, 0), 0)
