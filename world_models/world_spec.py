"""What a game looks like from outside."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

from collectors.action_space import ActionSpace


@dataclass(frozen=True)
class WorldSpec:
    """What a game looks like from outside; equal for the real game and for its dreams."""

    world: str
    frame_shape: tuple[int, int, int]  # H, W, C
    action_names: tuple[str, ...]
    reward_values: tuple[float, ...]  # the distinct rewards, increasing; the reward head's classes
    fps: int
    max_episode_steps: int
    # those of reward_values after which a game is always over
    final_rewards: tuple[float, ...] = ()
    # None: one action per name, numbered from 0; where an action has parts, names are theirs
    action_space: ActionSpace | None = None

    @cached_property  # as every step of an environment asks
    def actions(self) -> ActionSpace:
        """What actions the game takes, and how models read them."""
        return self.action_space or ActionSpace.discrete(len(self.action_names))

    @property
    def action_inputs(self) -> int | ActionSpace:
        """What networks are built for: the number of actions of a Discrete space, else the space,
        whose actions have parts. See `networks.actions`.
        """
        return self.actions.counts[0] if self.actions.is_discrete else self.actions

    @property
    def null_action(self) -> int | float:
        """What stands for every part of an encoded action that is not given."""
        return self.actions.null

    @property
    def actions_in_words(self) -> str:
        """As "4 actions", or the space where actions have parts."""
        known = self.actions.is_discrete
        return f"{len(self.action_names)} actions" if known else f"{self.actions} actions"

    def discrete_count(self, what: str) -> int:
        """The number of actions. Raises ValueError, a sentence that begins with `what`, where
        actions have parts.
        """
        if not self.actions.is_discrete:
            raise ValueError(f"{what} needs Discrete actions; {self.world} has {self.actions}")
        return self.actions.counts[0]

    def patch_grid(self, patch: int) -> tuple[int, int]:
        """Rows and columns of square patches; raises ValueError
        that names the sizes near `patch` that fit.
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
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "action_space"}
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        own = self.action_space  # left out where there is none, as before there were others
        return found if own is None else {**found, "action_space": own.as_dict()}

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
        if arguments.get("action_space") is not None:
            arguments["action_space"] = ActionSpace.from_dict(arguments["action_space"])
        return cls(**arguments)
