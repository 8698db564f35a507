"""Play a dream by code, keep it as a file of a few kilobytes, dream it again and make a film of it.

`python examples/play_and_keep.py keep`; with your own hands: `neural-envs play snake --dream-file
mine.dream`.
"""

import sys
from pathlib import Path

import gymnasium as gym

import neural_envs  # noqa: F401  registers the ids
from collectors.video_writers import write_film
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.replays.replay_file import DreamFile, frames_hash, replay


def main(folder: str = "keep", steps: int = 40) -> DreamFile:
    """Write FOLDER/snake.dream and FOLDER/snake.gif; returns the dream as it was read back."""
    env, recorder = gym.make("NeuralSnake-v0"), DreamRecorder()
    env.reset(seed=7)
    recorder.start(env, seed=7)
    for step in range(steps):
        action = (3, 0, 2, 1)[step // 5 % 4]  # right, up, left, down: a square
        frame, reward, terminated, truncated, _ = env.step(action)
        recorder.add(action, frame, float(reward), terminated, truncated)
        if terminated or truncated:
            break
    path = recorder.file().save(Path(folder) / "snake.dream")
    file = DreamFile.load(path)
    assert frames_hash(replay(file)) == file.frames_hash  # the same frames, to the last pixel
    write_film(path.with_suffix(".gif"), replay(file), fps=10)
    print(f"{path}: {len(file.actions)} steps in {path.stat().st_size} bytes")
    return file


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "keep")
