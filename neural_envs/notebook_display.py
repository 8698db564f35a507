"""How an environment shows itself: in a Python prompt by text, in a notebook by its frames."""

from __future__ import annotations

from typing import Any

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
