"""RealCoinRun-v0: seeds, levels, the end of an episode, many lanes.

Without envpool, what needs it is skipped.
"""

import importlib.util
import re
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import collectors  # noqa: F401  registers the ids
from collectors.extras import install
from collectors.policies.policies import MixturePolicy
from collectors.recording.collect import collect
from collectors.worlds.coinrun.env import RealCoinRun, RealCoinRunVector
from collectors.worlds.coinrun.game import ACTIONS, CoinRunOptions, split_key
from collectors.worlds.coinrun.policies import JUMP_RIGHT, MAKERS, RUN_RIGHT, RightPolicy
from collectors.worlds.registration import unknown_option

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("envpool") is None, reason="needs the extra coinrun"
)
NONE, RIGHT, UP_RIGHT = 4, 7, 8


def actions_of(seed: int) -> np.ndarray:
    """(1000,) int64: to the right, with jumps."""
    return np.random.default_rng(seed).choice([RIGHT, UP_RIGHT, UP_RIGHT, 5], 1000)


def play(env, actions, **reset):
    """(frames, rewards, terminated, truncated, last info) of one episode."""
    frames, rewards = [env.reset(**reset)[0]], []
    for action in actions:
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        rewards.append(reward)
        if terminated or truncated:
            break
    return np.stack(frames), rewards, terminated, truncated, info


def ending(coin: bool, **options):
    """An episode that ends with the coin, or with death."""
    env = RealCoinRun(**options)
    for level in range(40):
        episode = play(env, actions_of(level), options={"level": level})
        if episode[4]["coin"] == coin and episode[2]:
            return episode
    raise AssertionError("no such ending in 40 levels")


def test_without_the_engine_the_error_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(gymnasium.error.DependencyNotInstalled, match=re.escape(install("coinrun"))):
        gymnasium.make("RealCoinRun-v0")


def test_an_unknown_option_is_named_with_the_nearest_one():
    words = ("RealCoinRun-v0", {"levels": "split", "level": "train"})
    assert unknown_option(*words).startswith("unknown option 'level'; did you mean 'levels'?")
    assert unknown_option("RealCoinRun-v0", ["stack", "render_mode"]) == ""
    assert unknown_option("AnyGame-v0", ["anything"]) == ""  # it is the game's own to know


def test_held_out_levels_are_never_training_levels():
    levels = {name: CoinRunOptions(levels=name) for name in ("train", "validation", "test")}
    generator = np.random.default_rng(0)
    drawn = {
        name: {options.draw_level(generator) for _ in range(2000)}
        for name, options in levels.items()
    }
    assert drawn["train"] == set(range(200))
    assert drawn["validation"] == set(range(9000, 9050))
    assert min(drawn["test"]) >= 10_000
    assert all(split_key(level).startswith(f"{name}:") for name in drawn for level in drawn[name])


def test_the_split_mixture_has_all_three_parts_by_its_shares():
    generator, options = np.random.default_rng(0), CoinRunOptions(levels="split")
    names = [split_key(options.draw_level(generator)).split(":")[0] for _ in range(3000)]
    shares = [names.count(name) / 3000 for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.88, 0.04, 0.08], atol=0.02)


def test_without_a_number_of_levels_all_there_are_can_be_drawn():
    options, generator = CoinRunOptions(num_levels=0, start_level=5), np.random.default_rng(0)
    levels = [options.draw_level(generator) for _ in range(100)]
    assert min(levels) >= 5 and max(levels) > 2**30


@pytest.mark.parametrize(
    "options",
    [
        {"distribution_mode": "extreme"},
        {"levels": "mine"},
        {"num_levels": -1},
        {"start_level": -1},
        {"stack": 0},
        {"observation": "ram"},
        {"terminal_frame": "guess"},
        {"num_levels": 9001, "levels": "split"},
    ],
)
def test_options_that_make_no_game_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CoinRunOptions(**options)


@needs_engine
@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode.*")
@pytest.mark.parametrize(
    "options", [{}, {"observation": "grey84"}, {"distribution_mode": "hard", "levels": "split"}]
)
def test_gymnasiums_checker_is_content(options):
    check_env(gymnasium.make("RealCoinRun-v0", render_mode="rgb_array", **options).unwrapped)


@needs_engine
def test_the_registered_game_has_the_spaces_limit_and_spec_of_the_contract():
    env = gymnasium.make("RealCoinRun-v0")
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(15)
    assert env.unwrapped.world_spec() == {
        "world": "coinrun",
        "frame_shape": [64, 64, 3],
        "action_names": list(ACTIONS),
        "reward_values": [0.0, 10.0],
        "fps": 15,
        "max_episode_steps": 1000,
    }
    assert len(set(ACTIONS)) == 15


@needs_engine
def test_a_seed_decides_the_level_and_the_whole_episode_whatever_was_played_before():
    env, other = RealCoinRun(), RealCoinRun()
    play(other, actions_of(3), seed=1)
    for first, second in zip(
        play(env, actions_of(5), seed=7), play(other, actions_of(5), seed=7), strict=True
    ):
        np.testing.assert_equal(first, second)
    assert len({RealCoinRun().reset(seed=seed)[1]["level"] for seed in range(8)}) > 4


@needs_engine
def test_an_episode_left_in_the_middle_starts_again_from_its_first_frame():
    env = RealCoinRun()
    whole = play(env, actions_of(0), options={"level": 3})
    play(env, actions_of(0)[:9], options={"level": 3})
    again = play(env, actions_of(0), options={"level": 3})
    np.testing.assert_array_equal(whole[0], again[0])


@needs_engine
def test_the_actions_move_the_player_and_the_six_keys_do_nothing():
    def frames(action):
        return play(RealCoinRun(), [action] * 4, options={"level": 3})[0]

    moved = {action: (frames(action)[-1] != frames(NONE)[-1]).any() for action in range(15)}
    assert [action for action, changed in moved.items() if not changed] == [3, NONE, *range(9, 15)]


@needs_engine
def test_the_coin_pays_ten_and_ends_the_game():
    _, rewards, terminated, truncated, info = ending(coin=True)
    assert (rewards[-1], sum(rewards), terminated, truncated, info["coin"]) == (
        10.0,
        10.0,
        True,
        False,
        True,
    )


@needs_engine
def test_death_pays_nothing_and_ends_the_game():
    _, rewards, terminated, truncated, info = ending(coin=False)
    assert (sum(rewards), terminated, truncated, info["coin"]) == (0.0, True, False, False)


@needs_engine
@pytest.mark.parametrize("coin", [True, False])
def test_the_last_frame_is_held_and_never_the_next_episodes_first(coin):
    frames = ending(coin)[0]
    np.testing.assert_array_equal(frames[-1], frames[-2])
    assert (frames[-1] != frames[0]).any()
    assert (frames[-2] != frames[-3]).any()


@needs_engine
@pytest.mark.parametrize(("coin", "color"), [(True, (0, 255, 0)), (False, (255, 0, 0))])
def test_a_marked_last_frame_has_a_green_border_for_the_coin_and_a_red_one_for_death(coin, color):
    frames = ending(coin, terminal_frame="mark")[0]
    assert (frames[-1][[0, 1, -2, -1]] == color).all() and (
        frames[-1][:, [0, 1, -2, -1]] == color
    ).all()
    np.testing.assert_array_equal(frames[-1][2:-2, 2:-2], frames[-2][2:-2, 2:-2])


@needs_engine
def test_time_is_up_after_a_thousand_steps_and_that_is_a_truncation():
    frames, rewards, terminated, truncated, _ = play(
        RealCoinRun(terminal_frame="mark"), [1] * 1001, seed=0
    )
    assert (len(rewards), sum(rewards), terminated, truncated) == (1000, 0.0, False, True)
    np.testing.assert_array_equal(frames[-1], frames[-2])


@needs_engine
def test_grey_frames_are_stacked_oldest_first():
    env = RealCoinRun(observation="grey84")
    first, second, third = play(env, [RIGHT, UP_RIGHT], options={"level": 3})[0]
    assert first.shape == (84, 84, 4) and (first == first[..., :1]).all()
    np.testing.assert_array_equal(third[..., :3], second[..., 1:])
    np.testing.assert_array_equal(second[..., :3], first[..., 1:])
    single = RealCoinRun(observation="grey84", stack=1)
    np.testing.assert_array_equal(
        play(single, [RIGHT], options={"level": 3})[0][1], second[..., 3:]
    )


@needs_engine
def test_a_wrong_action_and_a_step_outside_a_game_name_the_remedy():
    env = RealCoinRun()
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="action 15"):
        env.step(15)


@needs_engine
def test_every_lane_plays_the_game_of_a_single_environment_with_its_seed():
    lanes = RealCoinRunVector(3, levels="split", autoreset_mode="Disabled")
    seeds, actions = [11, 5, 900], np.stack([actions_of(seed)[:20] for seed in range(3)])
    frames, infos = lanes.reset(seed=seeds)
    observed = [frames, *(lanes.step(step)[0] for step in actions.T)]
    for lane, seed in enumerate(seeds):
        single = RealCoinRun(levels="split")
        np.testing.assert_array_equal(
            play(single, actions[lane], seed=seed)[0], np.stack(observed)[:, lane]
        )
        assert single.reset(seed=seed)[1]["split_key"] == infos["split_key"][lane]


@needs_engine
def test_some_lanes_are_reset_with_seeds_of_their_own_and_the_others_go_on():
    lanes, other = (
        RealCoinRunVector(2, autoreset_mode="Disabled"),
        RealCoinRunVector(2, autoreset_mode="Disabled"),
    )
    for env in (lanes, other):
        env.reset(seed=0)
        env.step(np.array([RIGHT, RIGHT]))
    frames, infos = lanes.reset(seed=[None, 42], options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(frames[1], RealCoinRun().reset(seed=42)[0])
    assert infos["_split_key"].tolist() == [False, True]
    np.testing.assert_array_equal(
        lanes.step([UP_RIGHT] * 2)[0][0], other.step([UP_RIGHT] * 2)[0][0]
    )


def until_an_end(lanes) -> tuple:
    """What the step returned in which a lane ended first; everybody runs right."""
    lanes.reset(seed=3)
    for step in range(500):
        returned = lanes.step(np.full(lanes.num_envs, [UP_RIGHT, RIGHT][step % 3 == 0]))
        if (returned[2] | returned[3]).any():
            return returned
    raise AssertionError("no lane has ended in 500 steps")


@needs_engine
def test_the_three_ways_to_reset_a_lane_that_has_ended():
    modes = (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)
    same, following, disabled = (RealCoinRunVector(4, autoreset_mode=mode) for mode in modes)
    frames, rewards, terminated, _, infos = until_an_end(same)
    repeated, repeated_rewards, *_ = until_an_end(following)
    lane = int(np.flatnonzero(terminated)[0])
    np.testing.assert_array_equal(infos["final_obs"][lane], repeated[lane])
    assert (
        infos["_final_obs"].tolist() == terminated.tolist()
        and rewards.tolist() == repeated_rewards.tolist()
    )
    fresh, rewards, ended, *_ = following.step(np.full(4, NONE))
    np.testing.assert_array_equal(fresh[lane], frames[lane])
    assert rewards[lane] == 0 and not ended[lane]
    until_an_end(disabled)
    with pytest.raises(gymnasium.error.ResetNeeded, match=f"{lane}"):
        disabled.step(np.full(4, NONE))


@needs_engine
def test_many_lanes_come_from_gymnasium_with_the_registered_limit():
    lanes = gymnasium.make_vec("RealCoinRun-v0", num_envs=2, max_episode_steps=5)
    assert (
        isinstance(lanes, RealCoinRunVector)
        and lanes.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    )
    lanes.reset(seed=0)
    truncated = [lanes.step(np.full(2, NONE))[3].tolist() for _ in range(5)]
    assert truncated == [[False, False]] * 4 + [[True, True]]
    assert lanes.world_spec()["max_episode_steps"] == 5


@needs_engine
def test_a_dataset_is_the_same_from_one_lane_or_many_and_is_split_by_level(tmp_path):
    def record(lanes):
        options = {"levels": "split", "max_episode_steps": 8}
        return collect(
            "RealCoinRun-v0",
            tmp_path / str(lanes),
            300,
            "right:0.9",
            lanes=lanes,
            env_options=options,
        )

    dataset, other = record(1), record(4)
    assert dataset.fingerprint == other.fingerprint
    for part, ids in dataset.split().items():
        assert len(ids) > 0 and all(dataset.episode(i).key.startswith(f"{part}:") for i in ids)


def test_the_right_biased_policy_runs_right_as_often_as_it_is_told():
    policy = RightPolicy(0.8)
    policy.reset(np.random.default_rng(0))
    actions = np.array([policy(np.zeros((64, 64, 3), np.uint8)) for _ in range(8000)])
    share = np.isin(actions, (RUN_RIGHT, JUMP_RIGHT)).mean()
    assert abs(share - (0.8 + 0.2 * 2 / 9)) < 0.02
    assert actions.max() == 8 and abs((actions[1:] == actions[:-1]).mean() - 0.82) < 0.03


def test_the_world_has_its_own_policies_and_mixture():
    assert MAKERS["right"]("0.6", 15).name == "right:0.6"
    mixture, names = MAKERS["mix"]("", 15), set()
    for seed in range(300):
        mixture.reset(np.random.default_rng(seed))
        names.add(mixture.name)
    assert isinstance(mixture, MixturePolicy)
    plain = {"random", "sticky:0.7", "right:0.4", "right:0.6", "right:0.8", "right:0.95"}
    varied = {"equivalent:0.1", "equivalent:0.3", "right:0.9+sweep"}
    assert names == plain | varied | {"right:0.9+burst:sticky:0.95"}


def test_the_mix_presses_every_key_in_play_to_the_right():
    mixture, counts = MAKERS["mix"]("", 15), np.zeros(15)
    for seed in range(250):
        mixture.reset(np.random.default_rng(seed))
        if mixture.name.startswith(("random", "sticky")):
            continue
        counts += np.bincount([mixture(np.zeros((1, 1, 3))) for _ in range(80)], minlength=15)
    assert (counts / counts.sum()).min() > 0.005
