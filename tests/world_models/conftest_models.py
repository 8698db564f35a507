"""Small things to test world models with: a tiny recorded game and tiny models."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from world_models.bundles.contexts import Contexts
from world_models.diffusion.objectives import (
    DDPM,
    EDM,
    EquilibriumMatching,
    FlowMatching,
    Regression,
)
from world_models.diffusion.samplers import Ancestral, Descent, Direct, Euler, Heun
from world_models.models.chance import ChanceConfig
from world_models.models.chance_variables import ChanceSettings
from world_models.models.diffusion import DiffusionConfig
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.joint import JointConfig
from world_models.models.latent import LatentConfig
from world_models.models.pixel import PixelConfig
from world_models.models.scene import SceneConfig
from world_models.models.table import build_model
from world_models.models.tokens_config import TokensConfig
from world_models.networks.autoencoder import AutoencoderConfig
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.dit import TransformerConfig
from world_models.networks.eqm_field import EqMFieldConfig
from world_models.networks.grid import GridConfig
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.patch_dictionary import PatchDictionary
from world_models.networks.pixel_network import FilmConfig
from world_models.networks.scene import Scene
from world_models.networks.tokenizer import TokenizerConfig
from world_models.networks.unet import UNetConfig
from world_models.protocols import Context, WorldSpec
from world_models.training import run as training

SPEC = WorldSpec("tiny", (16, 16, 3), ("left", "right"), (-1.0, 0.0, 1.0), 10, 50)
PAIRS = EqMFieldConfig(width=16, depth=1, heads=2, latent=4, field_width=16, field_depth=1)
GRID = GridConfig(width=16, patch=4, encoder_depth=1, decoder_depth=1)
COPIES = GridConfig(16, 4, 1, 1, copy=(0, 4))
FILM = TransformerConfig(width=16, patch=4, depth=1, heads=2, start="film", vision=(8, 8))
PATCHES = replace(FILM, start="patches")
UNET = UNetConfig(width=8, base=8, multipliers=(1, 2), condition=16, groups=4, heads=2)
CAUSAL = CausalDiTConfig(width=24, patch=8, depth=2, heads=2, window=4)
LATENT_GRID = GridConfig(16, 1, 1, 1)
AUTOENCODER = AutoencoderConfig(width=8, widest=16, latent_channels=4)
CODES = ChanceSettings(variables=0, codes=2, categories=3)
BOTH = ChanceSettings(variables=2, codes=1, categories=3)
FSQ = TokenizerConfig("fsq", levels=(4, 4, 5), width=16, encoder_depth=1, decoder_depth=1)
MASKED = MaskedTokensConfig(16, 4, 2, 1)
CONFIGS = {
    "chance": ChanceConfig(grid=GRID, context_length=2),
    "chance-two-variables": ChanceConfig(grid=GRID, chance=ChanceSettings(variables=2)),
    "chance-copies": ChanceConfig(
        grid=GridConfig(16, 4, 1, 1, positions=True, copy=(0,), flow=3.0, pixel_features=4),
        context_length=2,
    ),
    "chance-sprites": ChanceConfig(grid=GRID, context_length=3, sprites=2, sprite_size=5),
    "diffusion": DiffusionConfig(network=GRID, sampler=Euler(2), context_length=2),
    "diffusion-attention": DiffusionConfig(network=GridConfig(16, 4, 1, 1, True), context_length=4),
    "diffusion-chance": DiffusionConfig(
        network=GRID, chance=ChanceSettings(), context_length=2, guidance=1.5
    ),
    "diffusion-guided": DiffusionConfig(network=GRID, context_length=2, guidance=1.5),
    "diffusion-copies": DiffusionConfig(network=COPIES, objective=EDM(precondition=False)),
    "diffusion-heun": DiffusionConfig(network=GRID, sampler=Heun(2)),
    "ddpm": DiffusionConfig(network=GRID, objective=DDPM(), sampler=Ancestral(4), context_length=2),
    "ddpm-noise": DiffusionConfig(network=GRID, objective=DDPM(prediction="noise"), guidance=1.5),
    "flow": DiffusionConfig(
        network=GRID, objective=FlowMatching(times="logit-normal", shift=2.0), sampler=Heun(2)
    ),
    "flow-copies": DiffusionConfig(
        network=COPIES, objective=FlowMatching(prediction="frame"), chance=ChanceSettings()
    ),
    "eqm": DiffusionConfig(
        network=GRID, objective=EquilibriumMatching(), sampler=Descent(4), context_length=2
    ),
    "eqm-guided": DiffusionConfig(
        network=GRID, objective=EquilibriumMatching(), sampler=Descent(3, "nag"), guidance=1.5
    ),
    "eqm-dot": DiffusionConfig(
        network=GRID, objective=EquilibriumMatching(energy="dot"), sampler=Descent(2, rate=0.02)
    ),
    "joint": JointConfig(network=PAIRS, sampler=Descent(4, "nag")),
    "joint-append": JointConfig(network=replace(PAIRS, cnn="append", latent=3), context_length=2),
    "joint-dot": JointConfig(
        network=replace(PAIRS, cnn="", energy="dot"), chance=ChanceSettings(variables=0)
    ),
    "joint-l2": JointConfig(
        network=replace(PAIRS, energy="l2"), objective=EquilibriumMatching(), sampler=Descent(3)
    ),
    "regression": DiffusionConfig(
        network=COPIES, objective=Regression("huber"), sampler=Direct(), context_length=2
    ),
    "regression-bce": DiffusionConfig(
        network=GRID, objective=Regression("bce", motion_weight=5.0), sampler=Direct(), guidance=1.5
    ),
    "transformer-film": DiffusionConfig(network=FILM, objective=FlowMatching(), context_length=2),
    "transformer-patches": DiffusionConfig(
        network=PATCHES,
        objective=FlowMatching(times="logit-normal"),
        sampler=Heun(2),
        chance=ChanceSettings(),
    ),
    "transformer-drops-both": DiffusionConfig(
        network=replace(FILM, start="both", drop="both", copy=(0, 4), pixel_features=4),
        objective=FlowMatching(prediction="frame"),
        guidance=1.5,
    ),
    "transformer-ddpm": DiffusionConfig(
        network=PATCHES, objective=DDPM(), sampler=Ancestral(4), context_length=2
    ),
    "transformer-ddpm-noise": DiffusionConfig(
        network=FILM, objective=DDPM(prediction="noise"), guidance=1.5
    ),
    "transformer-ddpm-copies": DiffusionConfig(
        network=replace(PATCHES, copy=(0,)), objective=DDPM(prediction="frame"), sampler=Euler(5)
    ),
    "transformer-edm": DiffusionConfig(network=replace(FILM, start="both"), context_length=2),
    "transformer-eqm": DiffusionConfig(
        network=PATCHES, objective=EquilibriumMatching(), sampler=Descent(4)
    ),
    "transformer-regression": DiffusionConfig(
        network=PATCHES, objective=Regression(), sampler=Direct()
    ),
    "unet": DiffusionConfig(network=UNET, sampler=Euler(2), context_length=4, guidance=1.5),
    "unet-chance": DiffusionConfig(
        network=replace(UNET, stem=2, patch=8, blocks=2),
        sampler=Heun(2),
        chance=ChanceSettings(),
        context_length=2,
    ),
    "unet-flow": DiffusionConfig(network=UNET, objective=FlowMatching()),
    "unet-ddpm": DiffusionConfig(network=UNET, objective=DDPM(), sampler=Ancestral(4)),
    "unet-eqm": DiffusionConfig(network=UNET, objective=EquilibriumMatching(), sampler=Descent(4)),
    "pixel": PixelConfig(network=FilmConfig(16, 4, 1, 1, 4, 16)),
    "pixel-copies": PixelConfig(
        network=FilmConfig(16, 4, 1, 1, 4, 16, copy=(0,), flow=3.0),
        objective=Regression("huber"),
        context_length=1,
    ),
    "forcing": ForcingConfig(CAUSAL, sampler=Euler(2), context_length=2),
    "forcing-factored": ForcingConfig(
        replace(CAUSAL, rope="factored", registers=1, stem=8, positions=True, pixel_features=4),
        FlowMatching(prediction="frame", times="logit-normal"),
        Heun(2),
        context_length=3,
        guidance=1.5,
        outcome_share=1.0,
        change_weight=2.0,
    ),
    "chance-codes": ChanceConfig(grid=GRID, chance=CODES),
    "chance-places-and-codes": ChanceConfig(grid=GRID, chance=BOTH, context_length=2),
    "edm-codes": DiffusionConfig(network=GRID, chance=CODES, guidance=1.5),
    "edm-places-and-codes": DiffusionConfig(network=GRID, chance=BOTH),
    "flow-codes": DiffusionConfig(
        network=GRID, objective=FlowMatching(), chance=BOTH, context_length=2
    ),
    "eqm-chance": DiffusionConfig(
        network=GRID, objective=EquilibriumMatching(), sampler=Descent(4), chance=ChanceSettings()
    ),
    "eqm-codes": DiffusionConfig(
        network=GRID, objective=EquilibriumMatching(), sampler=Descent(4), chance=CODES
    ),
    "latent": LatentConfig(network=LATENT_GRID, autoencoder=AUTOENCODER, context_length=2),
    "latent-sixteen": LatentConfig(
        network=LATENT_GRID, autoencoder=replace(AUTOENCODER, downsample=16), guidance=1.5
    ),
    "latent-ddpm": LatentConfig(
        network=LATENT_GRID,
        autoencoder=AUTOENCODER,
        objective=DDPM(clamp=False),
        sampler=Ancestral(4),
    ),
    "latent-edm-chance": LatentConfig(
        network=LATENT_GRID,
        autoencoder=AUTOENCODER,
        objective=EDM(sigma_data=1.0),
        chance=BOTH,
        guidance=1.5,
    ),
    "latent-eqm": LatentConfig(
        network=LATENT_GRID,
        autoencoder=AUTOENCODER,
        objective=EquilibriumMatching(),
        sampler=Descent(4),
    ),
    "latent-regression": LatentConfig(
        network=LATENT_GRID,
        autoencoder=AUTOENCODER,
        objective=Regression("huber"),
        sampler=Direct(),
        context_length=2,
    ),
    "scene": SceneConfig(2, 5, 4, 3, 16, 1, 5, 3, 4, 6, least_share=0.0),
    "tokens": TokensConfig(FSQ, MASKED, 3, passes=3, temperature=1.0),
    "tokens-likeliest": TokensConfig(FSQ, replace(MASKED, attention=False), 1, tokenizer_share=0.0),
    "tokens-guided": TokensConfig(FSQ, MASKED, 2, temperature=0.5, guidance=2.0),
    "tokens-copies": TokensConfig(
        FSQ,
        replace(MASKED, copy=(0, 1)),
        2,
        passes=2,
        temperature=1.0,
        guidance=1.5,
        spread_order=True,
        new_temperature=1.2,
        new_edge=1,
        least_share=0.1,
    ),
    "tokens-pixels": TokensConfig(
        FSQ,
        replace(MASKED, copy=(0, 2)),
        2,
        passes=2,
        temperature=1.0,
        copy_pixels=True,
        sure_copy=0.4,
        draw_ends=True,
        pixel_features=4,
        outcomes_by_frame=True,
        choice_temperature=2.0,
    ),
    "tokens-scroll": TokensConfig(
        replace(FSQ, focus=0.5),
        replace(MASKED, copy=(0,), scroll=(2, 1)),
        3,
        temperature=0.6,
        new_temperature=1.2,
        move_temperature=0.0,
        pixel_features=2,
    ),
    "tokens-patches": TokensConfig(
        TokenizerConfig("patches", patches=70), MASKED, 2, passes=2, temperature=1.0
    ),
}
FORCING = [name for name, config in CONFIGS.items() if isinstance(config, ForcingConfig)]
PIXEL = [name for name, config in CONFIGS.items() if isinstance(config, PixelConfig)]
TOKENS = [name for name, config in CONFIGS.items() if isinstance(config, TokensConfig)]
STEPWISE = [
    name for name in CONFIGS if name not in (*FORCING, *PIXEL, *TOKENS, "scene")
]  # one action and one frame make a `Step`
COMPOSED = [name for name, config in CONFIGS.items() if isinstance(config, DiffusionConfig)]


def is_random(config) -> bool:
    """Whether a step of a model depends on its noise."""
    if isinstance(config, DiffusionConfig):
        return not isinstance(config.sampler, Direct)
    if isinstance(config, TokensConfig):
        return config.temperature > 0
    return not isinstance(config, PixelConfig)


def make_model(name: str, seed: int = 0, **changes):
    """A tiny model with random weights, the zero-initialised ones too, so that everything has an
    effect.

    `changes` are made to its config.
    """
    torch.manual_seed(seed)
    model = build_model(SPEC, replace(CONFIGS[name], **changes))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, PatchDictionary):
            module.fill(torch.randint(256, module.entries.shape, dtype=torch.uint8))
        if isinstance(module, Scene):
            for part, scale in ((module.moves, 3), (module.places, 16), (module.patches, 255)):
                part.copy_(scale * torch.rand_like(part))
            module.images.uniform_()
            module.changing.copy_(torch.arange(len(module.changing)))
    return model.to(memory_format=torch.channels_last).eval()


def make_context(model, lanes: int, seed: int = 0) -> Context:
    generator = torch.Generator().manual_seed(seed)
    shape = (lanes, model.context_length, *SPEC.frame_shape)
    frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return Context(frames, torch.zeros(lanes, model.context_length - 1, dtype=torch.int64))


def make_contexts(model, count: int = 5) -> Contexts:
    context = make_context(model, count)
    return Contexts(context.frames.numpy(), context.actions.numpy())


@pytest.fixture(params=list(CONFIGS))
def model(request):
    return make_model(request.param)


@pytest.fixture(scope="session")
def dataset_path(tmp_path_factory):
    """A small recording of the real Snake on an 8 x 8 board, by a random player."""
    from collectors.recording.collect import collect

    path = tmp_path_factory.mktemp("data") / "snake"
    collect("RealSnake-v0", path, frames=400, policy="random", workers=1, seed=0, shard_steps=200)
    return path


@pytest.fixture(autouse=True)
def short_films(monkeypatch):
    """Films of how a run dreams are most of the cost of a short one."""
    monkeypatch.setattr(training, "SHOWN_STEPS", 4)


@pytest.fixture
def generator():
    return np.random.default_rng(0)
