"""`POST /api/generate`: actions in, the frames of a dream out, for programs. B = 1 lane; frames are
PNG in base64.

{"world": "snake", "seed": 7, "actions": [3, 3, 0]} gives {"bundle", "world", "seed", "frames": T +
1 images, "rewards", "terminations", "truncations", "trust": T numbers each}. T is less than the
number of actions where the game ends.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from collectors.media import to_rgb
from neural_envs.play.twins import DEFAULT_WORLD
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.frames import png
from neural_envs.web.protocol import REQUEST_BYTES, Generate, MessageError, read_generate

MAX_SECONDS = 30.0  # for one request


class Refusal(Exception):
    """A request that gets no frames: an HTTP status, and a sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class RateLimiter:
    """The clients that are being served: one request per client, `limit` in all."""

    def __init__(self, limit: int):
        self.limit = limit
        self.clients: set[str] = set()

    def enter(self, client: str) -> None:
        """Raises Refusal where the client, or everybody, has to wait."""
        if client in self.clients:
            raise Refusal(429, "one request at a time: your last one is still being dreamed")
        if len(self.clients) >= self.limit:
            raise Refusal(
                503,
                f"busy: {self.limit} requests are being dreamed, as many as there may be; try "
                "again soon",
            )
        self.clients.add(client)

    def leave(self, client: str) -> None:
        """The client has its answer."""
        self.clients.discard(client)


class CancelToken(NamedTuple):
    """How a request is cancelled: by setting the event, or by time."""

    cancelled: threading.Event
    deadline: float  # of time.monotonic

    @property
    def expired(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.cancelled.is_set() or time.monotonic() > self.deadline


def read_request(body: bytes) -> Generate:
    """The request; Refusal 413 for too long a body, 422 for a wrong one."""
    if len(body) > REQUEST_BYTES:
        raise Refusal(413, f"a request has at most {REQUEST_BYTES} bytes")
    try:
        return read_generate(body.decode())
    except (MessageError, UnicodeDecodeError) as error:
        raise Refusal(422, str(error)) from None


def generate(request: Generate, catalogue: BundleCatalogue, token: CancelToken) -> dict[str, Any]:
    """Dream the request. Refusal 422 for what the world or the model cannot do, 503 where it takes
    too long.
    """
    from neural_envs.env import NeuralEnv

    try:
        world = request.world or ("" if request.bundle else DEFAULT_WORLD)
        info = catalogue.find(request.bundle, world)
        options = {"sampler_steps": request.sampler_steps, "guidance": request.guidance}
        env = NeuralEnv(catalogue.load(info), catalogue.device, **options)
        _check_actions(request.actions, env.world.action_names)
    except (ValueError, OSError) as error:
        raise Refusal(422, str(error)) from None
    frame, _ = env.reset(seed=request.seed)
    frames, steps = [png(to_rgb(frame))], []
    for action in request.actions:
        if token.expired:
            limit = f"this took longer than {MAX_SECONDS:g} seconds"
            raise Refusal(503, f"{limit}; ask for fewer actions or sampler steps")
        frame, reward, terminated, truncated, info_ = env.step(action)
        frames.append(png(to_rgb(frame)))
        steps.append((reward, terminated, truncated, round(info_["trust"], 4)))
        if terminated or truncated:
            break
    names = ("rewards", "terminations", "truncations", "trust")
    columns = zip(names, zip(*steps, strict=True), strict=True)
    return {
        "bundle": info.name,
        "world": info.world,
        "seed": request.seed,
        "frames": frames,
        **{name: list(column) for name, column in columns},
    }


def _check_actions(actions: tuple[int, ...], names: tuple[str, ...]) -> None:
    for i, action in enumerate(actions):
        if action >= len(names):
            known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
            raise ValueError(
                f"'actions[{i}]' is {action}, which this world does not know; there are {known}"
            )
