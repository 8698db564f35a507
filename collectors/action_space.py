"""Action spaces: what an action is, as a game takes it and as models read it.

A game takes a whole number (Discrete), a row of whole numbers, one per part (MultiDiscrete,
MultiBinary), or a row of numbers within bounds (Box); so are actions recorded. Models read them
*encoded*: whole numbers from 0 on, and numbers scaled to [-1, 1]. P parts of an action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from gymnasium import spaces

MOST_PARTS, MOST_CHOICES = 256, 1024
NULL_NUMBER = 2.0  # stands for a number that is not given; numbers are in [-1, 1]
FIELDS: dict[str, set[str]] = {
    "Discrete": {"n", "start"},
    "MultiDiscrete": {"nvec", "start"},
    "MultiBinary": {"n"},
    "Box": {"low", "high"},
}


class ActionSpaceError(ValueError):
    """Actions that a dream cannot have; the message says why and what to do."""


@dataclass(frozen=True)
class ActionSpace:
    """The actions of a game. `counts` and `starts`: choices of every part, and the first one; of a
    Box instead `low` and `high`, the bounds of every part.
    """

    type: str  # as Gymnasium calls it, a key of FIELDS
    counts: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self):
        if self.is_box:
            bounds = list(zip(self.low, self.high, strict=True))
            if not all(np.isfinite(np.array(pair, np.float32)).all() for pair in bounds):
                raise ActionSpaceError(
                    f"actions from {list(self.low)} to {list(self.high)} have no bounds to scale "
                    "them by; wrap the game in gymnasium.wrappers.TransformAction(env, f, Box(low, "
                    "high)), where f makes an action of the game's of one within these bounds"
                )
            if not all(np.float32(pair[0]) < np.float32(pair[1]) for pair in bounds):
                raise ActionSpaceError("the lower bound of an action is not below its upper bound")
        elif min(self.counts, default=0) < 1 or sum(self.counts) > MOST_CHOICES:
            raise ActionSpaceError(
                f"actions have 1 to {MOST_CHOICES} choices in all, got {self.counts!s:.60}"
            )
        if not 1 <= self.parts <= MOST_PARTS:
            raise ActionSpaceError(f"an action has 1 to {MOST_PARTS} parts, got {self.parts}")

    # ------------------------------------------------------------------ from and to other forms

    @classmethod
    def discrete(cls, count: int, start: int = 0) -> Self:
        """`count` actions, the first of which is `start`."""
        return cls("Discrete", (int(count),), (int(start),))

    @classmethod
    def from_gymnasium(cls, space: spaces.Space) -> Self:
        """Raises ActionSpaceError, a sentence, for a space that has no dream."""
        if isinstance(space, spaces.Discrete):
            return cls.discrete(int(space.n), int(space.start))
        shape = space.shape or ()
        if not isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary | spaces.Box):
            raise ActionSpaceError(
                f"actions are Discrete, MultiDiscrete, MultiBinary or Box, not {space!s:.200}"
            )
        if len(shape) != 1:
            raise ActionSpaceError(
                f"actions of shape {shape} are no row of parts; flatten them with "
                "gymnasium.wrappers.TransformAction"
            )
        if isinstance(space, spaces.MultiDiscrete):
            starts = tuple(space.start.tolist())
            return cls("MultiDiscrete", tuple(space.nvec.tolist()), starts)
        if isinstance(space, spaces.MultiBinary):
            return cls("MultiBinary", (2,) * shape[0], (0,) * shape[0])
        if space.dtype is None or space.dtype.kind != "f":
            raise ActionSpaceError(f"a Box of actions holds floating-point numbers, not {space!s}")
        low, high = (bound.astype(np.float32).tolist() for bound in (space.low, space.high))
        return cls("Box", low=tuple(low), high=tuple(high))

    @classmethod
    def from_dict(cls, found: Any) -> Self:
        """Inverse of `as_dict`. Raises ActionSpaceError for anything else."""
        kind = found.get("type") if isinstance(found, Mapping) else None
        if not isinstance(kind, str) or set(found) != FIELDS.get(kind, set()) | {"type"}:
            raise ActionSpaceError(f"no description of an action space: {found!r:.100}")
        numbers = {name: found[name] for name in FIELDS.get(kind, ())}
        if kind == "Box":
            low, high = (_row(numbers[name], int, float) for name in ("low", "high"))
            if len(low) != len(high):
                raise ActionSpaceError("as many lower bounds of actions as upper ones")
            return cls(kind, low=tuple(map(float, low)), high=tuple(map(float, high)))
        if kind == "MultiDiscrete":
            counts, starts = _row(numbers["nvec"], int), _row(numbers["start"], int)
        else:
            counts, starts = _row([numbers.get("n")], int), _row([numbers.get("start", 0)], int)
            times = counts[0] if kind == "MultiBinary" else 1
            if not 1 <= times <= MOST_PARTS:
                raise ActionSpaceError(f"an action has 1 to {MOST_PARTS} parts, got {times}")
            counts, starts = (
                (counts, starts) if kind == "Discrete" else ((2,) * times, (0,) * times)
            )
        if len(counts) != len(starts) or any(abs(start) > 2**31 for start in starts):
            raise ActionSpaceError("an action space has a first choice per part, below 2**31")
        return cls(kind, tuple(counts), tuple(starts))

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Self:
        """That of a world's specification as a dictionary: its `action_space`; without one, an
        action per name.
        """
        found = spec.get("action_space")
        return cls.discrete(len(spec["action_names"])) if found is None else cls.from_dict(found)

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe, with the names that Gymnasium has for the fields."""
        if self.is_box:
            return {"type": self.type, "low": list(self.low), "high": list(self.high)}
        if self.type == "MultiBinary":
            return {"type": self.type, "n": self.parts}
        if self.type == "MultiDiscrete":
            return {"type": self.type, "nvec": list(self.counts), "start": list(self.starts)}
        return {"type": self.type, "n": self.counts[0], "start": self.starts[0]}

    def stored(self) -> int | dict[str, Any]:
        """For JSON: the number of actions where they count from 0, else as `as_dict`."""
        return self.counts[0] if self.is_plain else self.as_dict()

    @classmethod
    def from_stored(cls, found: Any) -> Self:
        """Inverse of `stored`. Raises ActionSpaceError for anything else."""
        return cls.discrete(found) if type(found) is int else cls.from_dict(found)

    def to_gymnasium(self) -> spaces.Space:
        """The space; a Box is of float32."""
        if self.is_box:
            return spaces.Box(*self._limits(), dtype=np.float32)
        if self.type == "MultiBinary":
            return spaces.MultiBinary(self.parts)
        if self.type == "MultiDiscrete":
            return spaces.MultiDiscrete(np.array(self.counts), start=np.array(self.starts))
        return spaces.Discrete(self.counts[0], start=self.starts[0])

    def encoded(self) -> Self:
        """The space of encoded actions: what learners take, who count from 0 and within [-1, 1]."""
        if self.is_box:
            return type(self)(self.type, low=(-1.0,) * self.parts, high=(1.0,) * self.parts)
        return type(self)(self.type, self.counts, (0,) * self.parts)

    # ------------------------------------------------------------------ what it is

    @property
    def is_box(self) -> bool:
        """Whether actions are numbers within bounds."""
        return self.type == "Box"

    @property
    def is_discrete(self) -> bool:
        """Whether an action is one whole number."""
        return self.type == "Discrete"

    @property
    def is_plain(self) -> bool:
        """Whether actions are the whole numbers from 0 on, so that they are encoded as they are."""
        return self.is_discrete and self.starts == (0,)

    @property
    def for_policies(self) -> int | Self:
        """What `make_policy` is given: the number of actions where they count from 0, else this."""
        return self.counts[0] if self.is_plain else self

    @property
    def parts(self) -> int:
        """P, the numbers that an action consists of."""
        return len(self.low) if self.is_box else len(self.counts)

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of one action: () of a Discrete, else (P,)."""
        return () if self.is_discrete else (self.parts,)

    @property
    def dtype(self) -> type:
        """Of recorded actions, and of encoded ones."""
        return np.float32 if self.is_box else np.int64

    @property
    def null(self) -> int | float:
        """What stands for every part of an encoded action that is not given: the null action."""
        return NULL_NUMBER if self.is_box else max(self.counts)

    def encoded_zeros(self, shape: tuple[int, ...]) -> np.ndarray:
        """Encoded actions (*shape, *row) of zeros: what stands between copies of a first frame."""
        return np.zeros((*shape, *self.row), self.dtype)

    def part_names(self, names: Sequence[str]) -> list[str]:
        """A name per choice or, of a Box, per part, from the names of a world's specification."""
        if self.is_discrete or self.is_box:
            return list(names)
        return [
            f"{name}={choice}"
            for name, count, start in zip(names, self.counts, self.starts, strict=True)
            for choice in range(start, start + count)
        ]

    def spec_fields(self, names: Sequence[str] = ()) -> dict[str, Any]:
        """What a world's specification says of its actions: `action_names`, the given ones where
        they are as many as it has, and `action_space` unless actions are plain.
        """
        count = self.counts[0] if self.is_discrete else self.parts
        first = self.starts[0] if self.is_discrete else 0
        fit = len(names) == count
        fields: dict[str, Any] = {
            "action_names": list(names) if fit else [str(first + i) for i in range(count)]
        }
        return fields if self.is_plain else {**fields, "action_space": self.as_dict()}

    # ------------------------------------------------------------------ actions

    def holds(self, actions: np.ndarray) -> bool:
        """Whether all of these actions (..., *row), of a fitting type, are in the space."""
        low, high = self._limits()
        return bool(((actions >= low) & (actions <= high)).all())

    def holds_encoded(self, encoded: np.ndarray) -> bool:
        """Whether all of these encoded actions (..., *row), of any type, are in the space."""
        if encoded.dtype.kind not in ("f" if self.is_box else "iu"):
            return False
        low, high = (-1, 1) if self.is_box else (0, np.array(self.counts).reshape(self.row) - 1)
        return bool(((encoded >= low) & (encoded <= high)).all())

    def clip(self, actions: np.ndarray) -> np.ndarray:
        """The nearest actions of the space; what is no number becomes the lowest."""
        low, high = self._limits()
        return np.clip(np.where(np.isnan(actions), low, actions), low, high).astype(self.dtype)

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., *row) as a game takes them -> as models read them, int64 or float32."""
        low, high = self._limits()
        if self.is_box:
            return np.clip(2 * (actions - low) / (high - low) - 1, -1, 1).astype(np.float32)
        return actions.astype(np.int64) - low

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Inverse of `encode`; numbers beyond [-1, 1] become the bounds."""
        low, high = self._limits()
        if self.is_box:
            share = (np.clip(encoded, -1, 1) + 1) / 2
            return np.clip(low + share * (high - low), low, high).astype(np.float32)
        return encoded.astype(np.int64) + low

    def draw(self, generator: np.random.Generator) -> Any:
        """A random action as a game takes it: an int of a Discrete, else an array (P,)."""
        if self.is_discrete:
            return int(generator.integers(self.counts[0])) + self.starts[0]
        return self.decode(self.draw_encoded(generator, ()))

    def draw_encoded(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Random encoded actions (*shape, *row)."""
        if self.is_discrete:
            return generator.integers(self.counts[0], size=shape)
        if self.is_box:
            return generator.uniform(-1, 1, (*shape, self.parts)).astype(np.float32)
        return generator.integers(np.array(self.counts), size=(*shape, self.parts))

    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest value of every part; of a Discrete numbers without an axis."""
        if self.is_box:
            return np.array(self.low, np.float32), np.array(self.high, np.float32)
        low = np.array(self.starts).reshape(self.row)
        return low, low + np.array(self.counts).reshape(self.row) - 1

    def __str__(self) -> str:
        return str(self.to_gymnasium())


def zero_unless(known: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Encoded actions (..., *row) with zeros where the mask (...) bool is False."""
    return actions * known.reshape(*known.shape, *[1] * (actions.ndim - known.ndim))


def _row(values: Any, *types: type) -> list:
    """The list itself. Raises ActionSpaceError unless its values are of exactly these types."""
    fits = isinstance(values, list | tuple) and 1 <= len(values) <= MOST_PARTS
    if not fits or not all(type(value) in types for value in values):
        raise ActionSpaceError(f"an action space is described by numbers, got {values!r:.100}")
    return list(values)
