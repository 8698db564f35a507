"""What the folder of a PPO run holds already: nothing, a run of these settings, or another one."""

from enum import Enum, auto
from pathlib import Path

from agents.ppo.checkpoints import (
    BEFORE,
    NEWEST,
    POLICY_FILE,
    remove_checkpoints,
    remove_kept_policies,
)

SETTINGS_FILE = "settings.yaml"


class RunState(Enum):
    """What there is of a run of given settings."""

    NEW = auto()  # nothing
    BEGUN = auto()  # a checkpoint to go on from
    FINISHED = auto()  # its policy
    OTHER = auto()  # a checkpoint or a policy of other settings


def state_of(folder: Path, settings: str) -> RunState:
    """What `folder` holds of the run whose `settings.yaml` is this text."""
    finished = (folder / POLICY_FILE).is_file()
    begun = any((folder / name).is_file() for name in (NEWEST, BEFORE))
    if not (finished or begun):
        return RunState.NEW
    file = folder / SETTINGS_FILE
    if not (file.is_file() and file.read_bytes() == settings.encode()):
        return RunState.OTHER
    return RunState.FINISHED if finished else RunState.BEGUN


def clear_run(folder: Path) -> None:
    """Delete the policies and the checkpoints of whatever run was there."""
    remove_checkpoints(folder)
    remove_kept_policies(folder)
    (folder / POLICY_FILE).unlink(missing_ok=True)
