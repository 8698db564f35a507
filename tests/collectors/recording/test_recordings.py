"""Recordings by name: what `collect NAME` plays, what the manifest says of it, what it covers."""

import importlib.util
import json

import numpy as np
import pytest

from collectors.dataset.coverage import coverage, held_lengths
from collectors.dataset.dataset import Dataset, DatasetError
from collectors.policies.policies import PolicyError, RandomPolicy, StickyPolicy, make_policy
from collectors.policies.variations import SweepPolicy
from collectors.recording import presets
from collectors.recording.collect import collect, main, settings_of
from collectors.worlds.registration import environment_id
from collectors.worlds.table import WORLDS, UnknownNameError

STEPS = {"snake": 2500, "pong": 2500, "worldmap": 5000, "coinrun": 2500}
HAS_ENGINE = importlib.util.find_spec("envpool") is not None
FRAME = np.zeros((8, 8, 3), np.uint8)


def test_every_recording_is_one_that_its_own_settings_name():
    for name, recording in presets.recordings().items():
        chosen = settings_of(name)
        options = {**recording.options}
        fixed = (chosen.policy, chosen.seed, chosen.shard_steps)
        assert presets.matching(environment_id(recording.world), options, *fixed) == name
        assert presets.matching(environment_id(recording.world), options, "random", 0, 7) == ""
    assert set(WORLDS) <= set(presets.recordings())


def test_a_recordings_name_stands_for_its_settings_and_what_is_given_differs(capsys):
    with pytest.raises(SystemExit):
        main(["pong-rally", "--cfg"])
    shown = capsys.readouterr().out
    assert "frames: 400000" in shown and '"size=24", "points_to_win=1"' in shown
    with pytest.raises(SystemExit):
        main(["--world", "coinrun", "--frames", "7", "--cfg"])
    shown = capsys.readouterr().out
    assert "frames: 7\n" in shown and "num_levels=5000" in shown
    assert presets.world_of("pong-rally") == "pong" and presets.world_of("My-v0") == "My-v0"
    with pytest.raises(UnknownNameError, match="did you mean 'pong-rally'"):
        presets.world_of("pong-raly")


def test_the_manifest_names_the_recording_and_its_mixture(tmp_path):
    assert main(["pong-rally", "--frames=80", "--workers=1", f"--out={tmp_path / 'rally'}"]) == 0
    manifest = json.loads((tmp_path / "rally" / "manifest.json").read_text())
    assert manifest["preset"] == "pong-rally" and manifest["spec"]["frame_shape"] == [24, 24, 3]
    names, shares = zip(*manifest["mixture"], strict=True)
    assert "scripted:0.2 (noise 0.2, aim 25, spin 1)" in names and abs(sum(shares) - 1) < 1e-4
    words = ["snake", "--frames=40", "--workers=1", "--policy=astar,random@3", "--seed=4"]
    assert main([*words, f"--out={tmp_path / 'other'}"]) == 0
    manifest = Dataset(tmp_path / "other").manifest
    assert manifest["preset"] == "" and manifest["mixture"] == [["astar", 0.25], ["random", 0.75]]


def test_a_dataset_of_another_mixture_under_the_same_name_is_not_gone_on_with(tmp_path):
    collect("RealSnake-v0", tmp_path, 40, "mix", shard_steps=20)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["mixture"][0][1] /= 2
    file.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="another mixture of policies; choose another --out, or"):
        collect("RealSnake-v0", tmp_path, 80, "mix", shard_steps=20, resume=True)


@pytest.mark.parametrize("mixture", ["all", [["random"]], [["random", "much"]], [[1, 0.5]], [1]])
def test_a_mixture_that_is_no_list_of_shares_is_damage(tmp_path, mixture):
    collect("RealSnake-v0", tmp_path, 20, "random", shard_steps=20)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mixture": mixture}))
    with pytest.raises(DatasetError, match="mixture is no list of policies with their shares"):
        Dataset(tmp_path)


def test_a_mixture_in_words_is_refused_where_a_share_is_none():
    mixture = make_policy("random@3,sticky:0.5", 4, None)
    assert mixture.mixture() == [["random", 0.75], ["sticky:0.5", 0.25]]
    for wrong in ("random@none,sticky", "random@0,sticky", "@2,random", "random@-1"):
        with pytest.raises(PolicyError, match="share after the @"):
            make_policy(wrong, 4, None)


def test_a_sweep_plays_well_and_badly_in_stretches():
    good = StickyPolicy(2, 1.0)
    policy = SweepPolicy(good, 2, (0.0, 1.0))
    policy.reset(np.random.default_rng(0))
    own = good(FRAME)
    differs = np.array([policy(FRAME) != own for _ in range(8000)]).reshape(-1, 20).mean(1)
    assert (differs == 0).mean() > 0.2 and (differs > 0.3).mean() > 0.2


def test_held_keys_are_counted_within_episodes():
    lengths = held_lengths(np.array([2, 2, 2, 0, 1, 1]))
    assert lengths.tolist() == [3, 1, 2] and held_lengths(np.array([5])).tolist() == [1]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "coinrun")) for name in WORLDS],
)
def test_the_recording_of_a_world_has_every_action_in_good_play_and_keys_that_are_held(
    name, tmp_path
):
    if name == "coinrun" and not HAS_ENGINE:
        pytest.skip("needs the extra coinrun")
    recording = presets.recordings()[name]
    dataset = collect(
        environment_id(name),
        tmp_path,
        STEPS[name],
        recording.policy,
        {**recording.options},
        lanes=2,
    )
    found, actions = coverage(dataset), len(dataset.spec["action_names"])
    assert min(found["actions"].values()) > 0.15 / actions
    assert min(found["good play"].values()) > 0.05 / actions, found["good play"]
    assert found["held keys"]["4 or more"] > 0.2
    equivalent = found["equivalent keys"]
    assert bool(equivalent) == (WORLDS[name].equivalent_keys is not None)
    if equivalent and name != "pong":  # Pong's are at the ends of the paddle's way alone
        assert equivalent["pressed"] > 0.05 * equivalent["there"] > 0


@pytest.mark.slow
def test_the_recording_of_pong_wins_more_points_than_it_loses_and_reaches_the_walls(tmp_path):
    dataset = collect("RealPong-v0", tmp_path, 40_000, "mix")
    rewards = np.concatenate([shard.rewards for shard in dataset.shards])
    assert (rewards > 0).sum() > (rewards < 0).sum() > 30
    assert coverage(dataset)["equivalent keys"]["pressed"] > 0.002


def test_coverage_of_random_play_shows_no_good_play(tmp_path):
    dataset = collect("RealSnake-v0", tmp_path, 300, RandomPolicy(4))
    found = coverage(dataset)
    assert found["good play"] == {} and abs(sum(found["actions"].values()) - 1) < 1e-9
    assert found["held keys"]["16 or more"] < 0.1
