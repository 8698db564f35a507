"""The vector environment on the counting model, where every number is known."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from neural_envs.env import NeuralEnv
from neural_envs.vector_env import NeuralVectorEnv
from tests.contracts import MODES, VectorEnvContract
from tests.oracles import (
    ACTION_SUM,
    COUNT,
    DEAD,
    FIRST_LIFE,
    FRAME,
    NOISE,
    TAG,
    counting_bundle,
    shown,
)
from world_models.lanes import take_lanes


def make(num_envs=4, **settings):
    return NeuralVectorEnv(
        num_envs, counting_bundle(), **{"autoreset_mode": "SameStep", **settings}
    )


def run(env, steps=12, seed=0):
    env.reset(seed=seed)
    return [env.step(np.full(env.num_envs, step % 4))[0] for step in range(steps)]


class TestCountingVectorEnv(VectorEnvContract):
    def make_vec(self, num_envs, autoreset_mode, max_episode_steps=None):
        return make(num_envs, autoreset_mode=autoreset_mode, max_episode_steps=max_episode_steps)

    def make_single(self, max_episode_steps=None):
        return NeuralEnv(counting_bundle(), max_episode_steps=max_episode_steps)


class TestDreaming:
    def test_frames_rewards_and_ends_are_those_of_the_model(self):
        env = make(2, autoreset_mode="Disabled")
        tags = shown(env.reset(seed=0)[0], TAG)
        for step in range(1, FIRST_LIFE + 1):
            frames, rewards, terminated, truncated, info = env.step(np.array([1, 3]))
            assert (shown(frames, COUNT) == step).all() and (
                shown(frames, ACTION_SUM) == [step, 3 * step]
            ).all()
            over = step >= FIRST_LIFE + tags
            assert (
                (terminated == over).all()
                and (shown(frames, DEAD) == 255 * over).all()
                and not truncated.any()
            )
            assert (rewards == np.where(over, -1, step % 2 == 0)).all()
            assert info["trust"] == pytest.approx(1 - step / 8)
            if over.any():
                break

    def test_a_lane_never_feels_its_neighbours(self):
        alone, crowd = make(1), make(5)
        alone.reset(seed=42 + 2)
        crowd.reset(seed=42)
        rng = np.random.default_rng(0)
        for _ in range(25):
            actions = rng.integers(4, size=5)
            np.testing.assert_array_equal(alone.step(actions[2:3])[0][0], crowd.step(actions)[0][2])

    def test_lanes_start_from_different_contexts_and_draw_different_noise(self):
        env = make(32)
        assert set(shown(env.reset(seed=0)[0], TAG)) == {0, 1, 2, 3}
        assert len(set(shown(env.step(np.zeros(32, int))[0], NOISE))) > 20

    def test_every_step_draws_new_noise(self):
        env = make(8)
        env.reset(seed=0)
        first, second = (shown(env.step(np.zeros(8, int))[0], NOISE) for _ in range(2))
        assert (first != second).any()

    def test_writing_on_what_was_returned_does_not_touch_the_dream(self):
        env = make(2, autoreset_mode="Disabled", render_mode="rgb_array")
        frames, _ = env.reset(seed=0)
        true = frames.copy()
        frames[:] = 77
        env.render()[0][:] = 77
        np.testing.assert_array_equal(env.render(), true)

    def test_resets_without_a_seed_go_on_with_the_stream(self):
        env = make(16)
        first, second = shown(env.reset(seed=0)[0], TAG), shown(env.reset()[0], TAG)
        again = shown(env.reset(seed=0)[0], TAG)
        assert (first == again).all() and (first != second).any()

    def test_a_first_reset_without_a_seed_differs_from_run_to_run(self):
        starts = [shown(make(64).reset()[0], TAG) for _ in range(2)]
        assert (starts[0] != starts[1]).any()

    def test_seeds_can_be_listed_and_reach_the_whole_64_bit_range(self):
        env = make(3)
        listed = env.reset(seed=[2**64 - 1, 5, 2**63])[0]
        for lane, seed in enumerate((2**64 - 1, 5, 2**63)):
            np.testing.assert_array_equal(make(1).reset(seed=seed)[0][0], listed[lane])
        with pytest.raises(ValueError, match="2 seeds for 3 lanes"):
            env.reset(seed=[1, 2])

    def test_a_seeded_partial_reset_leaves_the_other_streams_alone(self):
        one, other = make(2, autoreset_mode="Disabled"), make(2, autoreset_mode="Disabled")
        for env in (one, other):
            env.reset(seed=0)
        one.reset(seed=99, options={"reset_mask": np.array([True, False])})
        np.testing.assert_array_equal(one.step([0, 0])[0][1], other.step([0, 0])[0][1])

    def test_low_trust_truncates_and_says_so(self):
        env = make(1, min_trust=0.7, autoreset_mode="SameStep")
        env.reset(
            seed=0, options={"context": np.full(FRAME, 3, np.uint8)}
        )  # tag 3: ends by itself at step 6
        for _ in range(2):
            _, _, _, truncated, info = env.step([0])
            assert not truncated[0] and not info["low_trust"][0]
        _, _, terminated, truncated, info = env.step([0])  # trust 0.625
        assert truncated[0] and not terminated[0]
        assert info["final_info"]["low_trust"][0] and info["final_info"]["trust"][
            0
        ] == pytest.approx(0.625)
        assert not info["low_trust"][0] and info["trust"][0] == 1

    def test_sampler_steps_are_the_environments_own(self):
        bundle = counting_bundle()
        env, other = NeuralVectorEnv(1, bundle, sampler_steps=3), NeuralVectorEnv(1, bundle)
        for e in (env, other):
            e.reset(seed=0)
            e.step([0])
        assert bundle.model.steps_asked == [3, 1]


class TestContexts:
    def test_a_dream_goes_on_from_given_frames(self):
        frames = np.zeros((2, *FRAME), np.uint8)
        frames[-1, 0, TAG, 0] = 3
        env = make(3)
        start, _ = env.reset(seed=0, options={"context": (frames, np.array([2]))})
        assert (start == frames[-1]).all()
        after = env.step([1, 1, 1])[0]
        assert (shown(after, TAG) == 3).all() and (shown(after, ACTION_SUM) == 3).all()

    def test_each_lane_may_have_its_own_context_and_the_mask_picks_among_them(self):
        frames = np.zeros((3, 1, *FRAME), np.uint8)
        frames[:, 0, 0, TAG, 0] = [3, 2, 1]
        env = make(3, autoreset_mode="Disabled")
        env.reset(seed=0, options={"context": {"frames": frames}})
        frames[:, 0, 0, TAG, 0] = 0
        mask = np.array([False, True, False])
        start, _ = env.reset(options={"context": {"frames": frames}, "reset_mask": mask})
        assert list(shown(start, TAG)) == [3, 0, 1]

    def test_long_histories_keep_their_end(self):
        env, frames = make(1), np.zeros((5, *FRAME), np.uint8)
        env.reset(options={"context": (frames, np.array([3, 3, 3, 1]))})
        assert shown(env.step([0])[0], ACTION_SUM) == [1]

    @pytest.mark.parametrize(
        ("context", "words"),
        [
            (np.zeros((2, 9, 8, 3), np.uint8), "give .T, 8, 8, 3. uint8"),
            (np.zeros((2, *FRAME), np.float32), "float32"),
            (np.zeros((2, *FRAME), np.uint8), "needs the 1 actions between"),
            ((np.zeros((2, *FRAME), np.uint8), np.array([1, 2])), "give .1, 1."),
            ((np.zeros((2, *FRAME), np.uint8), np.array([4])), "whole numbers in 0..3"),
            ({"frame": 1}, "keys frames and actions"),
        ],
    )
    def test_a_wrong_context_is_refused_with_the_wanted_shape(self, context, words):
        with pytest.raises(ValueError, match=words):
            make(1).reset(options={"context": context})


class TestSnapshots:
    def test_a_restored_dream_repeats_itself(self):
        env = make(4)
        run(env, 2)
        snapshot = env.get_state()
        first = [env.step([1, 2, 3, 0])[0] for _ in range(8)]
        env.set_state(snapshot)
        np.testing.assert_array_equal(first, [env.step([1, 2, 3, 0])[0] for _ in range(8)])

    def test_a_snapshot_is_not_changed_by_what_follows_nor_the_dream_by_changing_it(self):
        env = make(2)
        run(env, 2)
        snapshot = env.get_state()
        frame = snapshot.frame.clone()
        env.step([0, 0])
        assert (snapshot.frame == frame).all()
        env.set_state(snapshot)
        snapshot.frame.zero_()
        assert (env.get_state().frame == frame).all()

    def test_one_lane_branches_into_many_with_the_same_or_another_future(self):
        single, many = NeuralEnv(counting_bundle()), make(3)
        single.reset(seed=5)
        branches = take_lanes(single.get_state(), torch.zeros(3, dtype=torch.int64))
        many.set_state(branches)
        assert len(set(shown(many.step([0, 1, 2])[0], NOISE))) == 1
        many.set_state(branches, seed=1)
        frames = many.step([0, 1, 2])[0]
        assert len(set(shown(frames, NOISE))) == 3 and len(set(shown(frames, TAG))) == 1

    def test_a_snapshot_of_other_lanes_is_refused(self):
        env, other = make(2), make(3)
        env.reset(seed=0)
        with pytest.raises(ValueError, match="take_lanes"):
            other.set_state(env.get_state())

    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]
    )
    def test_a_copied_or_pickled_environment_goes_on_alike(self, duplicate, counting):
        env = gym.make_vec("neural_envs:NeuralEnv-v0", num_envs=3, bundle=counting)
        run(env, 4)
        twin = duplicate(env)
        assert twin.simulator.model is env.simulator.model  # found again by name, not copied
        for _ in range(8):
            np.testing.assert_array_equal(env.step([1, 2, 3])[0], twin.step([1, 2, 3])[0])

    def test_finished_lanes_are_remembered_in_the_snapshot(self):
        env = make(1, autoreset_mode="Disabled", max_episode_steps=1)
        env.reset(seed=0)
        env.step([0])
        snapshot = env.get_state()
        env.reset()
        env.set_state(snapshot)
        with pytest.raises(ResetNeeded, match="this episode has ended"):
            env.step([0])


class TestTorchOutput:
    @pytest.mark.parametrize("mode", MODES)
    def test_it_equals_the_numpy_output(self, mode):
        one, other = make(3, autoreset_mode=mode), make(3, autoreset_mode=mode, output="torch")
        contract = VectorEnvContract()
        other.reset(seed=2)
        for step in contract.play(one, seed=2):
            expected, got = step[1:], other.step(torch.from_numpy(step[0]))
            for a, b in zip(expected[:4], got[:4], strict=True):
                assert isinstance(b, torch.Tensor) and b.device == other.device
                np.testing.assert_array_equal(a, b.numpy())
            assert set(expected[4]) == set(got[4])
            done = expected[2] | expected[3]
            if mode is AutoresetMode.DISABLED and done.any():
                other.reset(options={"reset_mask": torch.from_numpy(done)})

    def test_its_tensors_are_fresh_and_fit_for_training(self):
        env = make(2, output="torch")
        env.reset(seed=0)
        frames, rewards, *_ = env.step(torch.zeros(2, dtype=torch.int64))
        assert not frames.is_inference() and not rewards.is_inference()
        weight = torch.ones(2, requires_grad=True)
        (weight * rewards).sum().backward()  # an inference tensor could not be saved for this
        frames.zero_()
        assert env.get_state().frame.any()

    def test_only_it_says_torch_in_its_metadata(self):
        assert make(output="torch").metadata["torch"] is True and "torch" not in make().metadata


class TestWrappers:
    @pytest.mark.skipif(
        tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4),
        reason="Gymnasium's own vector wrappers lost infos and miscounted lengths before 1.4",
    )
    @pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
    def test_gymnasium_vector_wrappers_work_on_it(self, mode):
        env = gym.wrappers.vector.RecordEpisodeStatistics(make(4, autoreset_mode=mode))
        env = gym.wrappers.vector.DictInfoToList(env)
        env.reset(seed=0)
        lengths = []
        for _ in range(20):
            infos = env.step(np.zeros(4, int))[-1]
            for info in infos:
                lengths += [int(info["episode"]["l"])] if "episode" in info else []
        assert lengths and set(lengths) <= {FIRST_LIFE + tag for tag in range(4)}

    def test_make_vec_passes_the_registered_limit_and_json_safe_arguments(self, counting):
        env = gym.make_vec(
            "neural_envs:NeuralSnake-v0", 2, bundle=counting, world=None, autoreset_mode="NextStep"
        )
        assert isinstance(env, NeuralVectorEnv) and env.max_episode_steps == 1000
        assert env.autoreset_mode is AutoresetMode.NEXT_STEP
        again = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
        assert again.kwargs["bundle"] == counting and isinstance(
            gym.make_vec(again), NeuralVectorEnv
        )
        limited = gym.make_vec(
            "neural_envs:NeuralSnake-v0", 2, bundle=counting, world=None, max_episode_steps=-1
        )
        assert limited.max_episode_steps > 10**9

    def test_render_gives_one_fresh_frame_a_lane(self):
        env = make(3, render_mode="rgb_array")
        frames, _ = env.reset(seed=0)
        images = env.render()
        assert isinstance(images, tuple) and len(images) == 3
        np.testing.assert_array_equal(images, frames)
        assert not np.shares_memory(images[0], env.render()[0])

    def test_the_human_window_opens_without_a_screen(self):
        env = make(3, render_mode="human")
        env.metadata["render_fps"] = 1000
        env.reset(seed=0)
        assert env.render() is None
        env.close()
        env.close()
