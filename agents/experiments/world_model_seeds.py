"""World models that differ by the seed of their training alone, or bundles that are there already.

A run that learned in one dream says little of dreams: the training run of the world model is a unit
of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agents.envs import bundle_spec, find_twins, weights_fingerprint
from agents.experiments.stages import Stages, settings_of
from neural_envs.bundles import load_model
from world_models.bundles.reading import read_config
from world_models.training.config import TrainConfig
from world_models.training.run import train

# Settings that may change when a run goes on; "threads" and the like decide speed alone.
FREE = ("out", "threads", "device", "prefetch", "resume", "allow_changes", "tracker", "wandb_mode")


class WorldModel(NamedTuple):
    """A dream to learn in. `label` names its folders, and is empty where there is one model."""

    bundle: str | None  # None: the released one of the world
    label: str
    weights: str  # their sha256

    @property
    def half(self) -> str:
        """The name of a training in it."""
        return f"dream_{self.label}" if self.label else "dream"

    def as_dict(self, name: str) -> dict[str, str]:
        """For JSON: which model it is."""
        return {"bundle": self.bundle or find_twins(name).bundle, "weights": self.weights}


def check_worlds(name: str, bundles: Sequence[str | None]) -> None:
    """Raises ValueError where one of the bundles, None apart, is a dream of another world."""
    for bundle in filter(None, bundles):
        world = bundle_spec(bundle).get("world", name)
        if world != name:
            raise ValueError(f"the bundle {bundle} is a dream of {world}, not of {name}")


def world_models(name: str, bundles: Sequence[str | None]) -> list[WorldModel]:
    """The world models of these bundles.

    Raises ValueError where two have the same weights: a spread between them would be none.
    """
    weights = [weights_fingerprint(name, bundle) for bundle in bundles]
    for number, one in enumerate(weights):
        if one in weights[:number]:
            twin = bundles[weights.index(one)]
            raise ValueError(
                f"the bundles {twin} and {bundles[number]} have the same weights, so they are one "
                "world model; leave one out"
            )
    labels = [one[:8] for one in weights] if len(weights) > 1 else [""]
    return [WorldModel(*one) for one in zip(bundles, labels, weights, strict=True)]


def seed_folder(config: TrainConfig, seed: int) -> Path:
    """The run directory of a seed: `runs/snake-seed0` beside `runs/snake`."""
    return config.out.with_name(f"{config.out.name}-seed{seed}")


def trained_bundles(
    name: str, config: TrainConfig, seeds: Sequence[int], folder: Path
) -> list[str]:
    """The bundles of a training run per seed; those that are complete are taken as they are.

    `folder` keeps what is done, so that a run which its minutes ended is not trained further.
    Raises StageError where it was done with other settings.
    """
    stages, found = Stages(folder), []
    for seed in seeds:
        run = replace(config, seed=seed, out=seed_folder(config, seed))
        bundle = run.out / "bundle"

        def work(run: TrainConfig = run, bundle: Path = bundle) -> dict[str, str]:
            if not is_complete(run):
                train(run, load_model)
            return {"weights": weights_fingerprint(name, str(bundle))}

        stages.run(f"seed_{seed}", work, settings_of(run, FREE), bundle)
        found.append(str(bundle))
    return found


def is_complete(run: TrainConfig) -> bool:
    """Whether the bundle of a run has had all updates of its settings."""
    bundle = run.out / "bundle"
    if run.schedule != "updates" or not (bundle / "config.json").is_file():
        return False
    return read_config(bundle)["provenance"].get("updates", 0) >= run.updates
