"""A trained agent as a player of `collect`: its name, its chance, its place in a mixture."""

import copy
import subprocess
import sys

import numpy as np
import pytest

from agents.ppo import player, policy_file
from agents.ppo.player import AgentPolicy
from agents.ppo.presets import PPOSettings
from collectors.dataset.dataset import Dataset
from collectors.policies.policies import PolicyError, make_policy

STACK = 2
STORED = {"frames": (3 * STACK, 64, 64), "actions": 4, "lanes": 2}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    settings = PPOSettings(num_envs=2, n_steps=4, batch_size=8, stack=STACK)
    agent = policy_file.make_ppo(None, settings, 0, STORED)
    return str(policy_file.save_policy(agent, tmp_path_factory.mktemp("ppo") / "policy.zip"))


def frames(count):
    return np.random.default_rng(0).integers(256, size=(count, 64, 64, 3), dtype=np.uint8)


def played(policy, seed, count=60):
    policy.reset(np.random.default_rng(seed))
    return [policy(frame) for frame in frames(count)]


def test_an_agents_actions_follow_from_its_frames_and_its_generator(file):
    agent = AgentPolicy(file, 4)
    twin = copy.deepcopy(agent)
    assert played(agent, 1) == played(twin, 1) != played(agent, 2)
    assert set(played(agent, 3)) == {0, 1, 2, 3}


def test_an_agent_draws_each_action_as_often_as_its_policy_says(file):
    agent, (frame,) = AgentPolicy(file, 4), frames(1)
    counts = np.zeros(4)
    for seed in range(600):
        agent.reset(np.random.default_rng([seed, 5]))
        counts[agent(frame)] += 1
    stacked = np.concatenate([np.zeros_like(frame), frame], -1)
    expected = player._probabilities(player._agent(agent.file), stacked[None])
    assert expected.sum() == pytest.approx(1) and np.abs(counts / 600 - expected).max() < 0.07


def test_collect_records_agents_of_several_skills_in_one_mixture(file, tmp_path):
    out = tmp_path / "data"
    words = ["snake", f"--policy={file}@2,{file}:0.5,astar", "--frames=200", "--shard-steps=100"]
    assert player.main([*words, f"--out={out}", "--workers=1"]) == 0
    manifest = Dataset(out).manifest
    agent = AgentPolicy(file, 4).name
    assert manifest["mixture"] == [[agent, 0.5], [f"{agent}:0.5", 0.25], ["astar", 0.25]]
    assert manifest["policy"] == "mixture" and file not in (out / "manifest.json").read_text()
    assert player.main([*words, f"--out={out}", "--workers=2", "--resume"]) == 0


def test_an_agent_of_another_game_and_no_agent_are_refused_with_a_sentence(file, tmp_path):
    with pytest.raises(PolicyError, match="this game has 3 actions"):
        make_policy(file, 3, "pong", AgentPolicy)
    with pytest.raises(PolicyError, match="nowhere.zip"):
        make_policy("nowhere.zip", 4, "snake", AgentPolicy)
    with pytest.raises(PolicyError, match="only scripted policies play"):
        make_policy(file, 4, "snake")
    with pytest.raises(PolicyError, match="between 0 and 1"):
        make_policy(f"{file}:3", 4, "snake", AgentPolicy)


def test_collecting_without_agents_imports_no_torch(tmp_path):
    words = ["snake", "--frames=20", "--workers=1", f"--out={tmp_path / 'data'}"]
    code = (
        f"import sys; from agents.ppo.player import main; main({words});"
        "print(sorted({'torch', 'stable_baselines3'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.endswith("[]\n"), found.stdout + found.stderr
