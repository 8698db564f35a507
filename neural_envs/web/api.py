"""`POST /api/generate`: actions in, the frames of a dream out, for programs. B = 1 lane; frames are
PNG in base64.

{"world": "snake", "seed": 7, "actions": [3, 3, 0]} gives {"bundle", "world", "seed", "frames": T +
1 images, "rewards", "terminations", "truncations", "trust": T numbers each}. T is less than the
number of actions where the game ends. Actions in parts are lists of numbers, [[0.5, -1], ...].
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from collectors.media import to_rgb
from collectors.worlds.lane_arguments import check_in_space
from neural_envs.play.twins import DEFAULT_WORLD
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.frames import png
from neural_envs.web.limits import SLICE_SECONDS, Refusal, public
from neural_envs.web.protocol import REQUEST_BYTES, Generate, MessageError, read_generate

if TYPE_CHECKING:
    from neural_envs.env import NeuralEnv
    from world_models.world_spec import WorldSpec

MAX_SECONDS = 30.0  # for one request, its waiting included


def read_request(body: bytes) -> Generate:
    """The request; Refusal 413 for too long a body, 422 for a wrong one."""
    if len(body) > REQUEST_BYTES:
        raise Refusal(413, f"a request has at most {REQUEST_BYTES} bytes")
    try:
        return read_generate(body.decode())
    except (MessageError, UnicodeDecodeError) as error:
        raise Refusal(422, str(error)) from None


class GenerateJob:
    """The dream of one request, made in turns on worker threads.

    `deadline` is a time of time.monotonic. Raises Refusal 422 where there is no such bundle.
    """

    def __init__(self, request: Generate, catalogue: BundleCatalogue, deadline: float):
        self.request, self.catalogue, self.deadline = request, catalogue, deadline
        world = request.world or ("" if request.bundle else DEFAULT_WORLD)
        try:
            self.info = catalogue.find(request.bundle, world)
        except ValueError as error:
            raise Refusal(422, public(error)) from None
        self.env: NeuralEnv | None = None
        self.frames: list[str] = []  # PNG in base64
        self.steps: list[tuple[float, bool, bool, float]] = []
        self.done = False

    async def load(self) -> None:
        """Wait for the bundle, on no worker thread. Refusal 422 where it cannot be loaded."""
        try:
            await asyncio.wrap_future(self.catalogue.loading(self.info))
        except (ValueError, OSError) as error:
            raise Refusal(422, public(error)) from None

    def advance(self) -> bool:
        """Work for about `SLICE_SECONDS`; whether it is done.

        Raises Refusal 422 for what the world or the model cannot do, 503 after the deadline.
        """
        end = time.monotonic() + SLICE_SECONDS
        while not self.done and time.monotonic() < end:
            if time.monotonic() > self.deadline:
                raise too_long()
            self._step()
        return self.done

    def result(self) -> dict[str, Any]:
        """The answer."""
        names = ("rewards", "terminations", "truncations", "trust")
        columns = zip(names, zip(*self.steps, strict=True), strict=True)
        return {
            "bundle": self.info.name,
            "world": self.info.world,
            "seed": self.request.seed,
            "frames": self.frames,
            **{name: list(column) for name, column in columns},
        }

    def _step(self) -> None:
        """The start, or one more frame."""
        if self.env is None:
            self.env = self._start()
            return
        frame, reward, terminated, truncated, info = self.env.step(
            self.request.actions[len(self.steps)]
        )
        self.frames.append(png(to_rgb(frame)))
        self.steps.append((float(reward), terminated, truncated, round(info["trust"], 4)))
        self.done = terminated or truncated or len(self.steps) == len(self.request.actions)

    def _start(self) -> NeuralEnv:
        from neural_envs.env import NeuralEnv

        request = self.request
        try:
            names = ("sampler_steps", "guidance", "temperature")
            options = {name: getattr(request, name) for name in names}
            env = NeuralEnv(self.catalogue.load(self.info), self.catalogue.device, **options)
            _check_actions(request.actions, env.world)
        except (ValueError, OSError) as error:
            raise Refusal(422, public(error)) from None
        frame, _ = env.reset(seed=request.seed)
        self.frames.append(png(to_rgb(frame)))
        return env


def too_long() -> Refusal:
    """The refusal of a request that took its time."""
    return Refusal(
        503,
        f"this took longer than {MAX_SECONDS:g} seconds; ask for fewer actions or sampler steps, "
        "or at a quieter time",
    )


def _check_actions(actions: tuple[Any, ...], world: WorldSpec) -> None:
    names = world.action_names
    for i, action in enumerate(actions):
        if not world.actions.is_plain:
            try:
                check_in_space(action, world.actions, names)
            except ValueError as error:
                raise ValueError(f"'actions[{i}]': {error}") from None
        elif not isinstance(action, int) or not 0 <= action < len(names):
            known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
            raise ValueError(
                f"'actions[{i}]' is {action}, which this world does not know; there are {known}"
            )
