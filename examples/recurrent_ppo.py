"""RecurrentPPO of sb3-contrib in a dream, then in the real game: no stacked frames are needed.

pip install -e ".[agents]" sb3-contrib
python examples/recurrent_ppo.py snake --steps 200000
"""

import argparse

from sb3_contrib import RecurrentPPO
from stable_baselines3.common.evaluation import evaluate_policy

from agents.ppo.networks import PatchCNN
from agents.ppo.vec_env import make_world


def main(argv: list[str] | None = None) -> float:
    """Train in the dream; return the mean return in the real game."""
    parser = argparse.ArgumentParser(description="RecurrentPPO in a dream")
    parser.add_argument("world", nargs="?", default="snake")
    parser.add_argument("--bundle", default=None, help="the dream's model; none: the released one")
    for name, default in (
        ("steps", 200_000),
        ("num-envs", 32),
        ("rollout", 64),
        ("episodes", 64),
        ("seed", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    dream = make_world(args.world, "dream", args.num_envs, args.seed, args.bundle)
    model = RecurrentPPO(
        "CnnLstmPolicy",
        dream,
        n_steps=args.rollout,
        batch_size=args.num_envs * args.rollout // 4,
        n_epochs=3,
        learning_rate=1e-3,
        gamma=0.97,
        ent_coef=0.01,
        seed=args.seed,
        device="cpu",
        policy_kwargs={
            "features_extractor_class": PatchCNN,
            "lstm_hidden_size": 64,
            "net_arch": [64],
        },
    )
    model.learn(args.steps)
    dream.close()
    real = make_world(args.world, "real", min(8, args.episodes), args.seed + 1_000_000)
    mean, spread = evaluate_policy(model, real, args.episodes, deterministic=False)
    real.close()
    assert isinstance(mean, float)
    print(
        f"{model.num_timesteps} steps in the dream; in the real game {mean:.2f} +- {spread:.2f} "
        "per game"
    )
    return mean


if __name__ == "__main__":
    main()
