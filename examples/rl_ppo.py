"""Reinforcement learning in a dream: PPO of stable-baselines3 learns there and is then measured in
the real game.

`python examples/rl_ppo.py --steps 300000`; any Gymnasium library works the same way,
`gym.make("NeuralSnake-v0")`.
"""

import argparse

from stable_baselines3 import PPO

from agents.envs import env_id
from agents.evaluation.play import evaluate_policy
from agents.ppo.vec_env import make_world


def main(argv=None) -> float:
    """Train for some steps; returns the mean return of the real games."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--rollout", type=int, default=128)
    parser.add_argument("--episodes", type=int, default=16)
    given = parser.parse_args(argv)
    dreams = make_world(
        "snake", "dream", given.envs, seed=0
    )  # a VecEnv; "real" makes the game itself
    batch = given.envs * given.rollout // 4
    model = PPO(
        "CnnPolicy", dreams, n_steps=given.rollout, batch_size=batch, n_epochs=4, device="cpu"
    )
    model.learn(given.steps)
    played = evaluate_policy(model, env_id("snake", "real"), given.episodes, seed=1)
    print(
        f"{given.steps} steps in the dream, then {played.episodes} real games: return "
        f"{played.return_mean:.2f}"
    )
    return played.return_mean


if __name__ == "__main__":
    main()
