"""The checkpoints of a PPO run: the newest, and the one before for when that is damaged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.ppo.policy_file import PolicyFileError, read_policy, save_policy
from collectors.files import put_in_place
from collectors.interrupts import StopRequest

NEWEST, BEFORE = "checkpoint.zip", "checkpoint_before.zip"


class Checkpoint(NamedTuple):
    """A checkpoint that can be read."""

    path: Path
    steps: int  # that were done until then


def save_checkpoint(model: BaseAlgorithm, folder: Path) -> None:
    """Write the newest checkpoint and keep the one before, also where that raises WriteError."""
    if (folder / NEWEST).is_file():
        put_in_place(folder / NEWEST, folder / BEFORE)
    save_policy(model, folder / NEWEST)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read, or None; a line on stderr names damaged ones."""
    for path in (folder / NEWEST, folder / BEFORE):
        try:
            return Checkpoint(path, read_policy(path).num_timesteps)
        except FileNotFoundError:
            continue
        except (PolicyFileError, OSError) as error:
            print(f"passing over {path}: {error}", file=sys.stderr)
    return None


def remove_checkpoints(folder: Path) -> None:
    """Delete what a run goes on from."""
    for name in (NEWEST, BEFORE):
        (folder / name).unlink(missing_ok=True)


class Checkpoints(BaseCallback):
    """Writes a checkpoint every `every` rollouts, and ends the training after a signal."""

    def __init__(self, folder: Path, every: int, stop: StopRequest):
        super().__init__()
        self._folder, self._every, self._stop, self._rollouts = folder, every, stop, 0

    def _on_step(self) -> bool:
        return not self._stop

    def _on_rollout_start(self) -> None:
        if self._rollouts and self._rollouts % self._every == 0:
            save_checkpoint(self.model, self._folder)
        self._rollouts += 1
