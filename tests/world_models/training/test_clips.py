"""Clips hold what the episodes hold; events are drawn more often than they happen."""

import numpy as np
import pytest
import torch
from quick_runs import config_for

from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect
from collectors.worlds.snake.env import RealSnake
from world_models.models.augment import damage
from world_models.protocols import AugmentationOptions
from world_models.training.clips import ClipReader
from world_models.training.start_contexts import start_contexts
from world_models.training.trainer import Trainer


def test_clips_hold_what_the_episode_holds_and_never_cross_its_ends(dataset_path):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 2, 3, event_weight=1.0)
    row = 0
    for number in range(3):
        episode = dataset.episode(number)
        length = len(episode.actions)
        clips = reader.cut(np.arange(row, row + length))
        for t in range(length):
            expected = np.clip(np.arange(t - 1, t + 4), 0, length)
            assert np.array_equal(clips.frames[t].numpy(), episode.frames[expected])
            assert clips.valid[t].tolist() == [t + s < length for s in range(3)]
            assert clips.actions[t, 0] == episode.actions[t]
            assert clips.context_actions[t].tolist() == [episode.actions[t - 1] if t else 0]
            assert reader.reward_values[clips.reward_classes[t, 0]] == episode.rewards[t]
        assert clips.terminations[length - 1, 0] == episode.terminations[-1]
        row += length


def test_a_part_without_episodes_is_refused_with_the_command_that_collects_more(dataset_path):
    with pytest.raises(ValueError, match="no episodes .*neural-envs collect.* --resume"):
        ClipReader(Dataset(dataset_path), [], 1, 1)


def test_events_are_drawn_more_often_with_a_weight(dataset_path, generator):
    dataset = Dataset(dataset_path)
    shares = []
    for weight in (1.0, 20.0):
        reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, 1, weight, weight)
        clips = reader.draw(2000, generator)
        shares.append((clips.terminations | (clips.reward_classes != 1)).float().mean().item())
    assert shares[0] < 0.25 < shares[1]


@pytest.mark.parametrize("compress", [False, True])
def test_steps_that_are_unique_share_the_weight_of_all_their_repetitions(tmp_path, compress):
    """On a small board many games begin alike."""
    how = {"env_options": {"grid_size": 4}, "shard_steps": 150, "compress": compress}
    dataset = collect("RealSnake-v0", tmp_path, 400, "random", **how)
    episodes = [number for number in range(len(dataset.episodes)) if number != 1]
    steps = [
        (episode.frames[t].tobytes(), int(action))
        for episode in map(dataset.episode, episodes)
        for t, action in enumerate(episode.actions)
    ]
    times = np.array([steps.count(step) for step in steps])
    assert times.max() > 2 and times.min() == 1
    even, unique = (ClipReader(dataset, episodes, 1, 1, 5.0, 9.0, given) for given in (0, 1))
    assert np.allclose(unique.weight, even.weight / times)


def test_outcomes_are_learned_at_the_rate_of_the_game_however_often_they_are_drawn(
    dataset_path, generator
):
    """Clips weighed by one over their sampling weight have as many terminations and rewards as
    clips drawn evenly.
    """
    dataset = Dataset(dataset_path)
    for steps in (1, 3):
        shares = []
        for weights in ((1.0, 1.0), (8.0, 20.0)):
            reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, steps, *weights)
            clips = reader.draw(6000, generator)
            rewarded = ((clips.reward_classes != 1) & clips.valid).float()
            shares.append(
                (
                    (rewarded.sum(1) / clips.sampling_weight).sum()
                    / (clips.valid.sum(1) / clips.sampling_weight).sum()
                ).item()
            )
        assert shares[1] == pytest.approx(shares[0], rel=0.15)


def test_the_outcome_losses_are_those_of_evenly_drawn_clips(dataset_path, tmp_path, generator):
    config = config_for(dataset_path, tmp_path, rollout_steps=1)
    trainer = Trainer(config, Dataset(dataset_path))
    clips = trainer.training_clips.draw(8, generator)
    even, model = clips._replace(sampling_weight=torch.ones(8)), trainer.average
    first = clips._replace(
        sampling_weight=torch.tensor([1.0] + [1e9] * 7)
    )  # seven drawn far too often
    alone = type(clips)(*(part if part is None else part[:1] for part in even))
    loss = [
        model.clip_losses(c, AugmentationOptions(), 1, torch.Generator().manual_seed(0))
        for c in (even, first, alone)
    ]
    assert loss[1]["termination"].item() == pytest.approx(loss[2]["termination"].item(), rel=1e-3)
    assert loss[1]["frame"] == loss[0]["frame"] and loss[1]["termination"] != loss[0]["termination"]


def test_start_contexts_are_first_frames(dataset_path, generator):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 3, 1, 1.0)
    contexts = start_contexts(reader, 5, generator)
    firsts = {dataset.episode(i).frames[0].tobytes() for i in range(len(dataset.episodes))}
    assert len(contexts) == 5 and all(
        frame.tobytes() in firsts for row in contexts.frames for frame in row
    )


def test_a_small_reward_in_every_step_is_no_event(tmp_path, generator):
    data = collect(
        "RealSnake-v0",
        tmp_path / "data",
        400,
        "random",
        shard_steps=200,
        env_options={"step_penalty": 0.01},
    )
    reader = ClipReader(data, list(range(len(data.episodes))), 1, 1, 20.0, 20.0)
    clips = reader.draw(2000, generator)
    assert (clips.terminations | (clips.reward_classes != 1)).float().mean() > 0.25


def test_damage_takes_single_things_away_and_leaves_the_rest(dataset_path, generator):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, 1)
    frames = reader.draw(256, generator).frames[:, :1]
    damaged = damage(frames, 0.0, 1.0, 4, torch.Generator().manual_seed(0))
    changed = (
        (damaged != frames).any(-1)[:, 0].unflatten(2, (-1, 4)).unflatten(1, (-1, 4)).any(4).any(2)
    )  # (B, G, G)
    assert (changed.sum((1, 2)) == 1).all()
    codes = RealSnake.decode_frames(damaged[:, 0].numpy())
    assert 0.05 < ((codes == RealSnake.FOOD).sum((1, 2)) == 0).mean() < 0.5  # the food is gone
    assert torch.equal(damage(frames, 0.0, 0.0, 4, torch.Generator()), frames)
