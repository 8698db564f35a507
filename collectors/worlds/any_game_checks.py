"""What the games of others give, checked: rewards, images, and errors of their own.

A game that breaks ends in a sentence with its own words, not in lines of code that are not the
user's; and what no dream can be trained on is refused in the step that gave it.
"""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from collectors.spec_checks import MOST_FPS
from collectors.worlds.any_game_images import AnyGameError

MOST_REWARD = 1e30  # as in `spec_checks`; more is no number of float32 soon
MOST_OWN_STEPS = 100_000  # a longer episode does not fit the memory
# whose lines say nothing of what a game did
LIBRARIES = tuple(str(Path(file).parent) for file in (gymnasium.__file__, np.__file__))
OURS = str(Path(__file__).parents[1])


@contextlib.contextmanager
def in_game(name: str, where: str) -> Iterator[None]:
    """Raises AnyGameError, a sentence, for what the game raises there; errors that are
    Gymnasium's own, such as ResetNeeded, stay.
    """
    try:
        yield
    except gymnasium.error.Error:
        raise
    except Exception as error:
        about = f"{type(error).__name__}: {error}".rstrip(": ")
        raise AnyGameError(f"{name} broke in {where}: {about}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Where in the game's own code it was raised, " (file.py, line 7)"; "" where nowhere."""
    own = [
        row
        for row in traceback.extract_tb(error.__traceback__)
        if not row.filename.startswith((OURS, *LIBRARIES, contextlib.__file__))
    ]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def fields(given: Any, expected: str, name: str, where: str) -> tuple[Any, ...]:
    """What `reset` or `step` gave, as many values as `expected` names. Raises AnyGameError."""
    names = expected.split(", ")
    if isinstance(given, tuple) and len(given) == len(names):
        return given
    count = len(given) if isinstance(given, tuple) else 1
    raise AnyGameError(
        f"{where} of {name} gives {count} value{'s' * (count != 1)}, not {expected}: it is a game "
        "for the older Gym; change what it returns"
    )


def number_of(reward: Any, signs: bool, name: str, step: int) -> float:
    """A reward as a number, or its sign. Raises AnyGameError for one that no model can learn."""
    try:
        number = float(np.asarray(reward, np.float64).item())
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise AnyGameError(
            f"{name} gave the reward {reward!r:.60} in step {step}; a reward is one finite number: "
            "mend the game, or wrap it"
        )
    if not signs and abs(number) >= MOST_REWARD:
        raise AnyGameError(
            f"{name} gave the reward {reward!r:.60} in step {step}, more than a model can learn; "
            "take the signs of rewards, --options reward=sign"
        )
    return float(np.sign(number)) if signs else number


def image_of(found: Any, rendered: bool, name: str) -> np.ndarray:
    """An image (H, W), (H, W, 1) or (H, W, 3) in uint8. What is rendered may have a fourth channel,
    how opaque it is, which is left out. Raises AnyGameError for anything else.
    """
    whose = f"render() of {name} gave" if rendered else f"{name} observed"
    try:
        image = np.asarray(found)
    except ValueError:  # rows of several lengths
        image = np.asarray(None)
    if rendered and image.ndim == 3 and image.shape[2] == 4:
        image = image[..., :3]
    flat = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if image.dtype.kind not in "iu" or not flat or not image.size:
        form = f"{image.dtype} {image.shape}" if image.dtype != object else type(found).__name__
        raise AnyGameError(
            f"{whose} {form}, which is no image: (height, width, 3) or (height, width) in uint8, "
            "from 0 to 255"
        )
    if image.dtype != np.uint8 and (image.min() < 0 or image.max() > 255):
        raise AnyGameError(f"{whose} an image from {image.min()} to {image.max()}, not 0 to 255")
    return image.astype(np.uint8, copy=False)


def fps_of(metadata: dict[str, Any]) -> int:
    """The steps per second that a game names, a whole number within what a file may say; 30 where
    it names none.
    """
    try:
        found = round(float(metadata.get("render_fps") or 30))
    except (TypeError, ValueError, OverflowError):
        return 30
    return min(max(found, 1), MOST_FPS)


def limit_of(game: gymnasium.Env, default: int) -> int:
    """The game's own limit of steps; `default` where it has none, or none that an episode in
    memory could reach.
    """
    own = (game.spec.max_episode_steps if game.spec else None) or 0
    return own if 0 < own <= MOST_OWN_STEPS else default
