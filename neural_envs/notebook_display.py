"""How an environment shows itself: in a Python prompt by text, in a notebook by its frames."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium

from collectors.media import png, tile, to_rgb

NOTEBOOK_SCALE = 3  # screen pixels per pixel of a frame
NAMED = 8  # lanes whose step is shown


class DisplayMixin:
    """`__repr__` and `_repr_png_` of the environments; render() returns arrays, as in Gymnasium."""

    @property
    def _shown_dream(self) -> Any:
        """The vector environment whose lanes are shown: itself, or the batch of one inside."""
        return self

    def __repr__(self) -> str:
        dream = self._shown_dream
        lanes = f"{dream.num_envs}, " if dream is self else ""
        steps = [] if dream._state is None else dream._state.elapsed.tolist()
        more = ", ..." if len(steps) > NAMED else ""
        at = f"step {', '.join(map(str, steps[:NAMED]))}{more}" if steps else "not reset yet"
        about = (
            f"bundle={dream.simulator.name!r}, world={dream.world.world!r}, device='{dream.device}'"
        )
        return f"<{type(self).__name__}({lanes}{about}), {at}>"

    def _repr_png_(self) -> bytes | None:
        """The current frames of all lanes as PNG; None before the first reset."""
        dream = self._shown_dream
        if dream._state is None:
            return None
        return png(tile(to_rgb(dream._state.frame.cpu().numpy())), NOTEBOOK_SCALE)


def show_in_notebooks() -> None:
    """In IPython: a wrapped environment, as gym.make returns it, shows the picture of its dream."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(gymnasium.Wrapper, wrapped_png)


def wrapped_png(env: gymnasium.Wrapper) -> bytes | None:
    """The current frame of a wrapped dream as PNG; None for another game and before a reset."""
    inner = env.unwrapped
    return inner._repr_png_() if isinstance(inner, DisplayMixin) else None
