"""Many dreams as one batch: they stay on the device as tensors, and a dream can be branched, for
its state is a value.

`python examples/vector_dreams.py` looks one step ahead in 16 dreams and takes the action of the
highest reward.
"""

import gymnasium as gym
import torch
from gymnasium.spaces import Discrete

from neural_envs import NeuralVectorEnv  # importing the package registers the ids


def main(lanes: int = 16, steps: int = 20) -> float:
    """Play by looking one step ahead; returns the mean reward of a lane over all steps."""
    envs = gym.make_vec("NeuralSnake-v0", num_envs=lanes, output="torch").unwrapped
    assert isinstance(envs, NeuralVectorEnv) and isinstance(envs.single_action_space, Discrete)
    envs.reset(seed=0)
    total = torch.zeros(lanes)
    for _ in range(steps):
        here, returns = envs.get_state(), []
        # every lane tries every action from the same state
        for action in range(int(envs.single_action_space.n)):
            _, reward, *_ = envs.step(torch.full((lanes,), action))
            ties = torch.rand(lanes, generator=torch.Generator().manual_seed(action))
            returns.append(reward + 1e-3 * ties)
            envs.set_state(here)
        _, reward, _, _, info = envs.step(torch.stack(returns).argmax(0))
        total += reward
    print(
        f"{lanes} dreams, {steps} steps: reward {total.mean():.2f} per dream, trust "
        f"{info['trust'].mean():.3f}"
    )
    return float(total.mean())


if __name__ == "__main__":
    main()
