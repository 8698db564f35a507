"""The table of model families: one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from world_models.models.chance import ChanceModel
from world_models.models.diffusion import DiffusionModel
from world_models.models.diffusion_forcing import ForcingModel
from world_models.models.distilled import DistilledModel
from world_models.models.joint import JointModel
from world_models.models.latent import LatentModel
from world_models.models.pixel import PixelModel
from world_models.models.scene import SceneModel
from world_models.models.tokens import TokensModel
from world_models.protocols import LoadModel, TrainingFrames, WorldModel, WorldSpec

FAMILIES: list[type[WorldModel]] = [
    ChanceModel,
    DiffusionModel,
    DistilledModel,  # trains a diffusion model, so its bundles are of kind "diffusion"
    ForcingModel,
    JointModel,
    LatentModel,
    PixelModel,
    SceneModel,
    TokensModel,
]


def family(kind: str) -> type[WorldModel] | None:
    """The family whose bundles are of this kind; None where there is no such kind."""
    return next((row for row in FAMILIES if row.kind == kind), None)


def add_family(row: type[WorldModel]) -> type[WorldModel]:
    """Puts a family of one's own into the table, and returns it.

    Raises ValueError where its kind or its config is another family's.
    """
    for other in FAMILIES:
        same = row.kind == other.kind or row.config_class is other.config_class
        if same and row is not other:
            raise ValueError(
                f"{row.__name__} has the kind {row.kind!r} or the config of {other.__name__}: give "
                "it its own"
            )
    if row not in FAMILIES:
        FAMILIES.append(row)
    return row


def kinds() -> list[str]:
    """The kinds of bundles that there are."""
    return sorted({row.kind for row in FAMILIES})


def build_model(
    spec: WorldSpec,
    config: Any,
    load: LoadModel | None = None,
    frames: TrainingFrames | None = None,
) -> WorldModel:
    """The model that belongs to a config, with fresh weights.

    `load` gives the model of a bundle that the config names; without it the name is a directory.
    `frames` are those of the run that is going to train it.
    Raises ValueError where config and spec do not fit.
    """
    row = next(row for row in FAMILIES if row.config_class is type(config))
    if frames is None:
        return row.build(spec, config, load or load_directory)
    return row.build_for_training(spec, config, load or load_directory, frames)


def load_directory(name: str) -> WorldModel:
    """The model of the bundle in a directory. Raises ValueError where there is none."""
    from world_models.bundles.bundle import load_bundle  # which builds models by this table

    if not (Path(name) / "config.json").is_file():
        raise ValueError(
            f"{name!r} is not the directory of a bundle; released names are known to "
            "`neural-envs train`"
        )
    return load_bundle(name).model
