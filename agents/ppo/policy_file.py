"""Policy files that are read without unpickling anything.

`policy.zip` is a file of stable-baselines3, so `PPO.load` of that library reads it. That library
pickles the settings (`data`), and unpickling runs whatever code a file holds. Beside them stands a
member of ours, `neural_envs.json`, with the settings as JSON; the weights are read by `torch.load`
with `weights_only=True`. A file without that member is refused; whoever trusts it converts it:

    python -m agents.ppo.policy_file FOREIGN.zip POLICY.zip
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.networks import PatchCNN, PatchPolicy
from agents.ppo.presets import PPOSettings
from agents.ppo.untrusted_weights import all_finite, check_plain, most_elements, tensors_in
from collectors.action_space import ActionSpace
from collectors.files import write_atomically
from collectors.settings.fields import from_dict, to_dict
from collectors.settings.run_command import fail
from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    check_size,
    checked_json,
    read_regular_file,
    reason_of,
)
from world_models.bundles.memory_budget import AllocationBudget

MEMBER, FORMAT_VERSION = "neural_envs.json", 1
WEIGHTS = {"policy": "policy.pth", "policy.optimizer": "policy.optimizer.pth"}
MOST_BYTES = 2**30  # of a file, and of each of its members unpacked
NET_ARCH = [64]
SPARE_ELEMENTS = 2**22  # of what stable-baselines3 makes for itself
MOST_ROLLOUT_BYTES = 2**32
KEYS = {"format_version", "settings", "seed", "frames", "actions", "lanes", "num_timesteps"}
MOST_ORIGIN = 200  # characters of each word of an origin


class PolicyFileError(ValueError):
    """A file that is no policy of ours, or a damaged one; the message says what to do."""


class Origin(NamedTuple):
    """Where an agent learned, as its file says; "" for what it does not say."""

    world: str = ""  # name of the game
    kind: str = ""  # dream or real
    bundle: str = ""  # a released name, else a label: no place on a machine
    weights: str = ""  # sha256 of the dream's model


class Learner(NamedTuple):
    """What learns, and where."""

    kind: type[PPO] = PPO
    device: str = "cpu"
    options: Mapping[str, Any] = MappingProxyType({})  # of its constructor


ON_CPU = Learner()


def make_ppo(
    env: VecEnv | None,
    settings: PPOSettings,
    seed: int,
    stored: Mapping[str, Any] | None = None,
    learner: Learner = ON_CPU,
) -> PPO:
    """An untrained PPO with the patch network.

    `env` None makes one that only plays: `stored`, the settings of a policy file, says for which
    frames and how many actions.
    """
    model = learner.kind(
        PatchPolicy,
        env,  # pyright: ignore[reportArgumentType] # None is allowed, and the stubs forget it
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        learning_rate=LinearSchedule(settings.learning_rate, settings.final_learning_rate, 1.0),
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.ent_coef,
        clip_range=settings.clip_range,
        seed=seed,
        device=learner.device,
        **learner.options,
        policy_kwargs={
            "features_extractor_class": PatchCNN,
            "features_extractor_kwargs": {
                "features_dim": settings.features_dim,
                "width": settings.width,
            },
            "net_arch": list(NET_ARCH),
        },
        _init_setup_model=False,
    )
    if stored is not None and env is None:
        model.observation_space = spaces.Box(0, 255, tuple(stored["frames"]), np.uint8)
        model.action_space = ActionSpace.from_stored(stored["actions"]).to_gymnasium()
        model.n_envs = stored["lanes"]
    model._setup_model()
    return model


def save_policy(model: BaseAlgorithm, path: Path, origin: Origin | None = None) -> Path:
    """Write a PPO that `make_ppo` made as a zip file; a reader never sees half of it."""
    learned = {} if origin is None else {"origin": origin._asdict()}
    text = json.dumps({**_facts(model), **learned})

    def write(partial: Path) -> None:
        model.save(partial)
        with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MEMBER, text)

    return write_atomically(path, write)


def read_policy(path: str | Path, env: VecEnv | None = None, learner: Learner = ON_CPU) -> PPO:
    """The PPO of a policy file of ours to play with or, with `env`, to learn on.

    Nothing in the file is unpickled. Raises PolicyFileError for a foreign or damaged file, and for
    an `env` of other frames or actions, FileNotFoundError where there is none.
    """
    path = Path(path)
    stored, weights = _members(path)
    settings = from_dict(PPOSettings, stored["settings"])
    if env is not None and not _fits(env, stored):
        raise PolicyFileError(
            f"{path} is a policy for frames of {stored['frames']} and {stored['actions']} actions; "
            "this game has others"
        )
    try:
        with AllocationBudget(4 * most_elements(weights["policy"]) + SPARE_ELEMENTS):
            model = make_ppo(env, settings, stored["seed"], stored, learner)
        model.set_parameters(weights, exact_match=True, device=learner.device)
    except PARSE_ERRORS as error:
        raise _damaged(path, error) from None
    model.num_timesteps = stored["num_timesteps"]
    return model


def read_weights(path: str | Path) -> dict[str, Any]:
    """Weights and optimizer state of a policy file, by the names of `set_parameters`.

    Raises as `read_policy`.
    """
    return _members(Path(path))[1]


def read_origin(path: str | Path) -> Origin:
    """Where the agent of a policy file learned. Raises as `read_policy`."""
    return Origin(**_members(Path(path))[0].get("origin", {}))


def convert(foreign: str | Path, out: str | Path) -> Path:
    """Rewrite a policy that an older version saved; unpickles `foreign`, which the caller trusts.

    Raises PolicyFileError where its network is not ours.
    """
    model = PPO.load(foreign, device="cpu")
    extractor = model.policy_kwargs.get("features_extractor_class")
    if extractor is not PatchCNN or model.policy_kwargs.get("net_arch") != NET_ARCH:
        raise PolicyFileError(f"{foreign} has another network than ours; only PatchCNN is read")
    return save_policy(model, Path(out))


def _facts(model: BaseAlgorithm) -> dict[str, Any]:
    assert isinstance(model, PPO)
    actions = ActionSpace.from_gymnasium(model.action_space)
    schedule: Any = model.learning_rate
    own = model.policy_kwargs["features_extractor_kwargs"]
    clip: Any = model.clip_range  # SB3 makes a schedule of a number
    settings = PPOSettings(
        num_envs=model.n_envs,
        n_steps=model.n_steps,
        batch_size=model.batch_size,
        n_epochs=model.n_epochs,
        learning_rate=schedule.start,
        final_learning_rate=schedule.end,
        gamma=model.gamma,
        gae_lambda=model.gae_lambda,
        ent_coef=model.ent_coef,
        clip_range=float(clip(1.0)),
        features_dim=own["features_dim"],
        width=own["width"],
    )
    frames: Any = model.observation_space.shape
    return {
        "format_version": FORMAT_VERSION,
        "settings": to_dict(settings),
        "seed": model.seed,
        "frames": list(frames),
        "actions": actions.stored(),
        "lanes": model.n_envs,
        "num_timesteps": model.num_timesteps,
    }


def _members(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        data = read_regular_file(path, MOST_BYTES)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if MEMBER not in archive.namelist():
                raise PolicyFileError(
                    f"{path} holds pickled settings only, and reading those runs whatever code is "
                    "in them; if you trust whoever made it: python -m agents.ppo.policy_file "
                    f"{path} NEW.zip"
                )
            for name in (MEMBER, *WEIGHTS.values()):
                if archive.getinfo(name).file_size > MOST_BYTES:
                    raise PolicyFileError(f"{path} unpacks to more than {MOST_BYTES >> 20} MB")
            stored = _checked(checked_json(archive.read(MEMBER)))
            read = {name: archive.read(member) for name, member in WEIGHTS.items()}
        weights = {
            name: torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            for name, content in read.items()
        }
        finite = all_finite(weights["policy"])
        check_plain(tensors_in(weights["policy.optimizer"]))
    except FileNotFoundError:
        raise
    except PolicyFileError:
        raise
    except PARSE_ERRORS as error:
        raise _damaged(path, error) from None
    if not finite:
        raise PolicyFileError(f"{path} has weights that are no finite numbers; train it again")
    return stored, weights


def _checked(stored: Any) -> dict[str, Any]:
    """The settings of a policy file, their types and ranges checked."""
    if not isinstance(stored, dict) or set(stored) - {"origin"} != KEYS:
        raise DamagedFileError(f"{MEMBER} has other keys than {sorted(KEYS)}")
    if stored["format_version"] != FORMAT_VERSION:
        raise DamagedFileError(f"format {stored['format_version']!r} is not {FORMAT_VERSION}")
    settings = from_dict(PPOSettings, stored["settings"])
    sizes = dataclasses.replace(settings, learning_rate=1.0, final_learning_rate=1.0)
    actions = ActionSpace.from_stored(stored["actions"]).parts
    frames, counts = stored["frames"], (actions, stored["lanes"], sizes.width)
    counts += (sizes.features_dim, sizes.n_steps, sizes.batch_size, sizes.n_epochs)
    if not isinstance(frames, list) or len(frames) != 3:
        raise DamagedFileError("frames are three numbers")
    if not all(type(number) is int and 1 <= number <= 2**16 for number in (*frames, *counts)):
        raise DamagedFileError("a size is no whole number of 1 to 65536")
    rollout = sizes.n_steps * stored["lanes"] * math.prod(frames)
    check_size("a rollout", rollout, MOST_ROLLOUT_BYTES)
    if type(stored["num_timesteps"]) is not int or stored["num_timesteps"] < 0:
        raise DamagedFileError("num_timesteps is a whole number")
    if stored["seed"] is not None and type(stored["seed"]) is not int:
        raise DamagedFileError("the seed is a whole number or null")
    _check_origin(stored.get("origin", {}))
    return stored


def _check_origin(origin: Any) -> None:
    known = isinstance(origin, dict) and set(origin) <= set(Origin._fields)
    if not known or not all(
        isinstance(word, str) and len(word) <= MOST_ORIGIN and word.isprintable()
        for word in origin.values()
    ):
        raise DamagedFileError(f"its origin is no short words for {', '.join(Origin._fields)}")


def _fits(env: VecEnv, stored: Mapping[str, Any]) -> bool:
    """Whether the frames (channels first in the file) and actions are those of the environment."""
    shape, own = env.observation_space.shape or (), ActionSpace.from_gymnasium(env.action_space)
    return sorted(shape) == sorted(stored["frames"]) and own.stored() == stored["actions"]


def _damaged(path: Path, error: BaseException) -> PolicyFileError:
    return PolicyFileError(f"{path} is damaged ({reason_of(error)}); delete it and train it again")


def main(argv: list[str]) -> int:
    """Convert a policy of an older version; returns the exit code."""
    if len(argv) != 2:
        return fail("policy_file", "give the file to convert and the one to write", 2)
    print(convert(argv[0], argv[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
