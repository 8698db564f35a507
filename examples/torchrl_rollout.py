"""A dream as a TorchRL environment: TorchRL's own Gymnasium wrapper and collector on the vector environment.

pip install torchrl tensordict
python examples/torchrl_rollout.py
"""

import argparse

import gymnasium as gym
from tensordict import TensorDictBase
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, RewardSum, TransformedEnv

import neural_envs  # noqa: F401  (registers the ids)


def main(argv: list[str] | None = None) -> TensorDictBase:
    """Play at random; return what was seen, (B, T) steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="NeuralSnake-v0")
    for name, default in (("num-envs", 16), ("steps", 64), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    dreams = gym.make_vec(args.env, num_envs=args.num_envs, output="torch")  # SAME_STEP; TorchRL takes DISABLED too
    env = TransformedEnv(GymWrapper(dreams), RewardSum())
    env.set_seed(args.seed)
    total = args.num_envs * args.steps
    collector = Collector(env, None, frames_per_batch=total, total_frames=total)
    batch = next(iter(collector))
    collector.shutdown()
    ended = batch["next", "done"].squeeze(-1)
    returns = batch["next", "episode_reward"].squeeze(-1)[ended]
    print(f"{total} steps of {args.num_envs} dreams, {len(returns)} ends, mean return {returns.mean():.2f}")
    return batch


if __name__ == "__main__":
    main()
