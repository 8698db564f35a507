"""The rules of RealSnake-v0, its drawing, and that it is a proper Gymnasium environment."""

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import collectors  # noqa: F401  registers the ids
from collectors.worlds.snake.env import RealSnake
from collectors.worlds.snake.tiles import BODY, DEAD_HEAD, DELTAS, EMPTY, FOOD, HEAD, TAIL, draw

UP, DOWN, LEFT, RIGHT = range(4)


def centred(food: tuple[int, int] | None = None, **options) -> RealSnake:
    """A game from the centre, facing right, food (if given) moved to a place."""
    env = RealSnake(start="centre", **options)
    env.reset(seed=0)
    if food is not None:
        env._draw(env._codes.index(FOOD), EMPTY)
        env._draw(food[0] * env.grid_size + food[1], FOOD)
    return env


def board(env: RealSnake) -> np.ndarray:
    return env._board().copy()


def body(env: RealSnake) -> list[tuple[int, int]]:
    return RealSnake.body_from_codes(board(env), wrap=env.wrap)


def play_by_the_book(env: RealSnake, steps: int, generator) -> None:
    """Plays at random and compares every step with a second, slow game on lists of cells."""
    snake = body(env)
    for _ in range(steps):
        facing = np.subtract(snake[0], snake[1])
        facing = (facing + 1) % env.grid_size - 1 if env.wrap else facing
        food, move = (
            set(map(tuple, np.argwhere(board(env) == FOOD).tolist())),
            int(generator.integers(4)),
        )
        heading = np.array(DELTAS[move])
        row, column = (snake[0] + (facing if (heading == -facing).all() else heading)).tolist()
        target = (row % env.grid_size, column % env.grid_size) if env.wrap else (row, column)
        eats, outside = (
            target in food,
            not (0 <= target[0] < env.grid_size and 0 <= target[1] < env.grid_size),
        )
        dead = outside or target in (snake if eats or env.tail_deadly else snake[:-1])
        _, reward, terminated, _, _ = env.step(move)
        if not dead:
            snake = [target, *snake][: len(snake) + eats]
        assert (reward, terminated) == (-1.0 if dead else 1.0 if eats else 0.0, dead)
        assert body(env) == snake
        assert (board(env) == FOOD).sum() == env.apples
        if dead:
            env.reset()
            snake = body(env)


@pytest.mark.parametrize(
    "options", [{}, {"wrap": True}, {"apples": 5, "grid_size": 6}, {"tail_deadly": True}]
)
def test_random_play_follows_the_rules_step_by_step(options):
    env = RealSnake(**options)
    env.reset(seed=1)
    play_by_the_book(env, 3000, np.random.default_rng(2))


def test_food_pays_one_makes_the_snake_longer_and_comes_back_at_once():
    env = centred(food=(8, 9))
    tail = body(env)[-1]
    frame, reward, terminated, truncated, info = env.step(RIGHT)
    assert (reward, terminated, truncated, info["apples"], info["length"]) == (
        1.0,
        False,
        False,
        1,
        4,
    )
    assert body(env)[-1] == tail
    assert (RealSnake.decode_frames(frame[None]) == FOOD).sum() == 1


def test_death_pays_minus_one_and_shows_a_white_head_in_the_last_pose():
    env = RealSnake(start="centre")
    before, _ = env.reset(seed=0)
    ended, steps = False, 0
    while not ended:
        last = before
        before, reward, ended, _, _ = env.step(UP)
        steps += 1
    codes, old = RealSnake.decode_frames(np.stack([before, last]))
    changed = np.argwhere(codes != old)
    assert (steps, reward) == (9, -1.0)
    assert len(changed) == 1 and codes[tuple(changed[0])] in DEAD_HEAD
    assert (codes == FOOD).sum() == 1


def test_a_reversal_is_ignored_and_the_snake_goes_straight_on():
    env, other = centred(food=(0, 0)), centred(food=(0, 0))
    np.testing.assert_array_equal(env.step(LEFT)[0], other.step(RIGHT)[0])


@pytest.mark.parametrize("deadly", [False, True])
def test_the_cell_that_the_tail_leaves_is_safe_unless_tail_deadly(deadly):
    env = centred(food=(8, 9), tail_deadly=deadly)
    env.step(RIGHT)
    env._draw(env._codes.index(FOOD), EMPTY)
    deaths = [
        env.step(action)[2] for action in (UP, LEFT, DOWN)
    ]  # four segments, round in a square
    assert deaths == [False, False, deadly]


def test_wrapping_joins_the_edges_and_draws_links_across_them():
    env = centred(food=(0, 0), wrap=True)
    for _ in range(8):
        frame, reward, terminated, _, _ = env.step(RIGHT)
    assert not terminated and body(env) == [(8, 0), (8, 15), (8, 14)]
    codes = RealSnake.decode_frames(frame[None])[0]
    assert codes[8, 0] == HEAD[LEFT] and codes[8, 15] == BODY[1] and codes[8, 14] == TAIL[RIGHT]
    assert RealSnake.body_from_codes(codes, wrap=False) is None


def test_a_full_board_is_won_and_terminates():
    env = RealSnake(grid_size=4, start="centre")
    env.reset(seed=3)
    cycle = {
        (0, 0): DOWN,
        (0, 1): LEFT,
        (0, 2): LEFT,
        (0, 3): LEFT,
        (1, 0): DOWN,
        (2, 0): DOWN,
        (3, 0): RIGHT,
    }
    cycle |= {
        (3, 1): UP,
        (2, 1): UP,
        (1, 1): RIGHT,
        (1, 2): DOWN,
        (2, 2): DOWN,
        (3, 2): RIGHT,
        (3, 3): UP,
    }
    cycle |= {(2, 3): UP, (1, 3): UP}
    rewards, ended = [], False
    env.step(DOWN)
    while not ended:
        _, reward, ended, _, info = env.step(cycle[body(env)[0]])
        rewards.append(reward)
    assert info == {"apples": 13, "length": 16, "won": True}
    assert rewards[-1] == 1.0 and min(rewards) == 0.0
    assert not (board(env) <= FOOD).any()


def test_the_step_penalty_is_paid_on_steps_without_event():
    env = centred(food=(8, 10), step_penalty=0.25)
    assert [env.step(RIGHT)[1] for _ in range(2)] == [-0.25, 1.0]
    assert env.world_spec()["reward_values"] == [-1.0, -0.25, 1.0]


def test_start_poses_are_random_straight_and_never_face_a_wall():
    env, found = RealSnake(grid_size=5), set()
    for seed in range(200):
        env.reset(seed=seed)
        cells = body(env)
        found.add(tuple(cells))
        assert len(cells) == 3 and (np.diff(cells, n=2, axis=0) == 0).all()
        ahead = 2 * np.array(cells[0]) - cells[1]
        assert ((ahead >= 0) & (ahead < 5)).all()
    assert len(found) > 20


def test_new_food_is_uniform_over_the_free_cells():
    env, counts = RealSnake(grid_size=4, start="centre"), np.zeros(16)
    for seed in range(1300):
        env.reset(seed=seed)
        counts[env._codes.index(FOOD)] += 1
    free = counts[[code <= FOOD for code in env._codes]]
    assert len(free) == 13 and counts.sum() == free.sum()
    assert (
        (free - 100) ** 2 / 100
    ).sum() < 32.9  # chi-square with 12 degrees of freedom, p = 0.001


@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode.*")
@pytest.mark.parametrize(
    "options", [{}, {"observation": "grid"}, {"wrap": True, "apples": 3, "grid_size": 8}]
)
def test_gymnasiums_checker_is_content(options):
    check_env(gymnasium.make("RealSnake-v0", render_mode="rgb_array", **options).unwrapped)


def test_equal_seeds_play_equal_games():
    def game(seed):
        env = gymnasium.make("RealSnake-v0")
        frames, generator = [env.reset(seed=seed)[0]], np.random.default_rng(5)
        for _ in range(300):
            frame, _, terminated, truncated, _ = env.step(int(generator.integers(4)))
            frames.append(env.reset()[0] if terminated or truncated else frame)
        return np.stack(frames)

    np.testing.assert_array_equal(game(7), game(7))
    assert (game(7) != game(8)).any()


def test_frames_are_drawn_in_passing_as_they_would_be_anew_and_read_back_exactly():
    env, frames, boards = RealSnake(wrap=True, render_mode="rgb_array"), [], []
    env.reset(seed=4)
    generator = np.random.default_rng(6)
    for _ in range(500):
        frame, _, ended, _, _ = env.step(int(generator.integers(4)))
        frames.append(frame)
        boards.append(board(env))
        np.testing.assert_array_equal(frame, env.render())
        if ended:
            env.reset()
    codes, distances = RealSnake.decode_frames(np.stack(frames), return_distance=True)
    np.testing.assert_array_equal(codes, np.stack(boards))
    assert distances.max() == 0


def test_every_code_is_read_back_even_through_noise():
    codes = np.arange(20, dtype=np.uint8)[None].repeat(20, axis=0)
    noise = np.random.default_rng(0).integers(-12, 13, (80, 80, 3))
    noisy = np.clip(draw(codes) + noise, 0, 255).astype(np.uint8)
    decoded, distances = RealSnake.decode_frames(noisy[None], return_distance=True)
    np.testing.assert_array_equal(decoded[0], codes)
    assert 3 < distances.mean() < 9


@pytest.mark.parametrize(
    "damage", ["second head", "no tail", "loose segment", "unanswered link", "nothing"]
)
def test_a_board_without_exactly_one_connected_snake_has_no_body(damage):
    env = centred(food=(0, 0))
    codes = board(env)
    if damage == "nothing":
        codes[:] = EMPTY
    place = {
        "second head": (2, 2),
        "no tail": (8, 6),
        "loose segment": (2, 2),
        "unanswered link": (8, 7),
    }
    code = {
        "second head": HEAD[0],
        "no tail": EMPTY,
        "loose segment": BODY[0],
        "unanswered link": BODY[0],
    }
    if damage in place:
        codes[place[damage]] = code[damage]
    assert RealSnake.body_from_codes(codes) is None


def test_the_registered_game_has_the_spaces_limit_and_spec_of_the_contract():
    env = gymnasium.make("RealSnake-v0")
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(4)
    assert env.unwrapped.world_spec() == {
        "world": "snake",
        "frame_shape": [64, 64, 3],
        "action_names": ["up", "down", "left", "right"],
        "reward_values": [-1.0, 0.0, 1.0],
        "fps": 10,
        "max_episode_steps": 1000,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"grid_size": 3},
        {"apples": 0},
        {"start": "left"},
        {"observation": "ram"},
        {"step_penalty": -1},
    ],
)
def test_options_that_make_no_game_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RealSnake(**options)


def test_a_wrong_action_and_a_step_outside_a_game_name_the_remedy():
    env = RealSnake()
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="action 4"):
        env.step(4)


@pytest.mark.slow
def test_grid_play_makes_more_than_twenty_thousand_steps_a_second():
    env = RealSnake(observation="grid")
    env.reset(seed=0)
    start = time.perf_counter()
    for step in range(20_000):
        if env.step(step // 3 % 4)[2]:
            env.reset()
    assert time.perf_counter() - start < 1
