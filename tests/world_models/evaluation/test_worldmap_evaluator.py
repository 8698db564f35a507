"""A perfect dream moves as the window does; what a shifted, frozen or forgetful one does wrong
shows in its figure.
"""

import numpy as np
import pytest

from runs import one_step, rollouts, runs_of
from world_models.evaluation.worlds import worldmap as map_rules
from world_models.evaluation.worlds.worldmap import WorldMapEvaluator

UP, DOWN, LEFT, RIGHT = range(4)
MOVES = 8 * np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
EVALUATOR = WorldMapEvaluator(8)


def terrain(seed: int = 0, size: int = 400) -> np.ndarray:
    """(S, S, 3) uint8: smooth hills, no two places alike."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    waves = [np.sin(x * a + y * b + c) for a, b, c in generator.normal(0, 0.15, (12, 3))]
    heights = np.stack([np.tensordot(w, waves, 1) for w in generator.normal(0, 22, (3, 12))], -1)
    return np.clip(heights + 128, 0, 255).astype(np.uint8)


LAND = terrain()


def windows(places: np.ndarray, land: np.ndarray = LAND) -> np.ndarray:
    """Frames (..., 64, 64, 3) at places (..., 2)."""
    frames = [land[r : r + 64, c : c + 64] for r, c in places.reshape(-1, 2)]
    return np.stack(frames).reshape(*places.shape[:-1], 64, 64, 3)


def voyage(count: int = 24, steps: int = 1, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random walks: places (N, steps + 1, 2) and actions (N, steps)."""
    generator = np.random.default_rng(seed)
    actions = generator.integers(4, size=(count, steps))
    start = generator.integers(120, 200, (count, 1, 2))
    return np.concatenate([start, start + MOVES[actions].cumsum(1)], 1), actions


def evaluated(dream) -> tuple[dict, dict, np.ndarray]:
    """(rules, actions, right) of a one-step dream: a function of places (N, 2) after the move ->
    frames.
    """
    places, actions = voyage()
    frames = windows(places)
    step = one_step(EVALUATOR, frames[:, :1], frames[:, 1], dream(places, frames), actions[:, 0])
    walks, moves = voyage(6, 13, seed=2)
    film = windows(walks)
    runs = runs_of(step, rollouts(film, film, moves[:, 1:]))
    return (
        EVALUATOR.rule_figures(runs, np.random.default_rng(0)),
        EVALUATOR.action_figures(runs),
        EVALUATOR.correctness(runs)[1],
    )


def test_a_perfect_dream_has_no_shift_error_and_keeps_every_known_pixel():
    rules, actions, right = evaluated(lambda places, frames: frames[:, 1])
    assert (
        rules["shift_error"] == 0
        and rules["shift_within_half_pixel"] == 1
        and rules["samples_shift"] == 24
    )
    assert (
        rules["known_psnr"]
        == rules["new_strip_psnr"]
        == 100
        > 30
        > rules["known_psnr_copy_last_frame"]
    )
    assert (
        actions["dream"] == actions["real"] == actions["dream_random_actions"] == 1 and right.all()
    )
    assert set(rules["rollout"]["known_psnr"].values()) == {100} and set(
        rules["rollout"]["shift_error"].values()
    ) == {0}


@pytest.mark.parametrize("shift", [(1, 0), (0, -2), (1, 1)])
def test_a_dream_that_lands_beside_its_place_has_that_error(shift):
    rules, _, right = evaluated(lambda places, frames: windows(places[:, 1] + shift))
    assert rules["shift_error"] == pytest.approx(np.hypot(*shift), abs=0.15)
    assert rules["known_psnr"] < 35 and not right.any()


def test_half_a_pixel_is_seen():
    def blended(places, frames):
        both = [windows(places[:, 1] + (0, step)).astype(float) for step in (0, 1)]
        return ((both[0] + both[1]) / 2).astype(np.uint8)

    assert evaluated(blended)[0]["shift_error"] == pytest.approx(0.5, abs=0.15)


def test_a_frozen_dream_is_wrong_by_the_stride_and_tells_no_action():
    rules, actions, right = evaluated(lambda places, frames: frames[:, 0])
    assert rules["shift_error"] == pytest.approx(8, abs=0.1) and rules["known_psnr"] < 30
    assert rules["known_psnr"] == rules["known_psnr_copy_last_frame"]
    assert actions["dream"] == 0 and actions["real"] == 1 and not right.any()


def test_a_dream_that_invents_the_new_strip_is_told_by_the_strip_alone():
    def inventive(places, frames):
        known = map_rules.window(places[:, 1] - places[:, 0], places[:, 1] - places[:, 0], (64, 64))
        return np.where(known[..., None], frames[:, 1], 255 - frames[:, 1])

    rules, _, right = evaluated(inventive)
    assert (
        rules["known_psnr"] == 100
        and rules["shift_error"] == 0
        and rules["new_strip_psnr"] < 20
        and right.all()
    )


def test_at_the_maps_edge_the_recording_tells_that_nothing_moved():
    still = windows(np.full((3, 2, 2), 100))
    motion = EVALUATOR.motion(still[:, 0], still[:, 1], np.array([UP, LEFT, RIGHT]))
    assert (motion == 0).all()
    places, actions = voyage()
    frames = windows(places)
    assert (
        EVALUATOR.motion(frames[:, 0], frames[:, 1], actions[:, 0]) == MOVES[actions[:, 0]]
    ).all()


def test_where_no_rollout_goes_on_there_are_no_figures():
    walks, actions = voyage(2, 6)
    film = windows(walks)
    step = one_step(EVALUATOR, film[:, :1], film[:, 1], film[:, 1], actions[:, 0])
    opened = rollouts(film, film, actions[:, 1:])
    opened = opened._replace(running=opened.running & False)
    figures = EVALUATOR.rule_figures(runs_of(step, opened), np.random.default_rng(0))["rollout"]
    assert (
        figures["known_psnr"]["5"] is None is figures["shift_error"]["5"]
        and figures["samples"]["5"] == 0
    )


def test_open_sea_tells_no_shift():
    sea = np.full((2, 64, 64, 3), 40, np.uint8)
    assert (
        not map_rules.textured(sea, 10).any()
        and map_rules.textured(windows(np.full((1, 2), 100)), 10).all()
    )


def test_what_stayed_in_sight_is_followed_through_a_voyage():
    """Right, right, left: two strips came in and one of them is still there, and the left one went
    and came back.
    """
    actions = np.array([[RIGHT, RIGHT, LEFT]])
    low, high = np.array([[0, 0]]), np.array([[0, 16]])
    place = MOVES[actions].sum(1)
    known = map_rules.window(place - low, place - high, (64, 64))[0]
    assert known.all(0).nonzero()[0].tolist() == list(range(8, 56)) and known.any(1).all()


def test_a_rollout_that_forgets_is_told_by_its_horizon():
    walks, actions = voyage(8, 11, seed=3)
    real = windows(walks)
    dreamed = real.copy()
    dreamed[:, 7:] = 255 - dreamed[:, 7:]  # from the sixth step on
    step = one_step(EVALUATOR, real[:, :1], real[:, 1], real[:, 1], actions[:, 0])
    figures = EVALUATOR.rule_figures(
        runs_of(step, rollouts(real, dreamed, actions[:, 1:])), np.random.default_rng(0)
    )
    assert (
        figures["rollout"]["known_psnr"]["5"] == 100 > 20 > figures["rollout"]["known_psnr"]["10"]
    )
    assert figures["rollout"]["samples"] == {"1": 8, "5": 8, "10": 8}


def test_a_landfall_that_is_dreamed_too_late_is_no_hit():
    places, actions = voyage(4)
    frames = windows(places)
    rewards = [-0.01, 1.0, -0.01, -0.01]
    step = one_step(
        EVALUATOR, frames[:, :1], frames[:, 1], frames[:, 1], actions[:, 0], rewards, rewards[::-1]
    )
    walks, moves = voyage(1, 3)
    opened = rollouts(windows(walks), windows(walks), moves[:, 1:])
    figures = EVALUATOR.rule_figures(runs_of(step, opened), np.random.default_rng(0))["landfall"]
    assert figures["one_step"]["f1"] == 0 and figures["one_step"]["support"] == 1


def test_survival_counts_moves_by_the_stride_or_none_at_the_edge():
    frames = windows(voyage(1, 4)[0])[0]
    actions = voyage(1, 4)[1][0]
    drift = [EVALUATOR.decode_step(frames[t : t + 1], frames[t + 1 : t + 2]) for t in range(4)]
    decoded = map_rules.MapSteps(*(np.stack(column) for column in zip(*drift, strict=True)))
    run = type("Run", (), {"decoded": decoded, "actions": actions[:, None]})
    assert EVALUATOR.survival_figures(run, None) == {"lawful_moves": 1, "frames_with_texture": 1}
    run.actions = (actions[:, None] + 1) % 4
    assert EVALUATOR.survival_figures(run, None)["lawful_moves"] == 0


def test_what_left_the_sight_on_a_walk_does_not_count_for_what_stayed():
    first = windows(np.array([[150, 150], [150, 150]]))
    last = first.copy()
    last[:, :, :32] = 0  # what is left behind on four steps to the right
    found = EVALUATOR.psnr_in_sight(first, last, np.array([RIGHT, LEFT]), 4)
    assert found[0] == 100 and found[1] < 20
    assert np.isnan(EVALUATOR.psnr_in_sight(first, last, np.array([UP, DOWN]), 8)).all()
