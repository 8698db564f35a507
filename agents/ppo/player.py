"""A trained agent as a policy of `collectors`, and the verb `collect`, which records agents too.

Nothing here is imported from stable-baselines3 or torch until an agent plays.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collectors.action_space import ActionSpace
from collectors.policies.policies import Action, Generator, Policy, as_space

if TYPE_CHECKING:
    from stable_baselines3 import PPO
    from torch import Tensor, nn

    from agents.evaluation.play import FrameStack


class AgentPolicy(Policy):
    """Plays as the PPO of a policy file does in training: it draws each action from its policy.

    It is named by the file's content, so that a dataset names no place on a machine. A frame is
    evaluated by itself, whatever is played beside it, so that data do not depend on the number of
    lanes. `world` is the name of the game that it is to play, where that is known. Raises
    FileNotFoundError without the file, PolicyFileError for a foreign or damaged one, and ValueError
    for an agent of another game.
    """

    def __init__(self, file: str, actions: int | ActionSpace, world: str = ""):
        from agents.ppo.policy_file import read_origin

        self.file = str(Path(file).resolve())
        learned = read_origin(self.file).world
        if world and learned and learned != world:
            raise ValueError(f"the agent learned {learned}, and this game is {world}")
        own = ActionSpace.from_gymnasium(_agent(self.file).action_space)
        self.actions = as_space(actions)
        if own != self.actions.encoded():
            has, given = own.for_policies, self.actions.for_policies
            raise ValueError(f"the agent has {has} actions, and this game has {given} actions")
        self.name = f"agent-{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]}"
        self._stack: FrameStack | None = None

    def reset(self, generator: Generator) -> None:
        from agents.evaluation.play import FrameStack

        self._generator = generator
        self._stack = FrameStack(_agent(self.file).observation_space)

    def __call__(self, observation: np.ndarray) -> Action:
        assert self._stack is not None, "an agent is reset before it plays"
        agent, stacked = _agent(self.file), self._stack(observation[None])
        if not self.actions.is_discrete:
            return self.actions.decode(_drawn(agent, stacked, self._generator))
        return self.actions.starts[0] + _draw(_probabilities(agent, stacked), self._generator)

    def action_network(self) -> tuple[nn.Module, tuple[int, int, int]]:
        """What it plays by, see `neural_envs.web_export.exported_agents.ExportableAgent`."""
        from agents.ppo.action_network import ActionNetwork

        network = ActionNetwork(_agent(self.file))
        return network, network.shape


@lru_cache(maxsize=8)
def _agent(file: str) -> PPO:
    """The agent of a file, read once per process."""
    from agents.ppo.policy_file import read_policy

    return read_policy(file)


def _draw(chances: np.ndarray, generator: Generator) -> int:
    """One of A actions by their probabilities (A,)."""
    return int(np.searchsorted(np.cumsum(chances)[:-1], generator.random(), "right"))


def _distribution(agent: PPO, observations: np.ndarray) -> Any:
    """What the policy says under one stacked frame (1, H, W, C * frames): a distribution of torch,
    or one per part. Raises ValueError for frames of another size than the agent's.
    """
    import torch

    with torch.inference_mode():
        tensor, _ = agent.policy.obs_to_tensor(observations)
        return agent.policy.get_distribution(tensor).distribution


def _probabilities(agent: PPO, observations: np.ndarray) -> np.ndarray:
    """(A,) float64: how likely each action is under one stacked frame, (1, H, W, C * frames)."""
    return _chances(_distribution(agent, observations).logits)


def _chances(logits: Tensor) -> np.ndarray:
    return logits[0].double().softmax(0).cpu().numpy()


def _drawn(agent: PPO, observations: np.ndarray, generator: Generator) -> np.ndarray:
    """The encoded action (P,) under one stacked frame (1, H, W, C * frames), drawn."""
    from torch.distributions import Bernoulli, Normal

    found = _distribution(agent, observations)
    if isinstance(found, Normal):
        mean, deviation = found.mean[0].cpu().numpy(), found.stddev[0].cpu().numpy()
        return mean + deviation * generator.standard_normal(mean.shape)
    if isinstance(found, Bernoulli):
        chances = found.probs[0].cpu().numpy()
        return (generator.random(chances.shape) < chances).astype(np.int64)
    return np.array([_draw(_chances(part.logits), generator) for part in found])


def main(argv: list[str] | None = None) -> int:
    """The verb `collect`, with agents as players; returns the exit code.

    One thread per process unless OMP_NUM_THREADS says otherwise: a frame at a time gains nothing by
    more, and those of several workers wait for one another.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
    from collectors.recording import collect

    return collect.main(argv, AgentPolicy)
