"""PPO with frames that stay on the device learns as stable-baselines3 does, and saves the same."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer

from agents.ppo.policy_file import Learner, make_ppo
from agents.ppo.presets import PPOSettings
from agents.ppo.torch_learner import (
    TensorLanes,
    TensorRollout,
    TorchPPO,
    advantages,
    drawn,
)
from agents.ppo.train import PPOConfig, load_policy, train_ppo
from agents.ppo.vec_env import sb3_env
from neural_envs.vector_env import NeuralVectorEnv

SMALL = PPOSettings(num_envs=4, n_steps=8, batch_size=16, n_epochs=1)


def config(tmp_path, **changes) -> PPOConfig:
    run = PPOConfig("snake", "dream", 64, str(tmp_path / "run"), learner="torch", backend="eager")
    return dataclasses.replace(run, **{"ppo": SMALL, **changes})


def test_advantages_are_those_of_stable_baselines3():
    rng, shape = np.random.default_rng(0), (8, 4)
    buffer = RolloutBuffer(8, Box(0, 1, (1,)), Discrete(2), "cpu", 0.95, 0.97, 4)
    values, rewards = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    done, last = rng.random((8, 4)) < 0.3, torch.randn(4)
    for step in range(8):
        starts = done[step - 1] if step else np.zeros(4, bool)
        value = torch.from_numpy(values[step])
        buffer.add(np.zeros((4, 1)), np.zeros((4, 1)), rewards[step], starts, value, value)
    buffer.compute_returns_and_advantage(last, done[-1])
    found = advantages(*map(torch.from_numpy, (values, rewards, done)), last, 0.97, 0.95)
    np.testing.assert_allclose(found, buffer.advantages, atol=1e-5)


@pytest.mark.parametrize("stack", [1, 3])
def test_stacked_frames_are_those_of_stable_baselines3_across_the_ends_of_episodes(stack):
    mode = AutoresetMode.SAME_STEP
    lanes, settings = {"autoreset_mode": mode, "max_episode_steps": 3}, {"bundle": "snake"}
    theirs = sb3_env(NeuralVectorEnv(2, **settings, **lanes), 7, stack)
    ours = TensorLanes(NeuralVectorEnv(2, output="torch", **settings, **lanes), stack)
    ours.seed(7)
    assert np.array_equal(theirs.reset().transpose(0, 3, 1, 2), ours.reset())
    for action in ([0, 1], [2, 3], [1, 0], [3, 3], [0, 2]):
        frames, rewards, dones, infos = theirs.step(np.array(action))
        step = ours.advance(torch.tensor(action))
        assert np.array_equal(frames.transpose(0, 3, 1, 2), ours.frames)
        assert np.array_equal(rewards, step.reward) and np.array_equal(dones, step.done)
        for lane in np.flatnonzero(dones):
            assert step.last is not None
            last = infos[lane]["terminal_observation"].transpose(2, 0, 1)
            assert np.array_equal(last, step.last[lane])
            assert infos[lane]["TimeLimit.truncated"] == bool(step.cut[lane])


@pytest.mark.parametrize(
    "actions",
    [
        4,
        {"type": "MultiBinary", "n": 2},
        {"type": "MultiDiscrete", "nvec": [3, 2], "start": [0, 0]},
        {"type": "Box", "low": [-1.0, -1.0], "high": [1.0, 1.0]},
    ],
    ids=str,
)
def test_what_it_draws_is_as_likely_as_the_policy_says(actions):
    stored = {"frames": [3, 16, 16], "actions": actions, "lanes": 2}
    learner = Learner(TorchPPO, "cpu", {"rollout_buffer_class": TensorRollout})
    model = make_ppo(None, SMALL, 0, stored, learner)
    assert isinstance(model, TorchPPO)
    model.policy.action_net.weight.data.mul_(100)  # untrained ones say that all is as likely
    frames = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8).repeat(4_000, 1, 1, 1)
    likelihood, values = model._heads(frames)
    taken = drawn(likelihood.distribution, torch.Generator().manual_seed(0))
    assert taken.shape[1:] == model.action_space.shape
    # before the policy is asked again: it keeps one distribution, which every question changes
    chosen, others = likelihood.log_prob(taken), likelihood.sample().float()
    expected, log_probability, _ = model.policy.evaluate_actions(frames, taken)
    torch.testing.assert_close(values, expected[:, 0])
    torch.testing.assert_close(chosen, log_probability)
    for moment in (torch.mean, torch.std):
        found, expected = moment(taken.float(), 0), moment(others, 0)
        torch.testing.assert_close(found, expected, atol=0.1, rtol=0)


def test_it_trains_in_a_dream_and_its_policy_is_read_as_any_other(tmp_path):
    paths = [train_ppo(config(tmp_path, out=str(tmp_path / name))) for name in "ab"]
    first, second = map(load_policy, paths)
    assert type(first) is PPO and first.num_timesteps == 64
    assert len((tmp_path / "a" / "progress.csv").read_text().splitlines()) == 3
    weights = zip(first.policy.parameters(), second.policy.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_it_goes_on_from_a_checkpoint(tmp_path, monkeypatch):
    run, train, updates = config(tmp_path, steps=128, save_every=1), PPO.train, []

    def killed(self):
        updates.append(self.num_timesteps)
        if len(updates) == 3:
            raise KeyboardInterrupt
        train(self)

    monkeypatch.setattr(PPO, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(run)
    assert load_policy(train_ppo(run)).num_timesteps == 128
    assert updates == [32, 64, 96, 96, 128]


def test_it_is_for_dreams_and_a_missing_device_is_named(tmp_path):
    with pytest.raises(ValueError, match="learner=torch plays dreams"):
        config(tmp_path, world="real")
    with pytest.raises(ValueError, match="usable here: cpu"):
        train_ppo(config(tmp_path, device="cuda:63"))


@pytest.mark.gpu
@pytest.mark.parametrize("learner", ["sb3", "torch"])
def test_both_learners_train_on_a_gpu_and_the_policy_plays_on_the_processor(learner, tmp_path):
    run = config(tmp_path, device="cuda", learner=learner, ppo=dataclasses.replace(SMALL, stack=2))
    model = load_policy(train_ppo(run))
    assert model.num_timesteps == 64 and model.device.type == "cpu"
