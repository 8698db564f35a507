"""The trained agents that a server was started with: players on the page, by short names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_envs.play.session import Policy
    from neural_envs.play.twins import AgentMaker

LONGEST = 34  # characters of a name; the page may send 40


class AgentList:
    """Policy files, and `make`, which makes their agents. A page names none but these."""

    def __init__(self, files: Sequence[str] = (), make: AgentMaker | None = None):
        self._make, self.files = make, {}
        for file in files:
            stem = name = f"agent {Path(file).resolve().parent.name}"[:LONGEST]
            number = 1
            while name in self.files:
                number += 1
                name = f"{stem} {number}"
            self.files[name] = file

    def names(self, actions: Any, world: str) -> list[str]:
        """The agents that can play a world. Raises OSError for a file that has gone."""
        return [name for name in self.files if self._fits(name, actions, world)]

    def make(self, name: str, actions: Any, world: str) -> Policy:
        """The agent of that name. Raises ValueError for one of another game."""
        assert self._make is not None, "a list with files has their maker"
        return self._make(self.files[name], actions, world)

    def _fits(self, name: str, actions: Any, world: str) -> bool:
        try:
            self.make(name, actions, world)
        except ValueError:
            return False
        return True
