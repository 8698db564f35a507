"""Objectives: how a network learns to turn noise into frames."""

from world_models.diffusion.objectives.base import Objective, Path
from world_models.diffusion.objectives.ddpm import DDPM
from world_models.diffusion.objectives.edm import EDM
from world_models.diffusion.objectives.equilibrium import EquilibriumMatching
from world_models.diffusion.objectives.flow import FlowMatching
from world_models.diffusion.objectives.regression import Regression

OBJECTIVES: dict[str, type[Objective]] = {
    "edm": EDM,
    "ddpm": DDPM,
    "flow": FlowMatching,
    "eqm": EquilibriumMatching,
    "regression": Regression,
}

__all__ = [
    "DDPM",
    "EDM",
    "OBJECTIVES",
    "EquilibriumMatching",
    "FlowMatching",
    "Objective",
    "Path",
    "Regression",
]
