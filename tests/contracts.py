"""Reusable contracts: a class of tests that any implementation inherits and runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv

MODES = list(AutoresetMode)


class VectorEnvContract:
    """What every vector environment owes its callers, in all three autoreset modes.

    A subclass gives `make_vec(num_envs, autoreset_mode, max_episode_steps)`, and
    `make_single(max_episode_steps)` whose environment, reset with seed s + i, is lane i of the
    vector environment reset with seed s. Episodes must end, by themselves or by the step limit,
    within `horizon` steps of random actions.
    """

    lanes = 4
    horizon = 40
    step_limit = 9

    def make_vec(
        self, num_envs: int, autoreset_mode: AutoresetMode, max_episode_steps: int | None = None
    ) -> VectorEnv:
        raise NotImplementedError

    def make_single(self, max_episode_steps: int | None = None) -> Any:
        raise NotImplementedError

    def play(self, env: VectorEnv, seed: int = 3, steps: int | None = None):
        """Yields (actions, frames, rewards, terminated, truncated, info), resetting finished lanes
        under DISABLED.
        """
        env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(steps or self.horizon):
            actions = rng.integers(env.single_action_space.n, size=env.num_envs)
            result = env.step(actions)
            yield actions, *result
            done = result[2] | result[3]
            if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and done.any():
                env.reset(options={"reset_mask": done})

    @pytest.mark.parametrize("mode", MODES)
    def test_everything_returned_has_the_promised_shape_and_type(self, mode):
        env = self.make_vec(self.lanes, mode)
        frames, info = env.reset(seed=0)
        assert frames in env.observation_space and isinstance(info, dict)
        for _, frames, rewards, terminated, truncated, info in self.play(env):
            assert frames in env.observation_space
            assert rewards.shape == (self.lanes,) and np.issubdtype(rewards.dtype, np.floating)
            assert terminated.shape == truncated.shape == (self.lanes,)
            assert terminated.dtype == truncated.dtype == np.bool_
            for key in (k for k in info if not k.startswith("_")):
                assert info[f"_{key}"].shape == (self.lanes,) and info[f"_{key}"].dtype == np.bool_
        env.close()

    @pytest.mark.parametrize("mode", MODES)
    def test_the_autoreset_mode_is_told_in_metadata_and_attribute(self, mode):
        env = self.make_vec(2, mode)
        assert env.metadata["autoreset_mode"] is mode and env.autoreset_mode is mode
        assert isinstance(env.metadata["render_modes"], list) and isinstance(
            env.metadata["render_fps"], int
        )

    @pytest.mark.parametrize("mode", MODES)
    def test_a_seed_fixes_the_whole_run(self, mode):
        runs = [list(self.play(self.make_vec(self.lanes, mode), seed=11)) for _ in range(2)]
        for one, other in zip(*runs, strict=True):
            for a, b in zip(one[:-1], other[:-1], strict=True):
                np.testing.assert_array_equal(a, b)

    def test_same_step_gives_a_dense_final_obs_exactly_when_a_lane_finishes(self):
        env, finished = self.make_vec(self.lanes, AutoresetMode.SAME_STEP), 0
        for _, frames, _, terminated, truncated, info in self.play(env):
            done = terminated | truncated
            assert ("final_obs" in info) == done.any()
            if done.any():
                assert (
                    info["final_obs"].dtype == frames.dtype
                    and info["final_obs"].shape == frames.shape
                )
                np.testing.assert_array_equal(info["_final_obs"], done)
                np.testing.assert_array_equal(info["_final_info"], done)
                np.testing.assert_array_equal(info["final_obs"][~done], frames[~done])
            finished += done.sum()
        assert finished > 0

    def test_next_step_ignores_the_action_after_an_end_and_pays_nothing(self):
        env, before, finished = (
            self.make_vec(self.lanes, AutoresetMode.NEXT_STEP),
            np.zeros(self.lanes, bool),
            0,
        )
        for _, _, rewards, terminated, truncated, _ in self.play(env):
            assert (rewards[before] == 0).all() and not (terminated | truncated)[before].any()
            finished += before.sum()
            before = terminated | truncated
        assert finished > 0

    def test_disabled_resets_only_the_lanes_of_the_mask(self):
        env = self.make_vec(self.lanes, AutoresetMode.DISABLED)
        frames, _ = env.reset(seed=1)
        frames = env.step(np.zeros(self.lanes, np.int64))[0]
        mask = np.arange(self.lanes) == 1
        after, _ = env.reset(options={"reset_mask": mask})
        np.testing.assert_array_equal(after[~mask], frames[~mask])

    def test_disabled_refuses_to_step_a_finished_lane(self):
        env = self.make_vec(self.lanes, AutoresetMode.DISABLED)
        env.reset(seed=1)
        with pytest.raises(Exception, match="reset"):
            for _ in range(self.horizon):
                env.step(np.zeros(self.lanes, np.int64))

    def test_a_list_seeds_each_lane_and_none_lets_it_go_on(self):
        env = self.make_vec(self.lanes, AutoresetMode.DISABLED)
        first, _ = env.reset(seed=5)
        listed, _ = env.reset(seed=[5 + lane for lane in range(self.lanes)])
        np.testing.assert_array_equal(first, listed)
        mask = np.arange(self.lanes) == 0
        seeds = [9, *[None] * (self.lanes - 1)]
        partial, info = env.reset(seed=seeds, options={"reset_mask": mask})
        np.testing.assert_array_equal(partial[~mask], listed[~mask])
        other, _ = self.make_vec(self.lanes, AutoresetMode.DISABLED).reset(seed=9)
        np.testing.assert_array_equal(partial[0], other[0])
        for key in (key for key in info if not key.startswith("_")):
            assert info[f"_{key}"].tolist() == mask.tolist()

    @pytest.mark.parametrize(
        ("reset", "words"),
        [
            ({"seed": [1, 2]}, "2 seeds for 4 lanes"),
            ({"options": {"reset_mask": np.ones(3, bool)}}, "reset_mask is"),
            ({"options": {"reset_mask": np.zeros(4, bool)}}, "at least one True"),
            ({"options": {"reset_mask": np.ones(4)}}, "reset_mask is"),
            ({"options": {"mask": np.ones(4, bool)}}, "unknown reset options .'mask'.*reset_mask"),
        ],
    )
    def test_a_wrong_reset_is_refused_with_what_would_be_right(self, reset, words):
        env = self.make_vec(4, AutoresetMode.DISABLED)
        env.reset(seed=0)
        with pytest.raises(ValueError, match=words):
            env.reset(**reset)

    def test_what_comes_before_the_first_reset_of_all_lanes_asks_for_it(self):
        env = self.make_vec(2, AutoresetMode.SAME_STEP)
        with pytest.raises(ResetNeeded, match="reset"):
            env.step(np.zeros(2, np.int64))
        with pytest.raises(ResetNeeded, match="first reset starts every lane"):
            env.reset(options={"reset_mask": np.array([True, False])})

    @pytest.mark.parametrize("actions", [[0, 99], [0.0, 0.0], [-1, 0]])
    def test_wrong_actions_are_refused_with_the_list_of_actions(self, actions):
        env = self.make_vec(2, AutoresetMode.SAME_STEP)
        env.reset(seed=0)
        with pytest.raises((ValueError, InvalidAction), match="0 "):
            env.step(np.array(actions))

    @pytest.mark.parametrize(
        ("options", "words"),
        [({"num_envs": 0}, "num_envs|lanes"), ({"autoreset_mode": "Never"}, "autoreset_mode")],
    )
    def test_options_that_make_no_environment_are_refused(self, options, words):
        with pytest.raises(ValueError, match=words):
            self.make_vec(**{"num_envs": 2, "autoreset_mode": "SameStep", **options})

    @pytest.mark.parametrize("mode", MODES)
    def test_lane_i_is_the_single_environment_seeded_with_s_plus_i(self, mode):
        seed, env = 7, self.make_vec(self.lanes, mode, self.step_limit)
        singles = [self.make_single(self.step_limit) for _ in range(self.lanes)]
        starts, _ = env.reset(seed=seed)
        for lane, single in enumerate(singles):
            np.testing.assert_array_equal(single.reset(seed=seed + lane)[0], starts[lane])
        over = np.zeros(self.lanes, bool)
        for actions, frames, rewards, terminated, truncated, info in self.play(env, seed):
            for lane, single in enumerate(singles):
                if over[lane] and mode is not AutoresetMode.SAME_STEP:
                    first, _ = single.reset()
                    if mode is AutoresetMode.NEXT_STEP:
                        np.testing.assert_array_equal(first, frames[lane])
                        continue
                frame, reward, end, cut, _ = single.step(actions[lane])
                assert (reward, end, cut) == (rewards[lane], terminated[lane], truncated[lane])
                same_step_end = mode is AutoresetMode.SAME_STEP and (end or cut)
                np.testing.assert_array_equal(
                    frame, info["final_obs"][lane] if same_step_end else frames[lane]
                )
                if same_step_end:
                    np.testing.assert_array_equal(single.reset()[0], frames[lane])
            over = terminated | truncated

    @pytest.mark.parametrize("mode", MODES)
    def test_no_episode_is_longer_than_the_step_limit(self, mode):
        limit, env = 2, self.make_vec(self.lanes, mode, 2)
        length, cuts, over = np.zeros(self.lanes, int), 0, np.zeros(self.lanes, bool)
        for _, _, _, terminated, truncated, _ in self.play(env):
            length = np.where(over & (mode is AutoresetMode.NEXT_STEP), 0, length + 1)
            assert (truncated == (length >= limit)).all()
            over, cuts = terminated | truncated, cuts + truncated.sum()
            length[over] = 0
        assert cuts > 0

    def test_what_was_returned_is_never_changed_later(self):
        env = self.make_vec(self.lanes, AutoresetMode.SAME_STEP)
        kept = [(result[1], result[1].copy()) for result in self.play(env)]
        assert all((array == copy).all() for array, copy in kept)
