"""Lanes in Ray actors are the lanes of one vector environment."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from collectors.worlds.lane_arguments import UnknownActionError
from neural_envs.env import NeuralEnv
from neural_envs.ray_vector_env import DeadActorError, RayVectorEnv, make_lanes
from tests.contracts import VectorEnvContract
from tests.neural_envs.ray_stand_in import stand_in
from tests.oracles import FRAME, counting_bundle

DREAM, REAL = "neural_envs:NeuralEnv-v0", "collectors:RealSnake-v0"


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False
    )
    yield ray
    ray.shutdown()


@pytest.fixture(params=["stand-in", pytest.param("ray", marks=pytest.mark.ray)])
def two_processors(request, monkeypatch):
    """A cluster of two processors: Ray's, or one in this process."""
    if request.param == "ray":
        return request.getfixturevalue("cluster")
    found = stand_in(processors=2)
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


@pytest.fixture
def counting(two_processors):
    made = []

    def make(lanes=5, mode=AutoresetMode.SAME_STEP, **settings):
        made.append(
            RayVectorEnv(DREAM, lanes, 2, autoreset_mode=mode, bundle=counting_bundle(), **settings)
        )
        return made[-1], make_lanes(DREAM, lanes, mode, bundle=counting_bundle(), **settings)

    yield make
    for env in made:
        env.close()


def assert_same(one, other):
    """Equal to the bit; in an info only the rows of a key's mask say anything."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            mask = one.get(f"_{key}", slice(None))
            assert_same(
                *(
                    (info[key] if isinstance(info[key], dict) else info[key][mask])
                    for info in (one, other)
                )
            )
    elif isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


class TestTwoActors:
    def test_lanes_infos_and_ends_are_those_of_one_vector_env_with_the_same_seeds(self, counting):
        spread, one = counting(max_episode_steps=5)
        assert_same(spread.reset(seed=7), one.reset(seed=7))
        finished = 0
        for step in range(12):
            actions = np.arange(step, step + 5) % 4
            result = spread.step(actions)
            assert_same(result, one.step(actions))
            finished += result[2].sum()
        assert finished > 0
        assert (
            spread.observation_space == one.observation_space
            and spread.action_space == one.action_space
        )
        assert spread.metadata == one.metadata and spread.autoreset_mode is AutoresetMode.SAME_STEP

    def test_only_the_lanes_of_a_mask_start_anew_and_actors_without_any_are_not_asked(
        self, counting
    ):
        spread, one = counting(5, AutoresetMode.DISABLED)
        with pytest.raises(ResetNeeded, match="starts every lane"):
            spread.reset(options={"reset_mask": np.arange(5) == 4})
        for env in (spread, one):
            env.reset(seed=[1, 2, 3, 4, 5])
            env.step(np.zeros(5, int))
        mask = np.arange(5) == 4
        (frames, info), (expected, there) = (
            env.reset(options={"reset_mask": mask}) for env in (spread, one)
        )
        np.testing.assert_array_equal(frames, expected)
        np.testing.assert_array_equal(info["_trust"], there["_trust"])
        assert_same(spread.step(np.ones(5, int)), one.step(np.ones(5, int)))

    def test_pictures_of_all_lanes_come_in_order(self, counting):
        spread, one = counting(render_mode="rgb_array")
        for env in (spread, one):
            env.reset(seed=0)
        np.testing.assert_array_equal(np.stack(spread.render()), np.stack(one.render()))
        assert len(spread.render()) == 5 and spread.render()[0].shape == FRAME

    def test_an_error_in_an_actor_is_raised_as_it_was_there(self, counting):
        spread, _ = counting()
        with pytest.raises(ResetNeeded):
            spread.step(np.zeros(5, int))
        spread.reset(seed=0)
        with pytest.raises(ValueError, match=r"0 up, 1 down, 2 left, 3 right") as error:
            spread.step(np.full(5, 9))
        assert type(error.value) is UnknownActionError

    def test_an_error_in_the_making_is_raised_as_it_was_there(self, two_processors):
        with pytest.raises(ValueError, match="no bundle 'nowhere'"):
            RayVectorEnv(DREAM, 2, 2, bundle="nowhere")

    def test_a_killed_actor_is_a_sentence_that_names_its_lanes(self, counting, two_processors):
        spread, _ = counting()
        spread.reset(seed=0)
        two_processors.kill(spread._actors[1])
        with pytest.raises(DeadActorError, match=r"actor 2 of 2 \(lanes 3 to 4\) is gone"):
            for _ in range(3):
                spread.step(np.zeros(5, int))

    def test_the_real_game_plays_the_same_behind_the_stable_baselines3_adapter(
        self, two_processors
    ):
        from agents.ppo.vec_env import SB3VecEnv

        def run(env):
            adapter = SB3VecEnv(env)
            adapter.seed(3)
            frames = [
                adapter.reset(),
                *(adapter.step(np.full(4, step // 9 % 4)) for step in range(30)),
            ]
            adapter.close()
            return frames

        spread = run(RayVectorEnv(REAL, 4, 2, autoreset_mode="SameStep"))
        one = run(make_lanes(REAL, 4, AutoresetMode.SAME_STEP))
        np.testing.assert_array_equal(spread[0], one[0])
        for (frames, rewards, dones, infos), (expected, own_rewards, ended, own_infos) in zip(
            spread[1:], one[1:], strict=True
        ):
            np.testing.assert_array_equal(frames, expected)
            np.testing.assert_array_equal(rewards, own_rewards)
            np.testing.assert_array_equal(dones, ended)
            for lane in np.flatnonzero(dones):
                here, there = (info[lane]["terminal_observation"] for info in (infos, own_infos))
                np.testing.assert_array_equal(here, there)

    def test_more_actors_than_the_cluster_has_room_for_are_refused(self, two_processors):
        with pytest.raises(ValueError, match="4 actors need 4 processors, the cluster has 2"):
            RayVectorEnv(REAL, 4, 4)

    def test_a_cluster_whose_processors_others_have_is_told_and_not_waited_for(
        self, counting, monkeypatch
    ):
        monkeypatch.setattr("neural_envs.ray_vector_env.PATIENCE", 1.0)
        first, _ = counting()
        with pytest.raises(
            ValueError, match="2 actors need 2 processors, the cluster has 0 free: use fewer actors"
        ):
            RayVectorEnv(REAL, 2, 2)
        first.close()
        monkeypatch.setattr("neural_envs.ray_vector_env.PATIENCE", 10.0)
        RayVectorEnv(REAL, 2, 2).close()


def test_lanes_that_cannot_be_shared_and_tensors_are_refused_before_a_cluster_is_asked_for():
    with pytest.raises(ValueError, match="from 1 to 2 actors for 2 lanes, not 3"):
        RayVectorEnv(REAL, 2, 3)
    with pytest.raises(ValueError, match="leave out output="):
        RayVectorEnv(DREAM, 2, 2, output="torch")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match="ray"):
        RayVectorEnv(REAL, 2, 2)


class TestContract(VectorEnvContract):
    """Two actors owe their callers what one vector environment does."""

    @pytest.fixture(autouse=True)
    def in_this_process(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", stand_in(processors=8))

    def make_vec(self, num_envs, autoreset_mode, max_episode_steps=None):
        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        return RayVectorEnv(
            DREAM, num_envs, 2, autoreset_mode=autoreset_mode, bundle=counting_bundle(), **limit
        )

    def make_single(self, max_episode_steps=None):
        return NeuralEnv(counting_bundle(), max_episode_steps=max_episode_steps)
