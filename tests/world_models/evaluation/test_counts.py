"""Things in frames are counted all over: right in real games; doubled and missing ones show."""

import gymnasium
import numpy as np
import pytest

from agents.envs import env_id, make_vector_env
from agents.evaluation.play import make_agent
from collectors.policies.policies import make_policy
from world_models.evaluation.game_play import play_game
from world_models.evaluation.shape_counts import find_shapes
from world_models.evaluation.worlds.coinrun import CoinRunEvaluator
from world_models.evaluation.worlds.pong_counts import count_balls_and_paddles
from world_models.evaluation.worlds.table import make_evaluator
from world_models.protocols import WorldSpec

STEPS, LANES = 110, 4
SLOW = "scripted:0.6"  # no game of this player ends so soon


def real_game(world, lanes=LANES):
    try:
        return make_vector_env(env_id(world, "real"), lanes)
    except gymnasium.error.DependencyNotInstalled as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("world", "policy"),
    [("snake", "astar:0.2"), ("pong", SLOW), ("coinrun", "right"), ("pong", "random")],
)
def test_a_real_game_has_everything_exactly_once_in_every_frame(world, policy):
    env = real_game(world)
    spec = WorldSpec.from_dict(env.unwrapped.world_spec())
    agent = make_agent(make_policy(policy, len(spec.action_names), world=world), env.num_envs, 0)
    played = play_game(env, agent, make_evaluator(spec), STEPS, 0)
    assert played.right and all(right.all() for right in played.right.values())
    assert played.terminations.any() or policy == SLOW  # frames of an end are among them
    if played.over is not None:  # and the rules that frames show end games when the game does
        assert (played.over == played.terminations).all()


def test_a_second_ball_a_lost_one_and_paddles_anywhere_are_counted():
    frames, _ = real_game("pong", 1).reset(seed=0)
    base = count_balls_and_paddles(frames)
    assert {name: count.tolist() for name, count in base.items()} == {
        "balls": [1], "left_paddles": [1], "right_paddles": [1]
    }  # fmt: skip
    second, touching, lost, moved = (frames.copy() for _ in range(4))
    second[:, 50:53, 40:44] = 255
    place = np.argwhere(frames[0].min(-1) > 120)
    row, column = place.min(0)
    touching[:, row : row + 6, column : column + 4] = 255
    lost[:, row - 1 : row + 5, column - 1 : column + 6] = frames[0, -1, 30]
    moved[:, 10:17, 30:32] = (0, 255, 255)
    assert count_balls_and_paddles(second)["balls"] == 2
    assert count_balls_and_paddles(touching)["balls"] == 2
    assert count_balls_and_paddles(lost)["balls"] == 0
    assert count_balls_and_paddles(moved)["right_paddles"] == 2


def test_a_player_of_coinrun_is_a_body_of_its_color_and_not_a_lone_pixel():
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    frames[1:, 30:33, 31:34] = (224, 209, 175)
    frames[2, 5, 5] = (224, 209, 175)
    frames[3, 50:53, 10:13] = (233, 223, 199)
    # a blurred edge of the ground: brown and gray mix to cream, but darker
    frames[1, 40:44, 20:40] = (193, 174, 148)
    spec = WorldSpec("coinrun", (64, 64, 3), ("left", "right"), (0.0, 10.0), 15, 1000)
    assert CoinRunEvaluator(spec).count_things(frames)["players"].tolist() == [0, 1, 1, 2]


def test_shapes_of_neighboring_frames_stay_apart():
    mask = np.zeros((3, 4, 4), bool)
    mask[0, 3], mask[1, 0], mask[1, 2, 2] = True, True, True
    found = find_shapes(mask, np.full(mask.shape, 0.5))
    assert found.frame.tolist() == [0, 1, 1] and found.area.tolist() == [4, 4, 1]
    assert found.mass.tolist() == [2, 2, 0.5]
    assert found.counts(3, found.area > 1).tolist() == [1, 1, 0]
