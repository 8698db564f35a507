"""What `neural-envs evaluate` refuses before it dreams: players, held-out episodes, real game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import gymnasium as gym

from agents.envs import bundle_spec, env_id, env_settings
from agents.ppo.player import AgentPolicy
from collectors.dataset.dataset import Dataset
from collectors.policies.policies import make_policy
from collectors.worlds.registration import unknown_option
from collectors.worlds.table import WORLDS
from neural_envs.bundles import checked_device
from world_models.bundles.bundle import Bundle
from world_models.evaluation.evaluation import check_same_game
from world_models.evaluation.test_split import SplitReader
from world_models.protocols import WorldSpec

if TYPE_CHECKING:
    from agents.evaluation.evaluate_config import EvaluateConfig


def check_before_loading(config: EvaluateConfig) -> None:
    """Raises ValueError for a device that is not here, and for an agent that would not play."""
    checked_device(config.device)
    ranked = [name for name in config.agents if name != config.policy]
    if ranked and not config.ranking:
        raise ValueError(
            f"--policies {ranked[0]} is an agent to rank, and nothing is ranked (--quick, or "
            f"--no-ranking); --policy {ranked[0]} plays whole games"
        )


def check_named_game(world: str, named: str) -> None:
    """Raises ValueError where `named`, an id, is another game than that of a bundle's world."""
    own = WORLDS[world].real_id if world in WORLDS else world
    if named and named.rpartition(":")[2] != own.rpartition(":")[2]:
        raise ValueError(f"--real {named} is not the game of this bundle, {own}; leave --real out")


def check_before_dreaming(
    config: EvaluateConfig, bundle: Bundle, dataset: Dataset, names: Sequence[str]
) -> None:
    """Raises ValueError for a dataset or a real game of another kind than the bundle's, for a
    split without episodes, and for unknown `names` of policies; what a policy's file raises.
    """
    spec = bundle.model.spec
    check_same_game(spec, dataset)
    for split in ("test", "train"):
        SplitReader(dataset, bundle.model.context_length, split)
    for name in names:
        make_policy(name, spec.actions.for_policies, world=WORLDS.get(spec.world))
    for file in config.agents:
        AgentPolicy(file, spec.actions.for_policies, spec.world)
    if config.game or config.ranking or config.decision_states:
        instead = "--no-game --no-ranking --decision-states 0"
        check_real_game(spec, str(bundle.path), config.real, config.real_options, instead)


def check_real_game(
    spec: WorldSpec, bundle: str, named: str, options: Sequence[str], instead: str = ""
) -> None:
    """Raises ValueError where the real game that is played has other frames or actions than the
    bundle dreams; `instead`: which options do without the game.
    """
    world, row = spec.world, WORLDS.get(spec.world)
    if row is None and not named:
        return  # no game is imported because a bundle says so
    identifier = env_id(world, "real", None if row else bundle)
    settings = env_settings(world, "real", None if row else bundle, options)
    try:
        game = gym.make(identifier, disable_env_checker=True, **settings)
    except gym.error.DependencyNotInstalled:
        return  # what needs the game is left out, and says so
    except TypeError as error:
        reason = unknown_option(identifier, settings) or str(error)
        raise ValueError(f"the real game cannot be made: {reason}") from error
    frames, actions = game.observation_space.shape, game.action_space
    game.close()
    remedy = "give --real-options as they were when its data were collected"
    remedy += f", or {instead}" if instead else ""
    if frames != spec.frame_shape:
        raise ValueError(
            f"the real game has frames {frames}, the bundle {spec.frame_shape}; {remedy}"
        )
    if actions != spec.actions.to_gymnasium():
        ours = spec.actions.to_gymnasium()
        raise ValueError(f"the real game has actions {actions}, the bundle {ours}; {remedy}")


def check_dream_of(game: str, bundle: str, options: Sequence[str], instead: str = "") -> None:
    """The same for a bundle by its name or path, and the game that it is a dream of."""
    check_real_game(WorldSpec.from_dict(bundle_spec(bundle)), bundle, game, options, instead)
