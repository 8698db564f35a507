"""The table of a PPO training: a row of figures per rollout, as CSV."""

from pathlib import Path

from stable_baselines3.common.logger import CSVOutputFormat

from collectors.files import remove, writing


class ProgressTable(CSVOutputFormat):
    """`progress.csv` in the folder of a run, from scratch, or one of its own after `done` steps.

    Raises WriteError, which names the file, where a row cannot be written.
    """

    def __init__(self, folder: Path, done: int):
        self.path = folder / f"progress{f'_from_{done}' if done else ''}.csv"
        with writing(self.path):
            super().__init__(str(self.path))

    def write(self, *args, **kwargs) -> None:
        with writing(self.path):
            super().write(*args, **kwargs)

    def close(self) -> None:
        """Close the file, also on a full disk; one without a row is deleted."""
        try:
            super().close()
        except OSError:
            pass  # the error that is being raised is the one to read; a row more or less is none
        if self.path.is_file() and not self.path.stat().st_size:
            remove(self.path)
