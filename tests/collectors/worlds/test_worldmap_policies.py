"""The policies that sail the world map."""

import gymnasium
import numpy as np
import pytest

import collectors  # noqa: F401  registers the ids
from collectors.policies.policies import PolicyError, make_policy
from collectors.recording.rollout import rollout
from collectors.worlds.table import WORLDS
from collectors.worlds.worldmap.env import land_mask, load_map
from collectors.worlds.worldmap.policies import (
    Chart,
    CoastPolicy,
    ShorePolicy,
    actions_along_land,
    actions_to_land_in_sight,
    landfall_distances,
)

UP, DOWN, LEFT, RIGHT = range(4)


def play(env: gymnasium.Env, name: str, episodes: int):
    policy = make_policy(name, 4, "worldmap")
    return [rollout(env, policy, seed) for seed in range(episodes)]


def test_coast_lands_always_and_soon_where_random_play_seldom_does():
    env = gymnasium.make("RealWorldMap-v0")
    coast, noisy, aimless = (play(env, name, 40) for name in ("coast", "coast:0.5", "random"))
    landed = [
        np.mean([episode.terminations[-1] for episode in some]) for some in (coast, noisy, aimless)
    ]
    steps = [np.mean([len(episode) for episode in some]) for some in (coast, noisy, aimless)]
    assert landed[0] == 1 and landed[1] > 0.95 and landed[2] < 0.7
    assert steps[0] < steps[1] < steps[2] / 2


def test_coast_takes_exactly_as_many_steps_as_the_distance_field_says():
    env, distances = gymnasium.make("RealWorldMap-v0"), landfall_distances(load_map())
    for episode in play(env, "coast", 20):
        row, column = env.reset(seed=episode.seed)[1]["position"]
        assert len(episode) == distances[row // 8, column // 4]


def test_distances_fall_by_one_along_some_move_and_never_by_more():
    distances = landfall_distances(load_map())
    around = np.stack([np.roll(distances, hop, 1) for hop in (2, -2)])
    poles = np.pad(distances, ((1, 1), (0, 0)), mode="edge")
    nearest = np.concatenate([around, poles[None, 2:], poles[None, :-2]]).min(axis=0)
    assert (nearest == distances - 1)[distances > 0].all() and distances.max() < 100


def test_the_chart_finds_every_window_of_the_map_and_no_other():
    chart, earth = Chart(load_map()), load_map()
    for row, column in np.random.default_rng(0).integers((0, 0), (100, 675), (200, 2)):
        frame = earth.window(row * 8, column * 4).copy()
        assert chart.find(frame) == (row, column)
        frame[5, 5] += 1
        assert chart.find(frame) is None


def test_where_frames_are_not_on_the_chart_coast_steers_by_the_land_in_sight():
    class NoChart:
        def find(self, frame):
            return None

    env, policy = gymnasium.make("RealWorldMap-v0"), CoastPolicy(4, NoChart())
    episodes, aimless = [rollout(env, policy, seed) for seed in range(40)], play(env, "random", 40)
    landed, by_chance = (
        np.mean([episode.terminations[-1] for episode in some]) for some in (episodes, aimless)
    )
    assert landed > by_chance + 0.3
    assert (
        np.mean([len(episode) for episode in episodes])
        < np.mean([len(episode) for episode in aimless]) / 2
    )


def test_shore_plays_the_game_as_it_would_play_a_dream_by_what_it_sees_alone():
    class NoChart:
        def find(self, frame):
            return None

    env = gymnasium.make("RealWorldMap-v0")
    for seed in range(5):
        by_sight = rollout(env, CoastPolicy(4, NoChart()), seed)
        shore = rollout(env, ShorePolicy(4), seed)
        assert np.array_equal(shore.actions, by_sight.actions)
    coast, shore = (play(env, name, 20) for name in ("coast", "shore"))
    lengths = [np.mean([len(episode) for episode in some]) for some in (coast, shore)]
    assert lengths[0] < lengths[1] / 1.5  # the map knows more than the frame shows
    assert WORLDS["worldmap"].best_policy == "shore"


@pytest.mark.parametrize(
    ("rows", "columns", "actions"),
    [
        ((0, 64), (48, 64), [RIGHT]),
        ((0, 64), (0, 16), [LEFT]),
        ((0, 16), (0, 64), [UP]),
        ((52, 64), (52, 64), [DOWN, RIGHT]),
        ((0, 64), (62, 64), [RIGHT]),
        ((28, 36), (28, 36), []),  # an islet in the middle is too small to land on
        ((0, 0), (0, 0), []),
    ],
)
def test_land_in_sight_is_steered_for(rows, columns, actions):
    mask = np.zeros((64, 64), bool)
    mask[slice(*rows), slice(*columns)] = True
    assert actions_to_land_in_sight(mask) == actions


def test_along_stays_at_a_coast_without_landing_and_turns_at_times():
    env = gymnasium.make("RealWorldMap-v0")
    episodes = play(env, "along", 20)
    assert np.mean([episode.terminations[-1] for episode in episodes]) < 0.3
    late = np.concatenate([episode.frames[100:] for episode in episodes if len(episode) == 200])
    assert land_mask(late)[:, 16:48, 16:48].any((1, 2)).mean() > 0.9
    keys = np.concatenate([episode.actions[100:] for episode in episodes])
    assert np.bincount(keys, minlength=4).min() > 0.1 * len(keys)


@pytest.mark.parametrize(
    ("rows", "columns", "actions"),
    [
        ((0, 64), (48, 64), [RIGHT]),  # only that move brings it into the middle half
        ((0, 64), (40, 64), [UP, DOWN]),  # to the right it would land
        ((0, 64), (32, 64), [LEFT]),  # all others land, or stay where they have landed
        ((0, 0), (0, 0), []),
    ],
)
def test_moves_along_land_keep_it_in_the_middle_and_do_not_land(rows, columns, actions):
    mask = np.zeros((64, 64), bool)
    mask[slice(*rows), slice(*columns)] = True
    assert actions_along_land(mask) == actions


def test_a_policy_plays_equal_voyages_from_equal_generators_in_a_dream_too():
    frames, policy = (
        np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3)).astype(np.uint8),
        CoastPolicy(4),
    )
    voyages = []
    for _ in range(2):
        policy.reset(np.random.default_rng(1))
        voyages.append([policy(frame) for frame in frames])
    assert voyages[0] == voyages[1] and set(voyages[0]) <= {0, 1, 2, 3}


def test_the_mix_holds_aimless_walks_and_voyages_to_the_coast():
    policy, names = make_policy("mix", 4, "worldmap"), set()
    for seed in range(100):
        policy.reset(np.random.default_rng(seed))
        names.add(policy.name)
    assert names == {
        "random",
        "sticky:0.8",
        "sticky:0.95",
        "coast",
        "coast:0.2",
        "coast:0.5",
        "coast:0.8",
        "coast+burst:sticky:0.97",
        "coast+sweep",
    }
    with pytest.raises(PolicyError, match="coast:2"):
        make_policy("coast:2", 4, "worldmap")
