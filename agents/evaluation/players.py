"""Who plays whole games for `evaluate`: players from random to the best, by name.

L lanes, A actions.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from agents.evaluation.play import Agent, make_agent
from collectors.action_space import ActionSpace
from collectors.policies.equivalent_keys import EquivalentKeys, equivalent_keys_of
from collectors.policies.policies import make_policy, makers_of
from collectors.worlds.table import WORLDS

EQUIVALENT = "equivalent"  # the policy of worlds whose row names equivalent keys
NOISE = 0.6  # share of random actions of the noisy player
AGENT = "agent-"  # before the name of a trained agent's folder
STICKY = "sticky"  # the best that is known of a game without a row
MakePlayer = Callable[[int], Agent]  # lanes -> the player of so many


class NoisyAgent:
    """Plays at random with probability `share`, else as `inner`."""

    def __init__(self, inner: Agent, share: float, actions: int, seed: int):
        self.inner, self.share, self.actions = inner, share, actions
        self.generator = np.random.default_rng(seed)

    def reset(self, lanes: np.ndarray) -> None:
        self.inner.reset(lanes)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        chosen, lanes = self.inner(observations), len(observations)
        drawn = self.generator.integers(self.actions, size=lanes)
        return np.where(self.generator.random(lanes) < self.share, drawn, chosen)


class EquivalentKeyAgent:
    """Plays as `inner`; `met` counts the actions for which there was another key of the same
    effect. A player that never meets one plays as the best, whatever it would have pressed.
    """

    def __init__(self, inner: Agent, keys: EquivalentKeys):
        self.inner, self.keys, self.met = inner, keys, 0

    def reset(self, lanes: np.ndarray) -> None:
        self.inner.reset(lanes)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        actions = self.inner(observations)
        effects = self.keys(observations)  # (L, A)
        alike = effects == effects[np.arange(len(actions)), actions][:, None]
        self.met += int((alike.sum(1) > 1).sum())
        return actions


def best_player(world: str) -> str:
    """The best scripted policy of a world; of a game without a row one that sticks to its keys."""
    return WORLDS[world].best_policy if world in WORLDS else STICKY


def make_players(
    world: str, actions: int | ActionSpace, policy_file: str, seed: int, every: bool = True
) -> dict[str, MakePlayer]:
    """The players of a game, by name: random, its best with 60 % random moves where the table of
    worlds has a row for it, one that presses equivalent and ignored keys where it has such, the
    best, and an agent. Without `every` only random, the best and the agent.

    Raises PolicyFileError for a file that holds no policy.
    """
    best, keys = best_player(world), equivalent_keys_of(world)

    def scripted(name: str, lanes: int) -> Agent:
        return make_agent(make_policy(name, actions, world=WORLDS.get(world)), lanes, seed)

    players: dict[str, MakePlayer] = {"random": lambda lanes: scripted("random", lanes)}
    if every and world in WORLDS and isinstance(actions, int):
        players[f"{best}+random"] = lambda lanes: NoisyAgent(
            scripted(best, lanes), NOISE, actions, seed
        )
    if every and keys is not None and EQUIVALENT in makers_of(world):
        players[EQUIVALENT] = lambda lanes: EquivalentKeyAgent(scripted(EQUIVALENT, lanes), keys)
    players[best] = lambda lanes: scripted(best, lanes)
    if policy_file:
        from agents.ppo.policy_file import read_policy  # scripted players need no PPO

        model = read_policy(policy_file)
        own = ActionSpace.discrete(actions) if isinstance(actions, int) else actions
        players[f"{AGENT}{Path(policy_file).parent.name}"] = lambda lanes: make_agent(
            model, lanes, seed, space=own.to_gymnasium()
        )
    return players
