"""Policies: what they do, that all their chance comes from the generator, and how well A* plays."""

import gymnasium
import numpy as np
import pytest

import collectors  # noqa: F401  registers the ids
from collectors.policies.equivalent_keys import EquivalentKeyPolicy
from collectors.policies.policies import (
    BurstPolicy,
    EpsilonPolicy,
    MixturePolicy,
    PolicyError,
    RandomPolicy,
    StickyPolicy,
    make_policy,
)
from collectors.recording.rollout import rollout
from collectors.worlds.snake.policies import AStarPolicy
from collectors.worlds.snake.search import board_of, plan, safest_move, shortest_path
from collectors.worlds.snake.tiles import BODY, FOOD, HEAD, TAIL, draw, equivalent_keys
from collectors.worlds.table import UnknownNameError

FRAME = np.zeros((64, 64, 3), np.uint8)
BOARD = board_of(8)


def cells(*places: tuple[int, int]) -> list[int]:
    return [row * 8 + column for row, column in places]


def actions_of(policy, seed: int, count: int = 400) -> list[int]:
    policy.reset(np.random.default_rng(seed))
    return [policy(FRAME) for _ in range(count)]


@pytest.mark.parametrize(
    "name",
    "random sticky sticky:0.5 astar astar:0.1 wander:0.3 equivalent burst:0.1 mix".split(),
)
def test_equal_seeds_give_equal_episodes(name):
    env = gymnasium.make("RealSnake-v0", max_episode_steps=60)
    first, second = (rollout(env, make_policy(name, 4, "snake"), seed=11) for _ in range(2))
    np.testing.assert_array_equal(first.frames, second.frames)
    assert first.policy_name == second.policy_name
    assert len(first.frames) == len(first) + 1 and (first.terminations[-1] or first.truncations[-1])


def test_random_actions_are_balanced_and_sticky_ones_repeat():
    random, sticky = (
        np.array(actions_of(p, 0, 4000)) for p in (RandomPolicy(4), StickyPolicy(4, 0.8))
    )
    assert np.abs(np.bincount(random) / 4000 - 0.25).max() < 0.03
    assert np.mean(random[1:] == random[:-1]) < 0.3
    assert abs(np.mean(sticky[1:] == sticky[:-1]) - 0.85) < 0.03  # a fresh draw may repeat too


def test_epsilon_mixes_the_inner_policy_with_chance():
    class Always:
        name = "always"

        def reset(self, generator):
            pass

        def __call__(self, observation):
            return 2

    actions = np.array(actions_of(EpsilonPolicy(Always(), 0.4, 4), 0, 4000))
    assert abs(np.mean(actions == 2) - 0.7) < 0.03


def test_a_mixture_draws_one_policy_an_episode_by_weight():
    mixture = MixturePolicy([RandomPolicy(4), StickyPolicy(4, 1.0), AStarPolicy()], [1, 3, 0])
    names = []
    for seed in range(400):
        mixture.reset(np.random.default_rng(seed))
        names.append(mixture.name)
    assert abs(names.count("sticky:1") / 400 - 0.75) < 0.07 and "astar" not in names


def test_the_shortest_path_goes_through_cells_that_the_body_will_have_left():
    body = cells(
        (3, 3), (3, 4), (2, 4), (1, 4), (1, 3), (1, 2), (2, 2)
    )  # the tail end closes the way up
    path = shortest_path(BOARD, body, cells((0, 2))[0])
    assert len(path) == 4 and path[0] in cells((2, 3), (3, 2))


def test_a_path_into_a_trap_is_not_taken():
    tail = [
        (row, 0) for row in range(1, 8)
    ]  # closes the corner with the food for longer than the snake could wait
    body, food = cells((0, 2), (1, 2), (2, 2), (2, 1), (1, 1), *tail), cells((0, 0))
    assert shortest_path(BOARD, body, food[0]) == cells((0, 1), (0, 0))
    assert plan(BOARD, body, food) == cells((0, 3))


def test_without_a_way_to_the_food_the_longest_safe_move_is_made():
    body = cells(
        (1, 1), (1, 2), (0, 2), (0, 1), (0, 0), (1, 0)
    )  # curled up: only down or after the tail
    move = safest_move(BOARD, body)
    assert move and move[0] in cells((2, 1), (1, 0))
    assert safest_move(BOARD, cells((0, 0), (0, 1), (1, 1), (1, 0), (2, 0))) == []


def test_astar_reads_pixels_and_grids_alike_and_heads_for_the_food():
    codes = np.zeros((16, 16), np.uint8)
    codes[8, 8], codes[8, 7], codes[8, 6], codes[4, 8] = HEAD[2], BODY[1], TAIL[3], FOOD
    for observation in (codes, draw(codes)):
        policy = AStarPolicy()
        policy.reset(np.random.default_rng(0))
        assert policy(observation) == 0


def test_astar_goes_straight_on_where_no_snake_can_be_read():
    codes = np.zeros((16, 16), np.uint8)
    codes[8, 8], codes[8, 7], codes[8, 6], codes[8, 12] = HEAD[2], BODY[1], TAIL[3], FOOD
    policy = AStarPolicy()
    policy.reset(np.random.default_rng(0))
    assert policy(codes) == 3
    assert policy(np.full((64, 64, 3), 77, np.uint8)) == 3
    codes[8, 6] = 0  # the tail is gone
    assert policy(codes) == 3


def test_astar_eats_more_than_forty_apples_in_a_thousand_steps_and_survives():
    env = gymnasium.make("RealSnake-v0", observation="grid")
    episodes = [rollout(env, AStarPolicy(), seed) for seed in range(3)]
    assert min((episode.rewards > 0).sum() for episode in episodes) > 40
    assert not any(episode.terminations[-1] for episode in episodes)


def test_astar_plays_on_a_board_that_wraps():
    env = gymnasium.make("RealSnake-v0", wrap=True, observation="grid", max_episode_steps=300)
    assert (rollout(env, AStarPolicy(wrap=True), 0).rewards > 0).sum() > 20


@pytest.mark.parametrize("name", ["astr", "astar:2", "astar:x", "mix:3", "random:0.1", "sticky:-1"])
def test_a_wrong_policy_name_is_refused(name):
    with pytest.raises(PolicyError, match="polic"):
        make_policy(name, 4, "snake")


def test_a_game_without_a_row_has_the_general_policies():
    mixture = make_policy("mix", 3)
    names = set()
    for seed in range(20):
        mixture.reset(np.random.default_rng(seed))
        names.add(mixture.name)
    assert names == {"random", "sticky:0.8"}
    with pytest.raises(PolicyError, match="there are random, sticky, mix"):
        make_policy("astar", 3)
    assert make_policy("astar", 4, "snake").name == "astar"


def test_an_unknown_world_or_policy_is_an_error_that_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'snake'"):
        make_policy("random", 4, "snak")
    with pytest.raises(PolicyError, match="did you mean 'astar'"):
        make_policy("astr", 4, "snake")


def test_ignored_keys_lead_to_the_same_game():
    env = gymnasium.make("RealSnake-v0", max_episode_steps=60)
    plain = rollout(env, AStarPolicy(), seed=3)
    ignored = rollout(env, EquivalentKeyPolicy(AStarPolicy(), equivalent_keys, 1.0), seed=3)
    np.testing.assert_array_equal(plain.frames, ignored.frames)
    changed = plain.actions != ignored.actions
    assert changed.mean() > 0.3
    np.testing.assert_array_equal(plain.actions[changed] ^ 1, ignored.actions[changed])


def test_a_burst_hands_over_to_the_other_policy_for_a_while():
    burst = BurstPolicy(StickyPolicy(4, 1.0), RandomPolicy(4), 0.1, 0.2)
    actions = np.array(actions_of(burst, 0, 4000))
    usual = np.bincount(actions).argmax()
    # two thirds of the steps, and a quarter of the bursts
    assert 0.7 < np.mean(actions == usual) < 0.8
