"""Policies of the corridor. They see frames only, so they play dreams as well."""

import numpy as np

from collectors.policies.policies import (
    EpsilonPolicy,
    Generator,
    Maker,
    MixturePolicy,
    Policy,
    RandomPolicy,
)


def places(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (B,) of the walker and of the lamp in frames (B, 16, 16, 3) uint8."""
    bright = frames[:, :, ::2].astype(np.int64)
    return bright[:, 8, :, 0].argmax(1), bright[:, 4, :, 1].argmax(1)


class Walk(Policy):
    """Goes straight to the lamp that the frame shows."""

    name = "walk"

    def reset(self, generator: Generator) -> None:
        pass

    def __call__(self, observation: np.ndarray) -> int:
        walker, lamp = places(observation[None])
        return int(np.sign(lamp - walker)[0]) + 1


def walk(number: str, actions: int) -> Policy:
    """walk[:noise], with a share of random actions."""
    return EpsilonPolicy(Walk(), float(number), actions) if number else Walk()


def mix(number: str, actions: int) -> Policy:
    """What `collect` plays: random and straight walks."""
    return MixturePolicy([RandomPolicy(actions), Walk()], [1, 1])


MAKERS: dict[str, Maker] = {"walk": walk, "mix": mix}
