"""The checkpoints of a PPO run: the newest, and the one before for when that is damaged; and the
policies that are kept from along the training.
"""

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
POLICY_FILE, KEPT = "policy.zip", "policy_at_*.zip"


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


class KeptPolicies(BaseCallback):
    """Keeps the policy at `count` evenly spaced moments of a training of `steps` steps.

    The last moment is the end, whose policy is not kept apart. A moment that a rollout passes is
    that rollout's end; of several in one rollout only the last is kept.
    """

    def __init__(self, folder: Path, count: int, steps: int):
        super().__init__()
        self._folder, self._count, self._steps, self._last = folder, count, steps, 0

    def _moment(self) -> int:
        return self.model.num_timesteps * self._count // self._steps

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        self._last = self._moment()  # a run that goes on has kept those of before

    def _on_rollout_start(self) -> None:
        moment = self._moment()
        file = self._folder / KEPT.replace("*", f"{moment:03}_of_{self._count:03}")
        if 0 < moment < self._count and (moment > self._last or not file.is_file()):
            save_policy(self.model, file)
        self._last = moment


def kept_policies(folder: Path) -> list[Path]:
    """The policies from along a finished training, in their order, the finished one last."""
    return [*sorted(folder.glob(KEPT)), folder / POLICY_FILE]


def remove_kept_policies(folder: Path) -> None:
    """Delete the policies from along a training, as another one begins."""
    for path in folder.glob(KEPT):
        path.unlink()
