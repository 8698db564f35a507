"""`neural-envs train PRESET a.b=c`: trains a world model; its teacher may be a released bundle."""

from __future__ import annotations

from collections.abc import Sequence

from neural_envs.bundles import load_model
from world_models.training import run


def main(argv: Sequence[str] | None = None) -> int:
    """The verb `train`; returns the exit code."""
    return run.main(argv, load_model)
