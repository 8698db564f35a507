"""The rules of RealPong-v0, its drawing and reading, and that it is a proper environment, alone and
batched.
"""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import collectors  # noqa: F401  registers the ids
from collectors.worlds.pong.env import RealPong, RealPongVector
from collectors.worlds.pong.frames import renderer_of
from collectors.worlds.pong.physics import PongCore

STAY, UP, DOWN = range(3)
POSITIONS = ("left", "right", "x", "y", "vx", "vy", "left_score", "right_score")


def core_at(
    frame_skip: int = 1, points_to_win: int = 5, bounce_reward: float = 0.0, **positions
) -> PongCore:
    """One game in this position."""
    core = PongCore(1, points_to_win, bounce_reward, frame_skip)
    core.reset(np.zeros(1, np.int64), [np.random.default_rng(0)])
    for name, value in positions.items():
        getattr(core, name)[:] = value
    return core


def state(core: PongCore, game: int = 0) -> dict[str, int]:
    return {name: int(getattr(core, name)[game]) for name in POSITIONS}


def by_the_book(
    s: dict[str, int], action: int, frame_skip: int, serve: int, bounce_reward: float = 0.0
) -> float:
    """One step of a second, slow game, written down from the engine's rules; changes `s`, returns
    the reward.
    """
    direction, reward = (0, 1, -1)[action], 0.0
    for _ in range(frame_skip):
        s["right"] += 8 * direction
        s["left"] += max(-8, min(8, s["y"] - (s["left"] + 35)))
        s["right"], s["left"] = (max(-35, min(605, s[side])) for side in ("right", "left"))
        s["x"] += s["vx"]
        s["y"] += s["vy"]
        if s["y"] < 0 or s["y"] + 32 > 640:
            s["vy"] = -s["vy"]
        side = "left" if s["x"] < 0 else "right" if s["x"] + 32 > 500 else None
        if side is None:
            continue
        if s["y"] + 32 > s[side] and s["y"] < s[side] + 70:
            s["vx"] = -s["vx"]
            if side == "right":
                reward = bounce_reward
                s["vy"] = max(-13, min(13, s["vy"] + 3 * direction)) or 3
                s["x"], s["y"] = 468, max(0, min(608, s["y"]))
        else:
            s["right_score" if side == "left" else "left_score"] += 1
            s.update(left=285, right=285, x=100, y=304, vx=10, vy=serve)
            return 1.0 if side == "left" else -1.0
    return reward


@pytest.mark.parametrize(("frame_skip", "bounce_reward"), [(1, 0.0), (2, 0.0), (4, 0.1)])
def test_play_follows_the_engines_rules_step_by_step(frame_skip, bounce_reward):
    core, generator = PongCore(8, 21, bounce_reward, frame_skip), np.random.default_rng(1)
    core.reset(np.arange(8), [np.random.default_rng(i) for i in range(8)])
    books, rewards_seen = [state(core, game) for game in range(8)], set()
    for _ in range(1500 // frame_skip):
        follow = np.where(
            core.y + 16 > core.right + 35, UP, DOWN
        )  # so that both miss and hit occur
        actions = np.where(generator.random(8) < 0.6, follow, generator.integers(0, 3, 8))
        rewards, ended = core.step(actions)
        for game, book in enumerate(books):
            reward = by_the_book(
                book, int(actions[game]), frame_skip, int(core.vy[game]), bounce_reward
            )
            assert (state(core, game), float(rewards[game])) == (book, reward)
            rewards_seen.add(reward)
        if ended.any():
            games = ended.nonzero()[0]
            core.reset(games, [np.random.default_rng(9)] * len(games))
            books = [state(core, game) for game in range(8)]
    assert rewards_seen >= {-1.0, 0.0, bounce_reward}


def test_up_and_down_move_the_right_paddle_by_eight_a_substep_until_half_of_it_is_outside():
    core = core_at(frame_skip=2)
    core.step(np.array([UP]))
    assert core.right == 301
    core.step(np.array([STAY]))
    assert core.right == 301
    for direction, edge in ((UP, 605), (DOWN, -35)):
        core = core_at(right=edge - 5 if direction == UP else edge + 5)
        core.step(np.array([direction]))
        assert core.right == edge


@pytest.mark.parametrize(("y", "moved"), [(600, 8), (323, 3), (320, 0), (0, -8)])
def test_the_opponents_middle_follows_the_balls_lower_edge_by_at_most_eight(y, moved):
    core = core_at(y=y, left=285)
    core.step(np.array([STAY]))
    assert core.left == 285 + moved


@pytest.mark.parametrize(("y", "vy", "after"), [(3, -5, 5), (606, 5, -5), (5, -5, -5), (603, 5, 5)])
def test_a_ball_turns_at_a_wall_only_when_it_is_beyond_it(y, vy, after):
    core = core_at(y=y, vy=vy)
    core.step(np.array([STAY]))
    assert (core.vy, core.y) == (after, y + vy)


@pytest.mark.parametrize(
    ("vy", "action", "after"),
    [
        (5, UP, 8),
        (5, DOWN, 2),
        (5, STAY, 5),
        (12, UP, 13),
        (-12, DOWN, -13),
        (0, STAY, 3),
        (-3, UP, 3),
        (3, DOWN, 3),
    ],
)
def test_the_right_paddle_spins_the_ball_by_three_up_to_thirteen_and_never_leaves_it_level(
    vy, action, after
):
    core = core_at(x=465, y=304, right=285, vy=vy, bounce_reward=0.1)
    rewards, _ = core.step(np.array([action]))
    assert (core.vy, core.vx, core.x, rewards[0]) == (after, -10, 468, 0.1)


@pytest.mark.parametrize(("offset", "hit"), [(-31, True), (-32, False), (69, True), (70, False)])
def test_a_paddle_meets_the_ball_where_they_overlap_by_one_unit(offset, hit):
    right = core_at(x=465, y=300 + offset, right=300, vy=0)
    right.step(np.array([STAY]))
    assert (right.left_score == 0) == hit
    moved = 8 * np.sign(offset - 35)  # the left one moves before the ball arrives
    left = core_at(x=5, y=300 + offset, vx=-10, vy=0, left=300 - moved)
    left.step(np.array([STAY]))
    assert (left.right_score == 0) == hit


def test_a_point_serves_again_drops_the_rest_of_the_step_and_pays_more_than_a_bounce():
    core = core_at(frame_skip=4, x=465, y=100, right=500, left=30, bounce_reward=0.1)
    rewards, ended = core.step(np.array([UP]))
    now = state(core)
    assert now.pop("vy") in (-1, 0)
    assert now == {
        "left": 285,
        "right": 285,
        "x": 100,
        "y": 304,
        "vx": 10,
        "left_score": 1,
        "right_score": 0,
    }
    assert (rewards[0], ended[0]) == (-1.0, False)


def test_serves_are_level_or_one_down_and_come_from_the_games_generator():
    serves = [RealPong() for _ in range(30)]
    for seed, env in enumerate(serves):
        env.reset(seed=seed)
    assert {int(env._core.vy[0]) for env in serves} == {-1, 0}
    assert {(int(env._core.x[0]), int(env._core.y[0]), int(env._core.vx[0])) for env in serves} == {
        (100, 304, 10)
    }


@pytest.mark.parametrize(("points_to_win", "size"), [(1, 64), (5, 64), (21, 64), (2, 24)])
def test_a_game_ends_at_points_to_win_and_its_last_frame_shows_the_last_pip(points_to_win, size):
    env = gymnasium.make("RealPong-v0", points_to_win=points_to_win, size=size)
    env.reset(seed=0)
    rewards, ended = [], False
    while not ended:
        frame, reward, ended, truncated, info = env.step(UP)
        rewards.append(reward)
        shown = RealPong.decode_frames(frame[None], points_to_win)
        assert shown.left_score[0] == (info["left_score"] if size == 64 else 0)
    assert (rewards[-1], sum(rewards), info["left_score"]) == (-1.0, -points_to_win, points_to_win)
    assert not truncated and len(rewards) == 19 * points_to_win
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.unwrapped.step(STAY)


def test_all_pips_can_be_read_on_both_sides_at_any_number_of_points():
    for points in range(1, 22):
        core = PongCore(points + 1, points)
        core.left_score[:], core.right_score[:] = np.arange(points + 1), np.arange(points, -1, -1)
        shown = RealPong.decode_frames(renderer_of(64, points).draw(core), points)
        np.testing.assert_array_equal(shown.left_score, core.left_score)
        np.testing.assert_array_equal(shown.right_score, core.right_score)


@pytest.mark.parametrize(("size", "most"), [(64, 0.05), (24, 0.15)])
def test_what_is_drawn_is_read_back_far_below_a_pixel(size, most):
    generator, games = np.random.default_rng(0), 4000
    core, view = PongCore(games), renderer_of(size)
    core.left[:], core.right[:] = generator.integers(-35, 606, (2, games))
    core.x[:], core.y[:] = generator.integers(-10, 469, games), generator.integers(-13, 622, games)
    shown = RealPong.decode_frames(view.draw(core))
    assert np.abs(shown.ball[:, 0] - ((core.x + 20 + 16) / view.unit_x - 0.5)).max() < most

    def row(y, height):
        return view.top + (640 - y - height / 2) / view.unit_y - 0.5

    assert np.abs(shown.ball[:, 1] - row(core.y, 32)).max() < most
    assert np.abs(shown.right - row(core.right, 70)).max() < most
    beneath = core.x < 10  # the ball may cover the outermost column of the left paddle at 24 pixels
    assert np.abs(shown.left - row(core.left, 70))[~beneath].max() < most
    assert np.abs(shown.left - row(core.left, 70)).max() < 3 * most


def test_noise_of_a_few_grey_levels_moves_nothing_by_more_than_a_fraction_of_a_pixel():
    generator, games = np.random.default_rng(1), 1000
    core, view = PongCore(games), renderer_of(64)
    core.left[:], core.right[:] = generator.integers(-35, 606, (2, games))
    core.x[:], core.y[:] = generator.integers(0, 469, games), generator.integers(0, 609, games)
    clean = view.draw(core)
    noisy = (clean + generator.normal(0, 6, clean.shape)).round().clip(0, 255).astype(np.uint8)
    for shown, true in zip(
        RealPong.decode_frames(noisy)[:3], RealPong.decode_frames(clean)[:3], strict=True
    ):
        error = np.abs(shown - true)
        assert error.mean() < 0.05 and error.max() < 0.35


def test_the_ball_never_touches_the_score_and_the_score_never_the_court():
    low, high = PongCore(1), PongCore(1)
    high.y[:], high.left[:], high.right[:], high.left_score[:] = 621, 605, 605, 3
    frames = [renderer_of(64).draw(core)[0] for core in (low, high)]
    scored = PongCore(1)
    scored.left_score[:] = 3
    np.testing.assert_array_equal(frames[1][:4], renderer_of(64).draw(scored)[0, :4])
    np.testing.assert_array_equal(frames[0][4:], renderer_of(64).draw(scored)[0, 4:])


def test_one_unit_of_movement_changes_the_picture():
    for size in (64, 24):
        frames = []
        for name in (None, "x", "y", "left", "right"):
            core = core_at()
            if name:
                getattr(core, name)[:] += 1
            frames.append(renderer_of(size).draw(core)[0])
        assert all((frames[0] != other).any() for other in frames[1:])


def test_frames_without_a_ball_or_of_another_shape_are_told():
    empty = np.stack([np.zeros((64, 64, 3), np.uint8), renderer_of(64)._template])
    shown = RealPong.decode_frames(empty)
    assert np.isnan(shown.ball).all() and np.isnan(shown.left).all() and np.isnan(shown.right).all()
    with pytest.raises(ValueError, match="64, 64, 3"):
        RealPong.decode_frames(np.zeros((2, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("options", [{}, {"size": 24}, {"frame_skip": 1, "bounce_reward": 0.1}])
def test_the_environment_checker_is_content(options):
    check_env(gymnasium.make("RealPong-v0", render_mode="rgb_array", **options).unwrapped)


def test_the_spec_tells_rewards_and_speed_by_the_options():
    env = gymnasium.make("RealPong-v0", bounce_reward=0.1, frame_skip=1)
    spec = env.unwrapped.world_spec()
    assert (
        spec["reward_values"] == [-1.0, 0.0, 0.1, 1.0]
        and spec["fps"] == env.metadata["render_fps"] == 60
    )
    assert spec["action_names"] == ["stay", "up", "down"] and spec["max_episode_steps"] == 3000
    vector = gymnasium.make_vec("RealPong-v0", num_envs=2)
    assert vector.unwrapped.world_spec() == gymnasium.make("RealPong-v0").unwrapped.world_spec()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points_to_win": 0}, "points_to_win must be a whole number from 1 to 21"),
        ({"points_to_win": 2.5}, "points_to_win"),
        ({"frame_skip": 9}, "frame_skip"),
        ({"bounce_reward": -0.1}, "bounce_reward"),
        ({"bounce_reward": float("nan")}, "bounce_reward"),
        ({"size": 32}, "size must be one of"),
        ({"render_mode": "ansi"}, "render_mode"),
    ],
)
def test_options_that_make_no_game_are_refused_with_a_sentence(options, message):
    for make in (RealPong, RealPongVector):
        with pytest.raises(ValueError, match=message):
            make(**options)


@pytest.mark.parametrize("action", [3, -1, 0.5, [0, 1]])
def test_a_wrong_action_is_refused(action):
    env = RealPong()
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="0 stay, 1 up, 2 down"):
        env.step(action)


def test_lanes_take_their_own_seeds_from_a_list_and_keep_the_others():
    env = RealPongVector(3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=[5, 6, 7])
    for _ in range(4):
        before = env.step(np.zeros(3, np.int64))[0]
    mask = np.array([False, True, False])
    after, _ = env.reset(seed=[None, 8, None], options={"reset_mask": mask})
    single = RealPong()
    np.testing.assert_array_equal(after[1], single.reset(seed=8)[0])
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert env._core.vy[1] == single._core.vy[0]
    with pytest.raises(ValueError, match="2 seeds for 3 lanes"):
        env.reset(seed=[1, 2])
