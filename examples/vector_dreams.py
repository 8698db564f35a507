"""Many dreams as one batch: they stay on the device as tensors, and a dream can be branched, for
its state is a value.

`python examples/vector_dreams.py` looks one step ahead in 16 dreams and takes the action with the
highest reward.
"""

import gymnasium as gym
import torch

import neural_envs  # noqa: F401  registers the ids


def main(lanes: int = 16, steps: int = 20) -> float:
    """Play by looking one step ahead; returns the mean reward of a lane over all steps."""
    envs = gym.make_vec("NeuralSnake-v0", num_envs=lanes, output="torch")
    envs.reset(seed=0)
    total = torch.zeros(lanes)
    for _ in range(steps):
        here, rewards = envs.get_state(), []
        for action in range(
            envs.single_action_space.n
        ):  # every lane tries every action from the same state
            _, reward, *_ = envs.step(torch.full((lanes,), action))
            rewards.append(
                reward + 1e-3 * torch.rand(lanes, generator=torch.Generator().manual_seed(action))
            )
            envs.set_state(here)
        _, reward, _, _, info = envs.step(torch.stack(rewards).argmax(0))
        total += reward
    print(
        f"{lanes} dreams, {steps} steps: reward {total.mean():.2f} per dream, trust "
        f"{info['trust'].mean():.3f}"
    )
    return float(total.mean())


if __name__ == "__main__":
    main()
