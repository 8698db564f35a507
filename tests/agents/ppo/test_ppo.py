import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from stable_baselines3 import PPO

from agents.evaluation.play import play_policy
from agents.ppo.networks import PatchCNN
from agents.ppo.policy_file import save_policy
from agents.ppo.presets import PPOSettings
from agents.ppo.train import PPOConfig, load_policy, train_ppo

SMALL = PPOSettings(num_envs=4, n_steps=8, batch_size=16, n_epochs=1)


def config(tmp_path, **changes) -> PPOConfig:
    return dataclasses.replace(
        PPOConfig("snake", "real", 64, str(tmp_path / "run"), ppo=SMALL), **changes
    )


def test_two_iterations_train_and_the_saved_policy_acts_as_the_trained_one(tmp_path):
    path = train_ppo(config(tmp_path))
    model = load_policy(path)
    assert model.num_timesteps == 64
    assert len((tmp_path / "run" / "progress.csv").read_text().splitlines()) == 3
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    again = load_policy(save_policy(model, tmp_path / "copy.zip"))
    assert np.array_equal(
        model.predict(frames, deterministic=True)[0], again.predict(frames, deterministic=True)[0]
    )


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, second = (
        load_policy(train_ppo(config(tmp_path, out=str(tmp_path / name)))) for name in "ab"
    )
    weights = zip(first.policy.parameters(), second.policy.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_an_interrupted_training_leaves_no_policy(tmp_path, monkeypatch):
    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("stable_baselines3.PPO.train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(config(tmp_path))
    with pytest.raises(FileNotFoundError, match="no trained policy .* train one with"):
        load_policy(tmp_path / "run" / "policy.zip")


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    run, train, updates = config(tmp_path, steps=192, save_every=2), PPO.train, []

    def killed(self):
        updates.append(self.num_timesteps)
        if len(updates) == 4:
            raise KeyboardInterrupt
        train(self)

    monkeypatch.setattr(PPO, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(run)
    model = load_policy(train_ppo(run))
    assert updates == [32, 64, 96, 128, 96, 128, 160, 192] and model.num_timesteps == 192
    assert not (tmp_path / "run" / "checkpoint.zip").exists()
    assert len((tmp_path / "run" / "progress_from_64.csv").read_text().splitlines()) == 5


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tmp_path):
    run = config(tmp_path)
    train_ppo(run)
    save_policy(load_policy(tmp_path / "run" / "policy.zip"), tmp_path / "run" / "checkpoint.zip")
    assert load_policy(train_ppo(dataclasses.replace(run, seed=1, steps=32))).num_timesteps == 32


def test_a_policy_of_several_frames_is_trained_saved_and_measured(tmp_path):
    path = train_ppo(config(tmp_path, steps=32, ppo=dataclasses.replace(SMALL, stack=4)))
    model = load_policy(path)
    assert model.observation_space.shape == (12, 64, 64)
    assert (
        len(play_policy(model, "collectors:RealSnake-v0", episodes=4, seed=0, horizon=20).returns)
        == 4
    )


def test_a_time_limit_ends_the_training_early(tmp_path):
    assert load_policy(train_ppo(config(tmp_path, steps=10_000_000), seconds=0)).num_timesteps == 4


def test_the_network_sees_the_same_neighbourhood_at_every_place():
    network = PatchCNN(Box(0, 1, (3, 64, 64), np.float32)).eval()
    frames = torch.zeros(2, 3, 64, 64)
    frames[0, :, 20:24, 20:24] = 1  # one unlike cell
    frames[1, :, 40:44, 28:32] = 1
    grid = network.patches(frames)
    around = network.maps(grid) @ network.near(grid).flatten(2).transpose(1, 2)
    assert torch.allclose(around[0], around[1], atol=1e-2)
    assert network(frames).shape == (2, 128)


def test_frames_with_their_channels_side_by_side_are_the_same_to_the_policy(tmp_path):
    model = load_policy(train_ppo(config(tmp_path)))
    frames = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    extractor = model.policy.features_extractor
    received = []
    extractor.register_forward_pre_hook(lambda module, inputs: received.append(inputs[0]))
    features = model.policy.extract_features(frames)
    model.policy.get_distribution(frames), model.policy.predict_values(frames)
    assert len(received) == 3, "to play, to guess a value and to learn it is asked the same way"
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in received)
    assert torch.allclose(features, extractor(frames / 255), atol=1e-6)


def test_the_network_refuses_frames_that_are_no_whole_number_of_cells():
    with pytest.raises(ValueError, match="multiples of 4"):
        PatchCNN(Box(0, 1, (3, 62, 64), np.float32))


def test_a_policy_goes_on_from_another_ones_weights(tmp_path):
    first = train_ppo(config(tmp_path))
    still = config(tmp_path, steps=4, out=str(tmp_path / "next"), init_from=str(first))
    begun = load_policy(train_ppo(still, seconds=0))  # ends before its first update
    assert begun.num_timesteps == 4
    weights = zip(load_policy(first).policy.parameters(), begun.policy.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.ray
def test_lanes_on_a_cluster_train_the_same_policy(tmp_path):
    pytest.importorskip("ray")
    runs = [
        config(tmp_path, out=str(tmp_path / where), ray=where, actors=2) for where in ("", "local")
    ]
    first, second = (load_policy(train_ppo(run)) for run in runs)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.policy.parameters(), second.policy.parameters(), strict=True)
    )
