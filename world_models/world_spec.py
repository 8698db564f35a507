"""What a game looks like from outside."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class WorldSpec:
    """What a game looks like from outside; equal for the real game and for its dreams."""

    world: str
    frame_shape: tuple[int, int, int]  # H, W, C
    action_names: tuple[str, ...]
    reward_values: tuple[float, ...]  # the distinct rewards, increasing; the reward head's classes
    fps: int
    max_episode_steps: int
    final_rewards: tuple[
        float, ...
    ] = ()  # those of reward_values after which a game is always over

    def patch_grid(self, patch: int) -> tuple[int, int]:
        """Rows and columns of square patches; raises ValueError that names the sizes near `patch`
        that fit.
        """
        height, width, _ = self.frame_shape
        if height % patch or width % patch:
            fit = [
                size
                for size in range(1, min(height, width) + 1)
                if height % size == width % size == 0
            ]
            near = sorted(sorted(fit, key=lambda size: abs(size - patch))[:3])
            raise ValueError(
                f"frames of {height}x{width} pixels do not divide into patches of {patch}; "
                f"patches of {', '.join(map(str, near))} fit"
            )
        return height // patch, width // patch

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe form (tuples become lists)."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorldSpec:
        """Inverse of `as_dict`; raises ValueError that names missing or unknown keys."""
        names = {f.name for f in fields(cls)}
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        if not needed <= set(values) <= names:
            missing, unknown = sorted(needed - set(values)), sorted(set(values) - names)
            raise ValueError(f"world spec: missing {missing}, unknown {unknown}")
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**arguments)


MOST_PIXELS, MOST_CHANNELS, MOST_ACTIONS, MOST_REWARDS = 2**20, 64, 1024, 1024
MOST_LETTERS = 200


def check_spec(spec: WorldSpec) -> None:
    """Raises ValueError, a sentence, for a spec of a file whose types or ranges are wrong."""
    shape, names = spec.frame_shape, spec.action_names
    if not (_are(shape, int) and len(shape) == 3 and min(shape) >= 1):
        raise ValueError(f"frame_shape is three whole numbers, got {shape!r:.60}")
    if shape[0] * shape[1] > MOST_PIXELS or shape[2] > MOST_CHANNELS:
        raise ValueError(f"frames of {shape} are larger than a game's can be")
    if not (_are(names, str) and 1 <= len(names) <= MOST_ACTIONS):
        raise ValueError(f"action_names are 1 to {MOST_ACTIONS} names, got {names!r:.60}")
    if any(len(text) > MOST_LETTERS for text in (*names, spec.world) if isinstance(text, str)):
        raise ValueError(f"a name is longer than {MOST_LETTERS} letters")
    if not isinstance(spec.world, str):
        raise ValueError(f"world is a name, got {spec.world!r:.60}")
    for name in ("reward_values", "final_rewards"):
        values = getattr(spec, name)
        if not (_are(values, int, float) and len(values) <= MOST_REWARDS):
            raise ValueError(f"{name} are at most {MOST_REWARDS} numbers, got {values!r:.60}")
        if not all(abs(value) < 1e30 for value in values):
            raise ValueError(f"{name} are finite numbers, got {values!r:.60}")
    if not spec.reward_values or list(spec.reward_values) != sorted(set(spec.reward_values)):
        raise ValueError("reward_values are distinct and increasing, and there is at least one")
    for name, most in (("fps", 1000), ("max_episode_steps", 2**31)):
        value = getattr(spec, name)
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"{name} is a whole number from 1 to {most}, got {value!r:.60}")


def _are(values: Any, *types: type) -> bool:
    """Whether this is a tuple of values of exactly these types."""
    return isinstance(values, tuple) and all(type(value) in types for value in values)
