"""The rules of Snake are written twice; here the two play against each other."""

import numpy as np
import pytest

from collectors.policies.policies import make_policy
from collectors.worlds.snake import rules as snake_rules
from collectors.worlds.snake import tiles as snake_codes
from collectors.worlds.snake.env import RealSnake
from collectors.worlds.snake.rules import SnakeRules, food_ranks


def play(steps: int, policy: str, seed: int = 0, **options):
    """Boards before and after, actions, rewards and ends of one player's game, started again when
    it ends.
    """
    env, player, generator = (
        RealSnake(observation="grid", **options),
        make_policy(policy, 4, "snake"),
        np.random.default_rng(seed),
    )
    rows, board = [], None
    for _ in range(steps):
        if board is None:
            board, _ = env.reset(seed=int(generator.integers(2**31)))
            player.reset(generator)
        action = player(board)
        after, reward, terminated, _, _ = env.step(action)
        rows.append((board, action, after, reward, terminated))
        board = None if terminated else after
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def test_codes_mean_the_same_on_both_sides():
    theirs = [tuple(np.flatnonzero(links)) for links in snake_rules.LINKS]
    assert theirs == list(snake_codes.LINKS)
    names = [(snake_rules.HEAD, snake_codes.HEAD), (snake_rules.DEAD, snake_codes.DEAD_HEAD)]
    assert all(mine == its[0] for mine, its in [*names, (snake_rules.TAIL, snake_codes.TAIL)])
    assert (snake_rules.EMPTY, snake_rules.FOOD) == (snake_codes.EMPTY, snake_codes.FOOD)


@pytest.mark.parametrize("policy", ["random", "astar:0.1"])
@pytest.mark.parametrize(
    "options", [{}, {"wrap": True}, {"tail_deadly": True}, {"apples": 3}], ids=str
)
def test_the_rules_agree_with_the_real_game_on_every_move(policy, options):
    before, actions, after, rewards, terminated = play(400, policy, grid_size=6, **options)
    rules = SnakeRules(None, **options)
    outcome = rules.outcome(before, actions)
    assert rules.agrees(outcome, after).all()
    assert (outcome.reward == rewards).all() and (outcome.termination == terminated).all()
    full = (after >= snake_rules.HEAD).all((1, 2))
    legality = rules.legality(after)
    assert legality.one_head.all() and legality.connected.all() and rules.legality(before).all.all()
    assert full.any() or legality.one_food.all() or options.get("apples")
    assert rules.playable(before).all() and not rules.playable(after[terminated]).any()


def test_the_action_can_be_told_from_two_real_boards_and_not_from_two_equal_ones():
    before, actions, after, _, _ = play(300, "random", grid_size=6)
    rules = SnakeRules(None)
    credit, telling = rules.recover_action(before, after, actions)
    assert (credit[telling] == 1).all() and telling.mean() > 0.9
    credit, telling = rules.recover_action(before, before, actions)
    assert credit[telling].mean() < 0.6


def test_damage_of_every_kind_is_seen():
    board = play(60, "astar", grid_size=8)[2][-1]
    rules, cell = (
        SnakeRules(None),
        lambda low, high: tuple(np.argwhere((board >= low) & (board < high))[0]),
    )
    head, tail, food = cell(2, 6), cell(10, 14), cell(1, 2)
    damaged = np.stack([board] * 6)
    damaged[1][food] = 0
    damaged[2][tail] = 0
    damaged[3][food] = board[head]
    damaged[4][head] = 0
    damaged[5][tuple(np.argwhere(board == 0)[0])] = 1
    legality = rules.legality(damaged)
    assert legality.all.tolist() == [True] + [False] * 5
    assert legality.one_food.tolist() == [True, False, True, False, True, False]
    assert legality.one_head.tolist() == [True, True, True, False, False, True]
    assert legality.connected.tolist() == [True, True, False, False, False, True]


def test_a_ring_of_body_beside_the_snake_is_not_connected():
    board = np.zeros((1, 6, 6), np.uint8)
    board[0, 0, :3] = (5, 15, 12)  # head, body, tail in the first row: its neck is to the right
    board[0, 5, 5] = snake_rules.FOOD
    assert SnakeRules(None).legality(board).all.all()
    board[0, 3:5, 2:4] = ((19, 18), (17, 16))  # a closed square
    assert not SnakeRules(None).legality(board).connected.any()


def test_food_ranks_are_uniform_for_the_real_game_and_not_for_a_lazy_one():
    generator = np.random.default_rng(0)
    env = RealSnake(observation="grid")
    boards = np.stack([env.reset(seed=seed)[0] for seed in range(1500)])
    ranks = food_ranks(boards, generator)
    assert ranks.min() >= 0 and ranks.max() < 1 and abs(ranks.mean() - 0.5) < 0.03
    assert np.histogram(ranks, 16, (0, 1))[0].min() > 60
    assert food_ranks(boards[:0], generator).shape == (0,)
