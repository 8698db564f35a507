"""Recorded games: collect some, read them back, and dream on from the middle of one beside the
recording.

`python examples/offline_data.py --out data/few`
"""

import argparse

import gymnasium as gym
import numpy as np

import neural_envs  # noqa: F401  registers the ids
from collectors.dataset.dataset import Dataset
from collectors.recording.collect import main as collect


def main(argv=None) -> float:
    """Returns the share of pixels in which the dream equals the recording to within 16 gray
    levels.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="data/few")
    parser.add_argument("--frames", type=int, default=600)
    given = parser.parse_args(argv)
    collect(
        [
            "snake",
            "--frames",
            str(given.frames),
            "--policy",
            "astar",
            "--out",
            given.out,
            "--resume",
        ]
    )
    data = Dataset(given.out)
    episode = max(map(data.episode, range(len(data.episodes))), key=lambda game: len(game.actions))
    env = gym.make("NeuralSnake-v0")
    middle = len(episode.actions) // 2
    env.reset(seed=0, options={"context": (episode.frames[: middle + 1], episode.actions[:middle])})
    dreamed = [env.step(int(action))[0] for action in episode.actions[middle : middle + 5]]
    real = episode.frames[middle + 1 : middle + 6]
    same = float((np.abs(np.stack(dreamed).astype(int) - real) <= 16).mean())
    print(
        f"{data.steps} steps in {len(data.episodes)} games; {100 * same:.1f} % of {len(real)} "
        "dreamed ones"
    )
    return same


if __name__ == "__main__":
    main()
