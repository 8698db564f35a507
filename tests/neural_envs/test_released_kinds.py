"""Every kind of world model, tiny and with random weights, as an environment made by name from its
bundle directory.
"""

from __future__ import annotations

import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import neural_envs  # noqa: F401  (registers the ids)
from world_models.bundles.bundle import save_bundle
from world_models.bundles.contexts import Contexts
from world_models.diffusion.objectives import Regression
from world_models.diffusion.samplers import Descent, Direct, Euler
from world_models.models.chance import ChanceConfig, ChanceModel
from world_models.models.chance_variables import ChanceSettings
from world_models.models.diffusion import DiffusionConfig, DiffusionModel
from world_models.models.diffusion_forcing import ForcingConfig, ForcingModel
from world_models.models.joint import JointConfig, JointModel
from world_models.models.latent import LatentConfig, LatentModel
from world_models.models.pixel import PixelConfig, PixelModel
from world_models.models.scene import SceneConfig, SceneModel
from world_models.models.tokens import TokensModel
from world_models.models.tokens_config import TokensConfig
from world_models.networks.autoencoder import AutoencoderConfig
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.eqm_field import EqMFieldConfig
from world_models.networks.grid import GridConfig
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.pixel_network import FilmConfig
from world_models.networks.tokenizer import TokenizerConfig
from world_models.protocols import WorldSpec

SPEC = WorldSpec("tiny", (16, 16, 3), ("up", "down", "left", "right"), (-1.0, 0.0, 1.0), 10, 12)
GRID = GridConfig(width=8, encoder_depth=1, decoder_depth=1)
LATENT = LatentConfig(
    network=GridConfig(8, 1, 1, 1),
    sampler=Euler(3),
    autoencoder=AutoencoderConfig(8, 8),
    context_length=2,
)
CAUSAL = CausalDiTConfig(width=24, patch=8, depth=1, heads=2, window=4)
PAIRS = EqMFieldConfig(width=16, depth=1, heads=2, latent=4, field_width=16, field_depth=1)
FSQ = TokenizerConfig("fsq", levels=(4, 4, 5), width=8, encoder_depth=1, decoder_depth=1)
SCENE = SceneConfig(2, 5, 4, 2, 16, 1, moves=5, places=3, patches=4, changing=6)
TOKENS = TokensConfig(FSQ, MaskedTokensConfig(8, 4, 1, 1), 2, passes=3, temperature=1.0)
MODELS = {
    "chance": lambda: ChanceModel(SPEC, ChanceConfig(grid=GRID)),
    "chance of two frames": lambda: ChanceModel(SPEC, ChanceConfig(grid=GRID, context_length=2)),
    "chance of four frames": lambda: ChanceModel(SPEC, ChanceConfig(grid=GRID, context_length=4)),
    "diffusion": lambda: DiffusionModel(SPEC, DiffusionConfig(network=GRID)),
    "latent": lambda: LatentModel(SPEC, LATENT),
    "codes": lambda: ChanceModel(
        SPEC, ChanceConfig(grid=GRID, chance=ChanceSettings(codes=2, categories=3))
    ),
    "forcing": lambda: ForcingModel(
        SPEC, ForcingConfig(CAUSAL, sampler=Euler(3), context_length=2)
    ),
    "joint": lambda: JointModel(SPEC, JointConfig(network=PAIRS, sampler=Descent(3))),
    "pixel": lambda: PixelModel(
        SPEC, PixelConfig(network=FilmConfig(8, 4, 1, 1, 4, 16), context_length=2)
    ),
    "scene": lambda: SceneModel(SPEC, SCENE),
    "tokens": lambda: TokensModel(SPEC, TOKENS),
    "regression": lambda: DiffusionModel(
        SPEC, DiffusionConfig(network=GRID, objective=Regression(), sampler=Direct())
    ),
}


@pytest.fixture(params=MODELS)
def bundle(request, tmp_path):
    """The directory of a bundle of one kind."""
    torch.manual_seed(0)
    model, rng = MODELS[request.param](), np.random.default_rng(0)
    for (
        parameter
    ) in model.parameters():  # the zero-initialised ones too, so that everything has an effect
        parameter.data += 0.1 * torch.randn_like(parameter)
    frames = rng.integers(256, size=(6, model.context_length, *SPEC.frame_shape), dtype=np.uint8)
    save_bundle(
        tmp_path,
        model,
        Contexts(frames, rng.integers(4, size=(6, model.context_length - 1))),
        {},
        {},
    )
    return str(tmp_path)


def test_it_passes_the_checker_of_gymnasium(bundle):
    check_env(gym.make("NeuralEnv-v0", bundle=bundle, render_mode="rgb_array").unwrapped)


def test_lanes_are_single_environments_up_to_rounding_through_resets(bundle):
    env = gym.make_vec("NeuralEnv-v0", 3, bundle=bundle, autoreset_mode="SameStep")
    singles = [gym.make("NeuralEnv-v0", bundle=bundle) for _ in range(3)]
    frames, _ = env.reset(seed=8)
    np.testing.assert_array_equal(
        frames, [single.reset(seed=8 + lane)[0] for lane, single in enumerate(singles)]
    )
    for step in range(3):
        frames, _, terminated, truncated, info = env.step(np.full(3, step))
        true = info["final_obs"] if (terminated | truncated).any() else frames
        for lane, single in enumerate(singles):
            frame, _, end, cut, _ = single.step(step)
            assert np.abs(frame.astype(int) - true[lane]).max() <= 2 and (end, cut) == (
                terminated[lane],
                truncated[lane],
            )
            if end or cut:
                np.testing.assert_array_equal(single.reset()[0], frames[lane])


def test_snapshots_and_pickles_bring_it_back(bundle):
    env = gym.make_vec("NeuralEnv-v0", 2, bundle=bundle)
    env.reset(seed=0)
    env.step([0, 1])
    snapshot, twin = env.get_state(), pickle.loads(pickle.dumps(env))
    first = [env.step([2, 3])[0] for _ in range(14)]  # beyond the limit of 12 steps
    env.set_state(snapshot)
    np.testing.assert_array_equal(first, [env.step([2, 3])[0] for _ in range(14)])
    np.testing.assert_array_equal(first, [twin.step([2, 3])[0] for _ in range(14)])


def test_sampler_steps_are_taken_where_the_model_has_them(bundle):
    model = gym.make("NeuralEnv-v0", bundle=bundle).unwrapped.simulator.model
    if "steps" in model.supported_options:
        envs = [gym.make("NeuralEnv-v0", bundle=bundle, sampler_steps=steps) for steps in (1, 4)]
        frames = [(env.reset(seed=0), env.step(0))[1][0] for env in envs]
        assert (frames[0] != frames[1]).any() and model.default_options.steps == 3
    else:
        with pytest.raises(ValueError, match="one call"):
            gym.make("NeuralEnv-v0", bundle=bundle, sampler_steps=4)


def test_the_frames_between_noise_and_picture_end_in_the_picture_that_was_dreamed(bundle):
    env = gym.make("NeuralEnv-v0", bundle=bundle).unwrapped
    env.reset(seed=0)
    assert env.denoising() == []  # nothing was dreamed yet
    frame, *_ = env.step(2)
    strip, model = env.denoising(), env.simulator.model
    sampled = "steps" in model.supported_options
    assert env.denoises == sampled
    assert len(strip) == (model.default_options.steps + 1 if sampled else 0)
    if sampled:
        np.testing.assert_array_equal(strip[-1], frame)
        assert all(image.shape == (16, 16, 3) and image.dtype == np.uint8 for image in strip)
        assert (strip[0] != strip[-1]).mean() > 0.5
        env.sampler_steps = 5
        assert len(env.denoising()) == 6 and model.default_options.steps == 3
    state = env.get_state()  # looking changed nothing
    assert (state.frame[0].numpy() == frame).all() and state.noise.steps.item() == 2


def test_guidance_is_the_environments_own_and_refused_where_there_is_none(bundle):
    env, other = (gym.make("NeuralEnv-v0", bundle=bundle).unwrapped for _ in range(2))
    if not env.guides:
        with pytest.raises(ValueError, match="no guidance"):
            env.guidance = 2.0
        assert env.guidance is None
        return
    frames = []
    for guidance in (0.0, 3.0):
        env.guidance = guidance
        env.reset(seed=0)
        frames.append(env.step(1)[0])
    other.reset(seed=0)
    plain = other.step(1)[0]
    assert (frames[0] != frames[1]).any() and (frames[1] != plain).any()
    assert other.guidance is None and env.simulator.model.default_options.guidance == 1.0
    made = gym.make("NeuralEnv-v0", bundle=bundle, guidance=3.0).unwrapped
    made.reset(seed=0)
    np.testing.assert_array_equal(made.step(1)[0], frames[1])


def test_temperature_is_an_argument_and_a_property_and_refused_where_there_is_none(bundle):
    made = gym.make("NeuralEnv-v0", bundle=bundle).unwrapped
    if "temperature" not in made.simulator.model.supported_options:
        with pytest.raises(ValueError, match="no temperature"):
            gym.make("NeuralEnv-v0", bundle=bundle, temperature=0.8)
        with pytest.raises(ValueError, match="no temperature"):
            made.temperature = 0.8
        return
    cold = gym.make_vec("NeuralEnv-v0", num_envs=2, bundle=bundle, temperature=0.0).unwrapped
    assert cold.temperature == 0.0 and made.temperature is None
    made.temperature = 0
    frames = [
        env.reset(seed=[0, 1])[0] if env is cold else env.reset(seed=0)[0] for env in (cold, made)
    ]
    np.testing.assert_array_equal(frames[0][0], frames[1])
    dreamed = cold.step(np.array([1, 1]))[0][0]
    np.testing.assert_array_equal(dreamed, made.step(1)[0])
    hot = gym.make("NeuralEnv-v0", bundle=bundle, temperature=5.0).unwrapped
    hot.reset(seed=0)
    assert (hot.step(1)[0] != dreamed).any()


@pytest.mark.parametrize("value", [-0.1, "warm", float("inf"), True])
def test_a_temperature_that_is_none_is_refused(value):
    from neural_envs.env import NeuralEnv

    with pytest.raises(ValueError, match="temperature is a number of at least 0"):
        NeuralEnv("snake", temperature=value)


@pytest.mark.parametrize("value", [-1, "strong", float("nan"), True])
def test_a_guidance_that_is_no_strength_is_refused(value):
    from neural_envs.env import NeuralEnv

    with pytest.raises(ValueError, match="at least 0"):
        NeuralEnv("worldmap", guidance=value)


def test_a_dream_goes_on_from_other_frames_as_one_that_started_there(bundle):
    env, fresh = (gym.make("NeuralEnv-v0", bundle=bundle).unwrapped for _ in range(2))
    frames = np.random.default_rng(1).integers(256, size=(4, 16, 16, 3), dtype=np.uint8)
    history = frames, np.array([0, 1, 2])
    env.reset(seed=0)
    env.step(1)
    noise = env.get_state().noise
    np.testing.assert_array_equal(env.continue_from(history), frames[-1])
    fresh.reset(seed=0, options={"context": history})
    state = fresh.get_state()
    fresh.set_state(state._replace(noise=noise.next()))
    np.testing.assert_array_equal(env.step(3)[0], fresh.step(3)[0])
    assert env.get_state().elapsed.item() == 2 and env.denoises == bool(env.denoising())
