"""Objectives: how a network learns to turn noise into frames."""

from world_models.objectives.base import Objective, Path
from world_models.objectives.ddpm import DDPM
from world_models.objectives.edm import EDM
from world_models.objectives.equilibrium import EquilibriumMatching
from world_models.objectives.flow import FlowMatching
from world_models.objectives.regression import Regression

OBJECTIVES: dict[str, type[Objective]] = {
    "edm": EDM,
    "ddpm": DDPM,
    "flow": FlowMatching,
    "eqm": EquilibriumMatching,
    "regression": Regression,
}

__all__ = ["DDPM", "EDM", "OBJECTIVES", "EquilibriumMatching", "FlowMatching", "Objective", "Path", "Regression"]
