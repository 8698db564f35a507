"""A dream as a TorchRL environment: TorchRL's own Gymnasium wrapper on the vector environment.

pip install torchrl tensordict
python examples/torchrl_rollout.py
"""

import argparse

import gymnasium as gym
from tensordict import TensorDictBase
from torchrl.envs import GymWrapper

import neural_envs  # noqa: F401  (registers the ids)


def main(argv: list[str] | None = None) -> TensorDictBase:
    """Play at random; return the transitions, (B, T) steps."""
    parser = argparse.ArgumentParser(description="A dream in TorchRL")
    parser.add_argument("--env", default="NeuralSnake-v0")
    for name, default in (("num-envs", 16), ("steps", 64), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    dreams = gym.make_vec(  # TorchRL takes "Disabled" too
        args.env, num_envs=args.num_envs, output="torch", autoreset_mode="SameStep"
    )
    env = GymWrapper(dreams)
    env.set_seed(args.seed)
    batch = env.rollout(args.steps, break_when_any_done=False)
    ended, reward = int(batch["next", "done"].sum()), float(batch["next", "reward"].sum())
    print(f"{args.steps} steps of {args.num_envs} dreams, {ended} ended, reward {reward:.0f}")
    return batch


if __name__ == "__main__":
    main()
