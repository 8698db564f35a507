"""A toy court, drawn and read here: a perfect dream makes no error, and each fault shows in its own
figure.
"""

import numpy as np
import pytest

from runs import one_step, rollouts, runs_of
from world_models.evaluation.worlds.pong import PongEvaluator
from world_models.evaluation.worlds.pong_figures import PongState, ball_jumps

STAY, UP, DOWN = range(3)
SIZE, SPEED, TOP = 64, 3, 6
WALLS, COURT = (TOP + 2, SIZE - 3), (6, SIZE - 7)  # where the ball's centre turns: rows, columns


def draw(ball, left, right, score) -> np.ndarray:
    """(64, 64, 3) uint8: a 3x3 ball, paddles of 9 rows, and as many lit pixels in the first row as
    points.
    """
    frame = np.full((SIZE, SIZE, 3), (6, 24, 24), np.uint8)
    frame[left - 4 : left + 5, :2], frame[right - 4 : right + 5, -2:] = (255, 0, 0), (0, 255, 255)
    frame[0, : score[0]], frame[0, SIZE - score[1] :] = (255, 0, 0), (0, 255, 255)
    if ball is not None:
        column, row = ball
        frame[row - 1 : row + 2, column - 1 : column + 2] = 255
    return frame


def decode(frames: np.ndarray) -> tuple:
    """As RealPong.decode_frames."""
    court = frames[:, TOP:]
    marks = (court.min(-1) > 128, court[:, :, 0, 0] > 200, court[:, :, -1, 1] > 200)
    places = [
        [np.argwhere(m).mean(0) + TOP if m.any() else np.full(m.ndim, np.nan) for m in mark]
        for mark in marks
    ]
    ball, left, right = (np.array(p, np.float32) for p in places)
    ball = ball[:, ::-1] - (TOP, 0)
    score = (frames[:, 0, : SIZE // 2, 0] > 200).sum(1), (frames[:, 0, SIZE // 2 :, 1] > 200).sum(1)
    return ball, left[:, 0], right[:, 0], *score


EVALUATOR = PongEvaluator(decode)


def game(steps: int, seed: int, point_at: int | None = None, side: int = 1):
    """One game's states and actions: [(ball, left, right, score)] of steps + 1 frames, actions
    (steps,).
    """
    generator = np.random.default_rng(seed)
    ball, speed = generator.integers(25, 40, 2), np.array([3, 2]) * generator.choice([-1, 1], 2)
    right, score, actions = 30, [0, 0], generator.integers(3, size=steps)
    states = [(tuple(ball), 30, right, tuple(score))]
    for t, action in enumerate(actions):
        right = int(np.clip(right + SPEED * ((action == DOWN) * 1 - (action == UP)), 12, SIZE - 6))
        if t == point_at:
            ball, score[side] = np.array([32, 32]), score[side] + 1
        else:
            turn = [
                not low <= p + v <= high
                for p, v, (low, high) in zip(ball, speed, (COURT, WALLS), strict=True)
            ]
            speed = np.where(turn, -speed, speed)
            ball = ball + speed
        states.append((tuple(ball), 30, right, tuple(score)))
    return states, actions


def film(states, change=lambda t, state: state) -> np.ndarray:
    return np.stack([draw(*change(t, state)) for t, state in enumerate(states)])


def figures(
    change=lambda t, state: state, games: int = 4, steps: int = 25, point_at=None, delay: int = 0
):
    """(rules, actions, right) of a dream that changes the states of games; a point is dreamed
    `delay` steps late.
    """
    played = [game(steps, seed, point_at) for seed in range(games)]
    dreamed = [game(steps, seed, point_at and point_at + delay)[0] for seed in range(games)]
    real = np.stack([film(states) for states, _ in played])
    dream = np.stack([film(states, change) for states in dreamed])
    actions = np.stack([a for _, a in played])
    pairs = np.stack([real[:, :-2], real[:, 1:-1]], 2).reshape(-1, 2, SIZE, SIZE, 3)
    after = [frames[:, 2:].reshape(-1, SIZE, SIZE, 3) for frames in (real, dream)]
    step = one_step(EVALUATOR, pairs, *after, actions[:, 1:].reshape(-1))
    rewards = [np.diff([[s[3][1] for s in states] for states in g], axis=1)[:, 1:] for g in
               ([s for s, _ in played], dreamed)]  # fmt: skip
    opened = rollouts(
        real, dream, actions[:, 1:], rewards[0].astype(np.float32), rewards[1].astype(np.float32)
    )
    runs = runs_of(step, opened)
    return (
        EVALUATOR.rule_figures(runs, np.random.default_rng(0)),
        EVALUATOR.action_figures(runs),
        EVALUATOR.correctness(runs)[1],
    )


def test_a_perfect_dream_makes_no_error():
    rules, actions, right = figures()
    assert rules["one_ball"] == rules["two_paddles"] == 1 and right.all()
    assert rules["ball_error"] == rules["paddle_error"] == 0
    assert rules["rollout"]["ball_error"] == {"1": 0, "5": 0, "10": 0, "20": 0}
    assert rules["rollout"]["samples"]["20"] == 4
    assert (
        rules["bounce_accuracy"]
        == rules["bounce_precision"]
        == rules["bounce_accuracy_one_step"]
        == 1
    )
    assert rules["samples_bounces"] > 4
    assert actions["dream"] == actions["real"] == actions["dream_random_actions"] == 1


def test_a_shifted_ball_is_wrong_by_the_shift():
    rules, _, right = figures(lambda t, s: ((s[0][0] + 1, s[0][1]), *s[1:]))
    assert (
        rules["ball_error"] == rules["rollout"]["ball_error"]["10"] == 1
        and rules["paddle_error"] == 0
    )
    assert right.all()  # within a pixel
    rules, _, right = figures(lambda t, s: ((s[0][0], s[0][1] + 2), *s[1:]))
    assert rules["ball_error_median"] == 2 and not right.any()


def test_a_lost_ball_is_counted_as_missing_and_not_as_an_error():
    rules, _, right = figures(lambda t, s: (None if t > 12 else s[0], *s[1:]))
    assert (
        rules["rollout"]["ball_missing"]["5"] == 0 and rules["rollout"]["ball_missing"]["20"] == 1
    )
    assert (
        rules["rollout"]["ball_error"]["20"] is None and rules["one_ball"] < 1 and not right.all()
    )


def test_two_balls_are_not_one():
    def second(frames):
        frames[:, 40:43, 20:23] = 255
        return frames

    states, actions = game(10, 5)
    real = film(states)
    pairs = np.stack([real[:-2], real[1:-1]], 1)
    step = one_step(EVALUATOR, pairs, real[2:], second(real[2:].copy()), actions[1:])
    opened = rollouts(real[None], real[None], actions[None, 1:])
    assert EVALUATOR.rule_figures(runs_of(step, opened), np.random.default_rng(0))["one_ball"] == 0


def test_a_ball_that_does_not_bounce_is_found_out():
    played, _ = game(25, 0)

    def straight(t, state):  # it flies on as it did in the first steps
        step = np.subtract(played[2][0], played[1][0])
        return (tuple(np.clip(np.add(played[1][0], step * (t - 1)), 8, 60)), *state[1:])

    rules, _, _ = figures(straight, games=1)
    assert rules["bounce_accuracy"] < 0.5 and rules["rollout"]["ball_error"]["20"] > 5


def test_a_trembling_ball_gets_nothing_for_turning_all_the_time():
    rules, _, _ = figures(lambda t, s: ((s[0][0] + 4 * (t % 2), s[0][1] + 4 * (t % 2)), *s[1:]))
    assert (
        rules["bounce_recall"] > 0.9
        and rules["bounce_precision"] < 0.6
        and rules["bounce_accuracy"] < 0.75
    )


def test_a_paddle_that_stands_still_tells_no_action():
    rules, actions, _ = figures(lambda t, s: (*s[:2], 30, s[3]))
    assert rules["rollout"]["paddle_error"]["20"] > 1
    assert actions["dream"] < 0.6 and actions["real"] == 1


@pytest.mark.parametrize("delay, f1", [(0, 1.0), (1, 1.0), (3, 0.0)])
def test_a_point_counts_if_it_is_made_within_a_step(delay, f1):
    events = figures(point_at=12, delay=delay)[0]["score_events"]
    assert (
        events["rollout"]["f1"] == events["rollout"]["pips"]["f1"] == f1
        and events["rollout"]["support"] == 4
    )
    assert events["one_step"]["pips"]["f1"] == (1 if not delay else 0)


def test_after_a_point_chance_serves_and_no_position_is_compared():
    rules, _, _ = figures(lambda t, s: (s[0] if t < 13 else (20, 20), *s[1:]), point_at=12)
    assert rules["rollout"]["samples"] == {"1": 4, "5": 4, "10": 4, "20": 0}
    assert rules["rollout"]["ball_error"]["10"] == 0


def test_a_rollout_from_a_serve_is_left_out():
    states, actions = game(12, 3)
    real = film([states[0], *states])  # the context repeats the first frame
    dreamed = film([states[0], *states], lambda t, s: ((20, 20), *s[1:]))
    step = one_step(EVALUATOR, real[None, :2], real[2:3], real[2:3], actions[:1])
    rules = EVALUATOR.rule_figures(
        runs_of(step, rollouts(real[None], dreamed[None], actions[None])), None
    )
    assert (
        set(rules["rollout"]["samples"].values()) == {0}
        and rules["score_events"]["rollout"]["samples"] == 0
    )


def test_jumps_of_the_ball_are_counted_but_not_serves_new_dreams_and_lost_balls():
    steps, lanes = 100, 2
    ball = np.stack(np.broadcast_arrays(np.arange(steps)[:, None] * 0.5, np.float32([[20, 30]])), 2)
    score, rewards = np.zeros((steps, lanes, 2), int), np.zeros((steps, lanes))
    over = np.zeros((steps, lanes), bool)
    ball[40:, 0] += 5  # a jump
    ball[60:, 1] -= 9  # a serve
    rewards[60, 1], score[60:, 1, 0] = -1, 1
    ball[70:, 0], over[69, 0] = ball[0, 0], True  # a new dream
    ball[80, 0] = np.nan  # lost for a frame
    decoded = PongState(ball, ball * 0, score, score[..., 0] * 1.0)
    assert ball_jumps(decoded, rewards, over) == pytest.approx(10_000 / ((steps - 1) * lanes))


def test_bounces_and_points_are_events():
    states, actions = game(25, 0, point_at=12)
    real = film(states)
    step = one_step(
        EVALUATOR, np.stack([real[:-2], real[1:-1]], 1), real[2:], real[2:], actions[1:]
    )
    events = EVALUATOR.events(step).numpy()
    assert events[11] and 1 < events.sum() < 12
