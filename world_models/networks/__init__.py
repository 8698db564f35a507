"""Networks that denoise; each is built from its config, see `protocols.Network`."""

from typing import NamedTuple

from torch import nn

from world_models.networks.actions import Actions
from world_models.networks.dit import DiffusionTransformer, TransformerConfig
from world_models.networks.grid import GridConfig, GridDenoiser
from world_models.networks.unet import UNet, UNetConfig
from world_models.protocols import NetworkConfig


class Kind(NamedTuple):
    """A row of the table."""

    config: type
    network: type[nn.Module]


NETWORKS: dict[str, Kind] = {
    "grid": Kind(GridConfig, GridDenoiser),
    "transformer": Kind(TransformerConfig, DiffusionTransformer),
    "unet": Kind(UNetConfig, UNet),
}
NETWORK_CONFIGS = {name: kind.config for name, kind in NETWORKS.items()}


def build_network(
    config: NetworkConfig,
    colors: int,
    context_channels: int,
    actions: Actions,
    grid_shape: tuple[int, int],
) -> nn.Module:
    """The network that belongs to a config, with fresh weights.

    `colors` are the channels of what is denoised, `context_channels` those of the whole context.
    """
    network = next(kind.network for kind in NETWORKS.values() if kind.config is type(config))
    return network(config, colors, context_channels, actions, grid_shape)
