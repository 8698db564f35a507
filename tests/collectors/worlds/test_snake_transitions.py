"""Labelled transitions: what the expert would do, what every move does, and the eight symmetries of
the board.
"""

import numpy as np
import pytest

from collectors.policies.policies import make_policy
from collectors.worlds.snake import tiles as snake_codes
from collectors.worlds.snake.env import RealSnake
from collectors.worlds.snake.expert_transitions import (
    SYMMETRIC_ACTIONS,
    SYMMETRIES,
    ExpertAugmenter,
    Mover,
    best_moves,
    board_of_body,
    random_board,
    symmetric,
    transitions,
)
from collectors.worlds.snake.rules import SnakeRules

RULES = SnakeRules(snake_codes.decode_frames)


def boards(count: int, size: int = 10, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.stack([random_board(generator, size) for _ in range(count)])


def with_food(body: list[int], food: int, size: int) -> np.ndarray:
    codes = board_of_body(body, size)
    codes.flat[food] = snake_codes.FOOD
    return codes


def test_sampled_boards_are_playable_and_of_many_lengths():
    found = boards(60)
    assert RULES.playable(found).all()
    lengths = (found > snake_codes.FOOD).sum((1, 2))
    assert lengths.min() == 3 and lengths.max() > 12
    assert np.array_equal(found, boards(60)) and not np.array_equal(found, boards(60, seed=1))


def test_every_action_does_what_the_rules_say_deaths_included():
    found = transitions(boards(150), np.random.default_rng(0))
    before = snake_codes.decode_frames(found.frames)
    for action in range(4):
        outcome = RULES.outcome(before, np.full(len(before), action))
        assert RULES.agrees(outcome, snake_codes.decode_frames(found.next_frames[:, action])).all()
        assert (outcome.reward == found.rewards[:, action]).all()
        assert (outcome.termination == found.terminations[:, action]).all()
    assert found.terminations.any() and (found.rewards > 0).any()
    assert not (found.best & found.terminations & ~found.terminations.all(1, keepdims=True)).any()


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_the_rules_commute_with_the_symmetry_and_its_actions(symmetry):
    found = transitions(boards(12), np.random.default_rng(0))
    moved = snake_codes.decode_frames(symmetric(found.frames, symmetry))
    assert RULES.playable(moved).all()
    names = SYMMETRIC_ACTIONS[symmetry]
    assert sorted(names) == [0, 1, 2, 3]
    for action in range(4):
        outcome = RULES.outcome(moved, np.full(len(moved), names[action]))
        after = snake_codes.decode_frames(symmetric(found.next_frames[:, action], symmetry))
        assert (
            RULES.agrees(outcome, after).all()
            and (outcome.reward == found.rewards[:, action]).all()
        )
    turned = np.stack([best_moves(codes) for codes in moved])
    on_the_way = found.best.any(1)
    assert (turned[:, names] == found.best)[
        on_the_way
    ].mean() > 0.95  # A* prefers the way of the lower cell numbers


def test_the_eight_symmetries_are_eight():
    frame = np.random.default_rng(0).integers(0, 256, (6, 6, 3))
    assert len({symmetric(frame, s).tobytes() for s in range(SYMMETRIES)}) == SYMMETRIES
    assert len({tuple(row) for row in SYMMETRIC_ACTIONS}) == SYMMETRIES


def test_equally_short_ways_are_equally_good_and_longer_ones_are_not():
    body = [44, 43, 42]  # facing right on a board of 10 x 10
    assert best_moves(with_food(body, 66, 10)).tolist() == [False, True, False, True]
    assert best_moves(with_food(body, 47, 10)).tolist() == [False, False, False, True]
    assert best_moves(with_food(body, 45, 10)).tolist() == [False, False, False, True]


def test_where_every_move_kills_there_is_no_best_one():
    body = [0, 10, 20, 21, 11, 1, 2, 3]  # in the corner, the neck below, its own body at the right
    assert not best_moves(with_food(body, 77, 10)).any()
    assert not best_moves(np.zeros((10, 10), np.uint8)).any()


def test_the_expert_plays_one_of_its_best_moves():
    env, player = RealSnake(observation="grid", grid_size=10), make_policy("astar", 4, "snake")
    board, _ = env.reset(seed=3)
    player.reset(np.random.default_rng(0))
    for _ in range(120):
        best = best_moves(board)
        move = player._path  # a kept way may be longer than one found anew
        action = player(board)
        assert best[action] or move
        board, _, ended, _, _ = env.step(action)
        if ended:
            break


def test_a_share_of_the_lessons_tries_any_move_and_shows_what_it_does_by_the_rules():
    teacher, generator = (
        ExpertAugmenter(10, sampled=0.0, shown=0.0, tried=1.0),
        np.random.default_rng(1),
    )
    codes = with_food([34, 35, 36, 37], 32, 10)
    frames = np.stack([snake_codes.draw(codes)] * 2)
    examples = [teacher(frames, 2, 0.0, False, generator) for _ in range(60)]
    turned = 0
    for example in examples:
        before = snake_codes.decode_frames(example.frames[:1])[0]
        neck = snake_codes.HEAD.index(int(before[np.isin(before, snake_codes.HEAD)][0]))
        turned += (
            example.action != neck ^ 1
        )  # the recorded move goes straight on, whatever the symmetry
        after, reward, terminated = Mover(10, np.random.default_rng(0))(before, example.action)
        assert np.array_equal(example.frames[1], after) and (
            example.reward,
            example.termination,
        ) == (
            reward,
            terminated,
        )
    assert 30 <= turned <= 57


def test_a_board_can_be_played_on_and_another_is_refused():
    env = RealSnake(grid_size=10)
    env.reset(seed=0)
    codes = with_food([44, 43, 42], 45, 10)
    env.set_board(codes)
    frame, reward, ended, _, info = env.step(3)
    assert reward == 1 and not ended and info["length"] == 4
    assert RULES.legality(snake_codes.decode_frames(frame[None])).all
    for wrong in (np.zeros((10, 10), np.uint8), codes[:8, :8]):
        with pytest.raises(ValueError, match="living snake"):
            env.set_board(wrong)
