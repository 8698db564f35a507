"""The parts of a bundle made from its files: model, weights, contexts, trust; and one trial step.

N contexts of K frames, H x W x C each; A actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collectors.settings.fields import from_dict
from collectors.spec_checks import check_spec
from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    check_size,
    read_arrays,
    reason_of,
)
from world_models.bundles import BundleError
from world_models.bundles.contexts import Contexts
from world_models.bundles.memory_budget import AllocationBudget, NaNWatch
from world_models.bundles.reading import read_tensors
from world_models.models.table import family, kinds
from world_models.models.trust_calibration import FILE as TRUST_FILE
from world_models.models.trust_calibration import DrawsCodes, load_scale
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, WorldModel, WorldSpec

MOST_CONTEXT_BYTES = 512 * 2**20  # unpacked
SPARE_ELEMENTS = 2**24  # of tables that a model makes for itself, beside its weights
TRIAL_STEPS = 2  # of a sampler


def build_model(path: Path, config: Mapping[str, Any], elements: int) -> WorldModel:
    """The model of a config in the newest format, with fresh weights.

    `elements`: how many numbers its file of weights holds; a config that asks for many more is
    refused before they are allocated. Raises BundleError.
    """
    model_class = family(config["kind"])
    if model_class is None:
        raise BundleError(f"{path} is of kind '{config['kind']:.40}'; this package knows {kinds()}")
    try:
        spec = WorldSpec.from_dict(config["spec"])
        check_spec(spec.as_dict())
        settings = from_dict(model_class.config_class, config["model"])
        with AllocationBudget(2 * elements + SPARE_ELEMENTS):
            model = model_class(spec, settings)
        check_size("context_length", model.context_length, 256, "frames")
        return model
    except PARSE_ERRORS as error:
        raise BundleError(f"{path / 'config.json'}: {reason_of(error)}") from None


def load_weights(file: Path, model: WorldModel, config: Mapping[str, Any]) -> None:
    """Puts the tensors of a file into the model; `config` as it is stored beside them.

    Raises BundleError where names, shapes or kinds of numbers do not fit.
    """
    weights = read_tensors(file, config)
    own = model.state_dict()
    missing, extra = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or extra:
        raise BundleError(
            f"{file} does not fit its config: missing tensors {missing[:3]}, unknown tensors "
            f"{extra[:3]}"
        )
    for name, tensor in own.items():
        found, expected = weights[name], tensor
        if found.shape != expected.shape:
            raise BundleError(
                f"{file}: tensor {name} has shape {tuple(found.shape)}, the config asks for "
                f"{tuple(expected.shape)}"
            )
        if found.is_floating_point() != expected.is_floating_point() or found.is_complex():
            raise BundleError(f"{file}: tensor {name} is {found.dtype}, not {expected.dtype}")
    model.load_state_dict({name: weights[name].to(tensor.dtype) for name, tensor in own.items()})


def read_contexts(file: Path, spec: WorldSpec, length: int) -> Contexts:
    """The start contexts of a bundle, `length` frames each. Raises BundleError."""
    try:
        arrays = read_arrays(file, MOST_CONTEXT_BYTES, ("frames", "actions"))
    except FileNotFoundError:
        raise BundleError(f"{file} is missing") from None
    except (DamagedFileError, OSError) as error:
        raise BundleError(f"{file} is damaged: {reason_of(error)}") from None
    expected, frames, actions = (length, *spec.frame_shape), arrays["frames"], arrays["actions"]
    if frames.shape[1:] != expected or frames.dtype != np.uint8 or not len(frames):
        raise BundleError(
            f"{file}: contexts of shape {frames.shape}, expected (N, {expected}) uint8, N > 0"
        )
    shape = (len(frames), length - 1, *spec.actions.row)
    if actions.shape != shape:
        raise BundleError(f"{file}: actions of shape {actions.shape}, not {shape}")
    if not spec.actions.holds_encoded(actions):
        most = "numbers from -1 to 1" if spec.actions.is_box else "whole numbers from 0 to "
        counts = "" if spec.actions.is_box else ", ".join(str(n - 1) for n in spec.actions.counts)
        raise BundleError(f"{file}: actions are {most}{counts}")
    return Contexts(frames, actions.astype(spec.actions.dtype))


def load_trust(path: Path, model: WorldModel) -> None:
    """Gives the model the calibration of its bundle, where there is one. Raises BundleError."""
    if model.feature_width is None:
        return
    try:
        model.trust_scale = load_scale(path, model.feature_width, isinstance(model, DrawsCodes))
    except PARSE_ERRORS as error:
        raise BundleError(f"{path / TRUST_FILE} is damaged: {reason_of(error)}") from None


def check_plays(path: Path, model: WorldModel, contexts: Contexts) -> None:
    """One step from the first context: it must give a frame, a reward and a trust that are numbers.

    Settings may each be in range and still not go together. Raises BundleError.
    """
    training = model.training
    try:
        with torch.no_grad(), NaNWatch() as watch:
            fits = _plays(model.eval(), contexts)
    except PARSE_ERRORS as error:
        raise BundleError(
            f"{path} cannot be played: its first step fails ({reason_of(error)})"
        ) from None
    finally:
        model.train(training)
    if watch.found or not fits:
        raise BundleError(f"{path} cannot be played: its first step gives no finite numbers")


def _plays(model: WorldModel, contexts: Contexts) -> bool:
    steps = model.default_options.steps
    few = "steps" in model.supported_options and steps is not None
    options = SamplingOptions(steps=min(steps, TRIAL_STEPS) if few and steps else None)
    zero = torch.zeros(1, dtype=torch.int64)
    state = model.init(contexts.choose(zero))
    action = torch.from_numpy(model.spec.actions.encoded_zeros((1,)))
    result = model.step(state, action, NoiseStream.from_seeds(zero), options)
    values = (float(result.reward), float(result.trust))
    return (
        tuple(result.frame.shape[1:]) == tuple(model.spec.frame_shape)
        and result.frame.dtype == torch.uint8
        and all(map(math.isfinite, values))
    )
