"""Settings of the joint model of state and action."""

from __future__ import annotations

from dataclasses import dataclass, field

from collectors.settings.parse import setting
from world_models.diffusion.objectives import EquilibriumMatching
from world_models.diffusion.samplers import Descent, check_fit
from world_models.models.chance_variables import ChanceSettings
from world_models.networks.eqm_field import EqMFieldConfig
from world_models.protocols import ModelConfig


@dataclass(frozen=True)
class JointConfig(ModelConfig):
    """Settings of the joint model."""

    network: EqMFieldConfig = field(default_factory=EqMFieldConfig)
    objective: EquilibriumMatching = field(
        default_factory=lambda: EquilibriumMatching("linear", multiplier=1.0)
    )
    sampler: Descent = field(
        default_factory=lambda: Descent(10, "nag", rate=0.5, momentum=0.3, threshold=0.02)
    )
    # variables=0: the field's noise decides everything
    chance: ChanceSettings = field(default_factory=ChanceSettings)
    context_length: int = setting(1, "frames the model sees")
    change_weight: float = setting(20.0, "extra weight of cells that change")
    action_weight: float = setting(1.0, "of the action's share of the free pair's loss")
    latent_noise: float = setting(
        0.3, "standard deviation under which the decoder must still draw a cell"
    )
    reconstruction: float = setting(
        1.0,
        "weight of reconstruction; with 0, variance 0 and no stop_gradient latents may collapse",
    )
    variance: float = setting(0.1, "weight of the latent's variance target")
    stop_gradient: bool = setting(
        True, "the field does not pull at the latent that it is to predict"
    )

    def __post_init__(self):
        check_fit(self.objective, self.sampler)
