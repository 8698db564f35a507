"""Images of two concepts for docs/concepts.md: a context and its dream, and the trust of a dream.

The world is one whose model looks at several frames. Frames are (H, W, 3) uint8.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np

from collectors.media import to_rgb, write_strip
from collectors.policies.policies import Policy, make_policy
from collectors.worlds.registration import register_environments
from collectors.worlds.table import find_world
from neural_envs.env import NeuralEnv

WORLD, SCALE = "coinrun", 2
CONTEXT, DREAMED = 4, 4  # frames of the image of a context
STEPS = (1, 4, 8, 12, 16, 24, 32, 40)  # that the image of trust shows


def write_concepts(folder: Path, seed: int = 1) -> list[Path]:
    """Write context.png and trust.png: what is recorded, and how a dream goes on from it."""
    recorded, actions, policy = _recorded(seed)
    dream, trusts = _dreamed(recorded, actions, policy, max(STEPS))
    context = write_strip(
        folder / "context.png",
        [[*recorded, *dream[:DREAMED]]],
        SCALE,
        heads=["context"] * CONTEXT + ["dreamed"] * DREAMED,
    )
    shown = [step for step in STEPS if step <= len(dream)]
    heads = [f"step {step}: {trusts[step - 1]:.2f}" for step in shown]
    frames = [dream[step - 1] for step in shown]
    return [context, write_strip(folder / "trust.png", [frames], SCALE, heads=heads)]


def _recorded(seed: int) -> tuple[list[np.ndarray], list[int], Policy]:
    """The first frames of a real game, the actions between them, and who plays on."""
    world = find_world(WORLD)
    register_environments()
    game = gym.make(world.real_id)
    policy = make_policy(world.best_policy, game.action_space.n, world)  # pyright: ignore
    policy.reset(np.random.default_rng(seed))
    frame, _ = game.reset(seed=seed)
    frames, actions = [frame], []
    while len(frames) < CONTEXT:
        actions.append(int(policy(frame)))
        frame, *_ = game.step(actions[-1])
        frames.append(frame)
    game.close()
    return frames, actions, policy


def _dreamed(
    frames: list[np.ndarray], actions: list[int], policy: Policy, steps: int
) -> tuple[list[np.ndarray], list[float]]:
    """Frames and trust of the dream that goes on from there, up to its end."""
    env = NeuralEnv(WORLD)
    frame, _ = env.reset(seed=0, options={"context": (np.stack(frames), np.array(actions))})
    dream: list[np.ndarray] = []
    trusts: list[float] = []
    for _ in range(steps):
        frame, _, terminated, truncated, info = env.step(int(policy(frame)))
        dream.append(to_rgb(frame))
        trusts.append(info["trust"])
        if terminated or truncated:
            break
    return dream, trusts
