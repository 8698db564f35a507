"""Experiment trackers, through Accelerate's: TensorBoard, Weights & Biases, Aim.

Each is an extra of its own name.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from collectors.extras import install, optional
from collectors.settings.parse import list_settings
from world_models.training.config import TrainConfig, TrainingError

PROJECT = "neural-envs"


def require(tracker: str) -> None:
    """Raises TrainingError with the pip command where a tracker's package is not installed."""
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise TrainingError(
            f"tracker={tracker} needs {tracker}, which is not installed: {install(tracker)}"
        )


class Tracker:
    """Sends figures and images to a tracker besides the run directory; with tracker=none nowhere.

    A resumed run goes on in the tracker's run that it began: that run's name there is kept in the
    run directory. Updates that are done again are logged again (TensorBoard, Aim) or only once
    (W&B).
    """

    def __init__(self, config: TrainConfig, update: int):
        """`update`: the one that the run goes on from.

        Raises TrainingError for a missing package.
        """
        require(config.tracker)
        self.name, self.out = config.tracker, config.out
        self.kept = config.out / f"{config.tracker}.id"
        if self.name == "none":
            return
        self.accelerator: Any = optional("accelerate").Accelerator(
            log_with=self.name, project_dir=str(config.out)
        )
        earlier = self.kept.read_text().strip() if update and self.kept.exists() else None
        self.accelerator.init_trackers(
            PROJECT, flat(config), {self.name: self._options(config, update, earlier)}
        )
        self.run: Any = self.accelerator.get_tracker(self.name, unwrap=True)
        if self.name == "wandb":
            self.kept.write_text(str(self.run.id))
        elif self.name == "aim":
            self.kept.write_text(str(self.run.hash))

    def _options(self, config: TrainConfig, update: int, earlier: str | None) -> dict[str, Any]:
        if self.name == "tensorboard":
            return {"purge_step": update + 1} if update else {}
        if self.name == "aim":
            return {"run_hash": earlier} if earlier else {}
        options = {"mode": config.wandb_mode, "dir": str(config.out), "name": config.out.name}
        return {**options, "id": earlier, "resume": "allow"} if earlier else options

    def log(self, row: dict, update: int) -> None:
        """Logs the numbers of a row of metrics."""
        if self.name != "none":
            self.accelerator.log(
                {k: v for k, v in row.items() if isinstance(v, (int, float))}, step=update
            )

    def show(self, update: int) -> None:
        """Logs the strip of frames and the film of the run directory."""
        show = {
            "tensorboard": self._show_tensorboard,
            "wandb": self._show_wandb,
            "aim": self._show_aim,
        }.get(self.name)
        if show is not None:
            show(self.out / "strip.png", self.out / "rollout.gif", update)

    def _show_tensorboard(self, strip: Path, film: Path, update: int) -> None:
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        tracker: Any = self.accelerator.get_tracker("tensorboard")
        tracker.log_images(
            {"strip": np.asarray(Image.open(strip).convert("RGB"))[None]},
            update,
            dataformats="NHWC",
        )
        width, height = Image.open(film).size
        moving = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=film.read_bytes()
        )
        # as add_video does, which would need moviepy only to make the GIF that we have
        self.run._get_file_writer().add_summary(
            Summary(value=[Summary.Value(tag="rollout", image=moving)]), update
        )
        self.run.flush()

    def _show_wandb(self, strip: Path, film: Path, update: int) -> None:
        import wandb

        images = {
            "strip": wandb.Image(str(strip)),
            "rollout": wandb.Video(str(film), format="gif"),
        }
        self.accelerator.log(images, step=update)

    def _show_aim(self, strip: Path, film: Path, update: int) -> None:
        import aim

        self.run.track(aim.Image(str(strip)), name="strip", step=update)
        self.run.track(aim.Image(str(film), format="gif"), name="rollout", step=update)

    def end(self) -> None:
        """Waits until everything is sent."""
        if self.name != "none":
            for tracker in self.accelerator.trackers:
                tracker.finish()


def flat(config: TrainConfig) -> dict[str, bool | int | float | str]:
    """All settings by dotted name, as every tracker can hold them."""
    values = {setting.name: setting.default for setting in list_settings(config)}
    return {
        name: v
        if isinstance(v, (bool, int, float))
        else os.fspath(v)
        if isinstance(v, Path)
        else str(v)
        for name, v in values.items()
    }
