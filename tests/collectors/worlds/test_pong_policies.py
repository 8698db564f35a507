"""Pong's policies: they win, they lose, they are the same alone and in a batch, and they play
pictures only.
"""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import collectors  # noqa: F401  registers the ids
from collectors.worlds.pong.env import RealPong
from collectors.worlds.pong.policies import MAKERS, PongPolicy


def make(name: str) -> PongPolicy:
    kind, _, number = name.partition(":")
    return MAKERS[kind](number, 3)


def play(
    name: str, games: int = 16, steps: int = 3000, **options
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Plays one game per lane; (scores (B, 2) left and right, lengths (B,), names)."""
    env = gymnasium.make_vec(
        "RealPong-v0", num_envs=games, autoreset_mode=AutoresetMode.NEXT_STEP, **options
    )
    policy = make(name).batch(games)
    frames, _ = env.reset(seed=1)
    policy.reset(np.ones(games, bool), [np.random.default_rng([lane, 1]) for lane in range(games)])
    scores, lengths = np.zeros((games, 2), int), np.zeros(games, int)
    for _ in range(steps):
        frames, _, terminated, truncated, info = env.step(policy(frames))
        running = lengths >= 0
        scores[running] = np.stack([info["left_score"], info["right_score"]], 1)[running]
        lengths[running] += 1
        lengths[running & (terminated | truncated)] *= -1
        if (lengths < 0).all():
            break
    return scores, np.abs(lengths), policy.names


@pytest.mark.parametrize("options", [{}, {"size": 24}])
def test_the_scripted_player_wins_every_game(options):
    scores, lengths, _ = play("scripted", points_to_win=3, **options)
    assert (scores[:, 1] == 3).all() and lengths.max() < 1000


def test_the_scripted_player_wins_most_points_with_a_fifth_of_its_actions_random():
    lost, won = play("scripted:0.2", points_to_win=3)[0].sum(0)
    assert won > 4 * lost


def test_a_rally_without_spin_goes_on():
    scores, lengths, _ = play("rally", steps=400)
    assert scores.sum() == 0 and (lengths == 400).all()


def test_the_mixture_gives_points_to_both_sides_and_takes_paddles_everywhere():
    games, rows, names = 24, [], set()
    env = gymnasium.make_vec(
        "RealPong-v0", num_envs=games, points_to_win=2, autoreset_mode=AutoresetMode.DISABLED
    )
    policy, points, done = make("mix").batch(games), {-1.0: 0, 1.0: 0}, np.ones(games, bool)
    for step in range(500):
        if done.any():
            frames, _ = env.reset(
                seed=[step * games + lane for lane in range(games)], options={"reset_mask": done}
            )
            policy.reset(done, [np.random.default_rng([step, lane]) for lane in range(games)])
            names |= set(policy.names)
        frames, rewards, terminated, truncated, _ = env.step(policy(frames))
        done = terminated | truncated
        points = {value: count + int((rewards == value).sum()) for value, count in points.items()}
        rows.append(RealPong.decode_frames(frames).right)
    assert min(points.values()) > 10
    assert {"random", "sticky:0.8", "scripted", "scripted:0.2", "scripted:0.4", "wander"} <= names
    counts, _ = np.histogram(np.concatenate(rows), bins=12, range=(3.5, 63.5))
    assert counts.min() > 0.01 * counts.sum()


def test_the_mixture_hits_the_ball_with_every_key_whichever_way_it_flies():
    env = gymnasium.make_vec("RealPong-v0", num_envs=64, autoreset_mode=AutoresetMode.SAME_STEP)
    policy, balls, keys = make("mix").batch(64), [], []
    frames, _ = env.reset(seed=2)
    policy.reset(np.ones(64, bool), [np.random.default_rng([2, lane]) for lane in range(64)])
    for step in range(800):
        balls.append(RealPong.decode_frames(frames).ball)
        keys.append(policy(frames))
        frames, _, terminated, truncated, _ = env.step(keys[-1])
        over = terminated | truncated
        policy.reset(over, [np.random.default_rng([step, lane]) for lane in range(64)])
    ball, key = np.stack(balls), np.stack(keys)[1:-1]
    before, after = np.diff(ball, axis=0)[:-1], np.diff(ball, axis=0)[1:]
    hit = (before[..., 0] > 1) & (np.abs(after[..., 0]) < 2.3) & (ball[1:-1, :, 0] > 55)
    for flies in (before[..., 1] < 0, before[..., 1] > 0):
        share = np.bincount(key[hit & flies], minlength=3) / (hit & flies).sum()
        assert share.min() > 0.1


def test_a_burst_holds_one_key_for_some_twenty_steps():
    player, frame = make("burst:0.1"), np.zeros((64, 64, 3), np.uint8)  # no ball: it stands still
    player.reset(np.random.default_rng(0))
    actions = np.array([player(frame) for _ in range(3000)])
    moving = np.flatnonzero(np.diff(np.concatenate([[0], actions != 0, [0]]).astype(int)))
    bursts = moving[1::2] - moving[::2]
    assert set(actions.tolist()) == {0, 1, 2} and 15 < bursts.mean() < 40


@pytest.mark.parametrize("name", ["scripted:0.3", "burst:0.1", "mix"])
def test_a_lane_of_a_batch_does_what_a_player_alone_does(name):
    lanes, alone = 3, [make(name) for _ in range(3)]
    env = gymnasium.make_vec("RealPong-v0", num_envs=lanes, autoreset_mode=AutoresetMode.DISABLED)
    together = make(name).batch(lanes)
    frames, _ = env.reset(seed=4)
    together.reset(np.ones(lanes, bool), [np.random.default_rng(lane) for lane in range(lanes)])
    for lane, policy in enumerate(alone):
        policy.reset(np.random.default_rng(lane))
    for _ in range(300):
        actions = together(frames)
        assert actions.tolist() == [
            policy(frame) for policy, frame in zip(alone, frames, strict=True)
        ]
        frames, _, terminated, _, _ = env.step(actions)
        if terminated.any():
            break
    assert together.names == [policy.name for policy in alone]


def test_a_player_stands_pictures_without_ball_or_paddle():
    policy = make("scripted")
    policy.reset(np.random.default_rng(0))
    noise = np.random.default_rng(1).integers(0, 256, (30, 64, 64, 3), np.uint8)
    assert {policy(frame) for frame in [*noise, np.zeros((64, 64, 3), np.uint8)]} <= {0, 1, 2}


@pytest.mark.parametrize("name", ["scripted:2", "rally:-1", "scripted:many", "mix:3"])
def test_a_wrong_number_is_refused(name):
    with pytest.raises(ValueError):
        make(name)


def test_a_world_of_other_actions_is_refused():
    with pytest.raises(ValueError, match="3 actions"):
        MAKERS["scripted"]("", 15)
