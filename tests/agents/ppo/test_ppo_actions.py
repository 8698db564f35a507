"""PPO in dreams whose actions have parts: it learns encoded actions, its file keeps them, and the
agent plays the game in the game's own.
"""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.envs import discrete_actions, policy_actions
from agents.evaluation.play import make_agent, play_episodes
from agents.ppo.action_network import ActionNetwork
from agents.ppo.player import AgentPolicy, _distribution
from agents.ppo.policy_file import Learner, PolicyFileError, make_ppo, read_policy, save_policy
from agents.ppo.presets import PPOSettings
from agents.ppo.torch_learner import TensorLanes, TensorRollout, TorchPPO
from agents.ppo.vec_env import SB3VecEnv, sb3_env
from collectors.action_space import ActionSpace
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_dream_actions import BOX, LATE, PAD, bundle_of

SMALL = PPOSettings(num_envs=2, n_steps=8, batch_size=8, n_epochs=1, features_dim=8, width=4)
SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in (spaces.MultiBinary(2), LATE)]


def dream(space, lanes=2):
    limit = {"autoreset_mode": "SameStep", "max_episode_steps": 5}
    return NeuralVectorEnv(lanes, bundle_of(space), **limit)


@pytest.mark.parametrize("space", [BOX, PAD, *SLOW], ids=str)
def test_an_agent_learns_is_saved_and_plays_the_games_actions(space, tmp_path):
    torch.manual_seed(0)
    model = make_ppo(sb3_env(dream(space), 0), SMALL, 0)
    encoded = ActionSpace.from_gymnasium(model.action_space)
    assert encoded == ActionSpace.from_gymnasium(space).encoded()
    model.learn(16)
    file = save_policy(model, tmp_path / "policy.zip")
    again = read_policy(file)
    assert again.action_space == model.action_space
    envs = dream(space)
    agent = make_agent(again, 2, 0, space=envs.single_action_space)
    assert (play_episodes(envs, agent, 2, 0).lengths == 5).all()
    known = policy_actions(space)
    player, frame = AgentPolicy(str(file), known), np.zeros((16, 24, 3), np.uint8)
    player.reset(np.random.default_rng(0))
    taken = np.array([player(frame) for _ in range(20)])
    assert ActionSpace.from_gymnasium(space).holds(taken) and len(np.unique(taken)) > 1
    player.reset(np.random.default_rng(0))
    assert (np.array([player(frame) for _ in range(20)]) == taken).all()
    with pytest.raises(ValueError, match="the agent has"):
        AgentPolicy(str(file), 7)
    other = sb3_env(dream(LATE if space is BOX else BOX), 0)
    with pytest.raises(PolicyFileError, match="this game has others"):
        read_policy(file, other)


@pytest.mark.parametrize("space", [BOX, PAD, *SLOW], ids=str)
def test_an_agent_learns_on_its_device_in_actions_of_any_kind(space, tmp_path):
    limit = {"autoreset_mode": "SameStep", "max_episode_steps": 5}
    lanes = TensorLanes(NeuralVectorEnv(2, bundle_of(space), output="torch", **limit))
    learner = Learner(TorchPPO, "cpu", {"rollout_buffer_class": TensorRollout})
    model = make_ppo(lanes, SMALL, 0, learner=learner)
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(16)
    assert not all(map(torch.equal, before, model.policy.parameters()))
    again = read_policy(save_policy(model, tmp_path / "policy.zip"))
    assert again.action_space == ActionSpace.from_gymnasium(space).encoded().to_gymnasium()


@pytest.mark.parametrize("space", [BOX, PAD, spaces.MultiBinary(2), LATE], ids=str)
def test_the_network_for_a_page_says_what_the_agent_says(space):
    """Probabilities of the choices of every part; of a Box means and deviations."""
    known = ActionSpace.from_gymnasium(space).encoded().stored()
    stored = {"frames": [3, 16, 24], "actions": known, "lanes": 1, "num_timesteps": 0}
    agent = make_ppo(None, SMALL, 0, stored)
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    with torch.inference_mode():
        found = ActionNetwork(agent)(torch.from_numpy(frame))[0].numpy()
    predicted = _distribution(agent, frame)
    if space is BOX:
        expected = np.concatenate([predicted.mean[0], predicted.stddev[0]])
    elif isinstance(space, spaces.MultiBinary):
        expected = np.stack([1 - predicted.probs[0], predicted.probs[0]], 1).ravel()
    else:
        parts = predicted if space is PAD else [predicted]
        expected = np.concatenate([part.probs[0] for part in parts])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_numbers_within_minus_one_and_one_become_the_games():
    adapted = SB3VecEnv(dream(BOX))
    assert adapted.action_space == spaces.Box(-1, 1, (2,))
    adapted.reset()
    adapted.step_async(np.float32([[-1, 1], [0, 0]]))
    assert adapted._actions.tolist() == [[-2, 1], [0, 0.5]]


def test_what_needs_one_number_says_so():
    with pytest.raises(ValueError, match="dyna needs Discrete actions"):
        discrete_actions(policy_actions(BOX), "dyna")
    assert discrete_actions(policy_actions(spaces.Discrete(3))) == 3
