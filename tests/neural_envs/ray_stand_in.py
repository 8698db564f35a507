"""As much of Ray as `RayVectorEnv` calls, in this process.

What crosses a border is pickled, as there.
"""

from __future__ import annotations

import pickle
import types
from typing import Any

import numpy as np


class RayActorError(Exception):
    """An actor is gone."""


class RayTaskError(Exception):
    """A call failed; `cause` is what it raised."""

    def __init__(self, cause: Exception):
        super().__init__(repr(cause))
        self.cause = cause


class _Actor:
    def __init__(self, cls: type):
        self._instance, self._gone = cls(), False

    def __getattr__(self, method: str) -> Any:
        return types.SimpleNamespace(remote=lambda *words: self._call(method, words))

    def _call(self, method: str, words: tuple) -> Any:
        """A reference: a function that gives or raises."""
        if self._gone:
            return lambda: _raise(
                RayActorError("The actor died unexpectedly before finishing this task.")
            )
        try:
            answer = pickle.dumps(
                getattr(self._instance, method)(*pickle.loads(pickle.dumps(words)))
            )
        except Exception as error:
            cause = error
            return lambda: _raise(RayTaskError(cause))
        return lambda: _locked(pickle.loads(answer))


def _raise(error: Exception) -> None:
    raise error


def _locked(value: Any) -> Any:
    """Arrays out of Ray's store cannot be written on."""
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    ):
        _locked(part)
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


class _Class:
    def __init__(self, cls: type, made: list[_Actor]):
        self._cls, self._made = cls, made

    def options(self, **words: Any) -> _Class:
        return self

    def remote(self) -> _Actor:
        self._made.append(_Actor(self._cls))
        return self._made[-1]


def stand_in(processors: int) -> types.SimpleNamespace:
    """What `import ray` gives: a cluster that is connected already; each actor takes a
    processor.
    """
    made: list[_Actor] = []
    return types.SimpleNamespace(
        exceptions=types.SimpleNamespace(RayActorError=RayActorError, RayTaskError=RayTaskError),
        is_initialized=lambda: True,
        cluster_resources=lambda: {"CPU": processors},
        available_resources=lambda: {"CPU": processors - sum(not actor._gone for actor in made)},
        remote=lambda cls: _Class(cls, made),
        get=lambda reference: reference(),
        kill=lambda actor: setattr(actor, "_gone", True),
    )
