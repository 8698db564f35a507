"""A dream as a TorchRL environment: TorchRL's own Gymnasium wrapper and collector on the vector environment.

pip install torchrl tensordict
python examples/torchrl_rollout.py
"""

import argparse

import gymnasium as gym
import torch
from torchrl.collectors import SyncDataCollector
from torchrl.envs import GymWrapper, RewardSum, TransformedEnv

import neural_envs  # noqa: F401  (registers the ids)


def main(argv: list[str] | None = None) -> torch.Tensor:
    """Play at random; return the frames, (B, T, H, W, C) uint8."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="NeuralSnake-v0")
    for name, default in (("num-envs", 16), ("steps", 64), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    dreams = gym.make_vec(args.env, num_envs=args.num_envs)  # TorchRL takes SAME_STEP, the default, and DISABLED
    env = TransformedEnv(GymWrapper(dreams), RewardSum())
    env.set_seed(args.seed)
    total = args.num_envs * args.steps
    collector = SyncDataCollector(env, None, frames_per_batch=total, total_frames=total)
    batch = next(iter(collector))
    ended = batch["next", "done"].squeeze(-1)
    returns = batch["next", "episode_reward"].squeeze(-1)[ended]
    print(f"{tuple(batch['pixels' if 'pixels' in batch.keys() else 'observation'].shape)}; {int(ended.sum())} ends")
    if len(returns):
        print(f"mean return {returns.mean():.2f}")
    frames = batch["pixels" if "pixels" in batch.keys() else "observation"]
    collector.shutdown()
    return frames


if __name__ == "__main__":
    main()
