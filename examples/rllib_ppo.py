"""RLlib's PPO in dreams of a world, then in its real game.

    pip install "ray[rllib]"
    python examples/rllib_ppo.py Snake --iterations 50

RLlib makes single environments and batches them itself, and its networks take floats.
"""

import argparse
import os

import gymnasium as gym
import numpy as np

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its usage unless told not to


def make(context: dict) -> gym.Env:
    """The environment of an id, its frames (H, W, C) float32 in [0, 1]."""
    env = gym.make(context["id"])  # "module:id" imports what registers it, in each worker
    return gym.wrappers.RescaleObservation(
        gym.wrappers.DtypeObservation(env, np.float32), np.float32(0), np.float32(1)
    )


def main(words: list[str] | None = None) -> float:
    """Learn in the dream; return the mean return in the real game."""
    parser = argparse.ArgumentParser()
    parser.add_argument("world", nargs="?", default="Snake")
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4096, help="steps per iteration")
    parser.add_argument("--runners", type=int, default=0, help="processes that step dreams")
    parser.add_argument("--envs", type=int, default=8, help="dreams in each")
    parser.add_argument("--episodes", type=int, default=16, help="real games at the end")
    given = parser.parse_args(words)

    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune import register_env

    register_env("game", make)
    config = (
        PPOConfig()
        .environment("game", env_config={"id": f"neural_envs:Neural{given.world}-v0"})
        .env_runners(num_env_runners=given.runners, num_envs_per_env_runner=given.envs)
        .training(
            train_batch_size_per_learner=given.batch,
            minibatch_size=min(given.batch, 512),
            num_epochs=4,
            gamma=0.97,
            lr=3e-4,
            entropy_coeff=0.01,
        )
        .evaluation(
            evaluation_num_env_runners=0,
            evaluation_duration=given.episodes,
            evaluation_config={"env_config": {"id": f"collectors:Real{given.world}-v0"}},
        )
    )
    algorithm = config.build_algo()
    try:
        for number in range(given.iterations):
            found = algorithm.train()["env_runners"]
            mean = found.get("episode_return_mean", float("nan"))
            print(f"iteration {number + 1}: return in the dream {mean:.2f}", flush=True)
        real = float(algorithm.evaluate()["env_runners"]["episode_return_mean"])
    finally:
        algorithm.stop()
    print(f"return in {given.episodes} real games: {real:.2f}")
    return real


if __name__ == "__main__":
    main()
