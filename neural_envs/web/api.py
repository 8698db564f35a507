"""`POST /api/generate`: actions in, the frames of a dream out, for programs. B = 1 lane; frames are
PNG in base64.

{"world": "snake", "seed": 7, "actions": [3, 3, 0]} gives {"bundle", "world", "seed", "frames": T +
1 pictures, "rewards", "terminations", "truncations", "trust": T numbers each}. T is less than the
actions where the game ends.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from collectors.media import to_rgb
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.frames import png
from neural_envs.web.protocol import REQUEST_BYTES, Generate, MessageError, read_generate

SECONDS = 30.0  # longest time for one request


class Refusal(Exception):
    """A request that gets no frames: an HTTP status, and a sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class RateLimiter:
    """Who is being served: one request a client, `most` in all."""

    def __init__(self, most: int):
        self.most, self.clients = most, set()

    def enter(self, client: str) -> None:
        """Raises Refusal where the client, or everybody, has to wait."""
        if client in self.clients:
            raise Refusal(429, "one request at a time: your last one is still being dreamed")
        if len(self.clients) >= self.most:
            raise Refusal(
                503,
                f"busy: {self.most} requests are being dreamed, as many as there may be; try again "
                "soon",
            )
        self.clients.add(client)

    def leave(self, client: str) -> None:
        """The client has its answer."""
        self.clients.discard(client)


class CancelToken(NamedTuple):
    """How a request is given up: set where nobody waits for the answer any more."""

    given_up: threading.Event
    until: float  # of time.monotonic


def read_request(body: bytes) -> Generate:
    """The request; Refusal 413 for too long a body, 422 for a wrong one."""
    if len(body) > REQUEST_BYTES:
        raise Refusal(413, f"a request has at most {REQUEST_BYTES} bytes")
    try:
        return read_generate(body.decode())
    except (MessageError, UnicodeDecodeError) as error:
        raise Refusal(422, str(error)) from None


def generate(request: Generate, shelf: BundleCatalogue, ticket: CancelToken) -> dict[str, Any]:
    """Dream the request; Refusal 422 for what the world or the model cannot do, 503 where it takes
    too long.
    """
    from neural_envs.env import NeuralEnv

    try:
        offer = shelf.find(request.bundle, request.world or ("" if request.bundle else "snake"))
        env = NeuralEnv(shelf.borrow(offer), shelf.device, sampler_steps=request.sampler_steps)
        if request.guidance is not None:
            env.guidance = request.guidance
        _check_actions(request.actions, env.world.action_names)
    except (ValueError, OSError) as error:
        raise Refusal(422, str(error)) from None
    frame, _ = env.reset(seed=request.seed)
    frames, steps = [png(to_rgb(frame))], []
    for action in request.actions:
        if ticket.given_up.is_set() or time.monotonic() > ticket.until:
            raise Refusal(
                503,
                f"this took longer than {SECONDS:g} seconds; ask for fewer actions or sampler "
                "steps",
            )
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(png(to_rgb(frame)))
        steps.append((reward, terminated, truncated, round(info["trust"], 4)))
        if terminated or truncated:
            break
    columns = zip(
        ("rewards", "terminations", "truncations", "trust"), zip(*steps, strict=True), strict=True
    )
    head = {"bundle": offer.name, "world": offer.world, "seed": request.seed, "frames": frames}
    return head | {name: list(column) for name, column in columns}


def _check_actions(actions: tuple[int, ...], names: tuple[str, ...]) -> None:
    for i, action in enumerate(actions):
        if action >= len(names):
            known = ", ".join(f"{number} {name}" for number, name in enumerate(names))
            raise ValueError(
                f"'actions[{i}]' is {action}, which this world does not know; there are {known}"
            )
