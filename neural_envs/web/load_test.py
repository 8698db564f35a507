"""How many connections one machine carries: `neural-envs serve --load-test 1,2,4,8`.

The server runs in a process of its own, as it does for people. This process opens so many
connections at once, each with a game of Pong (which goes on without a key) at `TARGET_FPS`, and
counts the steps whose frames arrive.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

from collectors.files import write_atomically
from neural_envs.web.config import ServeConfig
from neural_envs.web.frames import unpack_views
from neural_envs.web.server import cores

TARGET_FPS = 15.0  # that each connection asks for
ENOUGH_FPS = 14.0  # what counts as having got them
BUNDLE = "pong"
WARM_UP = 3.0  # seconds


def measure(config: ServeConfig) -> str:
    """Write the frames per second that connections get to `config.out`; the result as text.

    Raises OSError where the server does not start.
    """
    process = _server(config)
    try:
        words = process.stdout.readline().split() if process.stdout else []
        if len(words) < 2:
            raise OSError("the server to be measured did not start")
        counts = config.load_test
        rows = [asyncio.run(_measured(words[1], count, config.seconds)) for count in counts]
    finally:
        process.terminate()
        process.wait()
    facts = {
        "target_fps": TARGET_FPS,
        "bundle": BUNDLE,
        "cores": cores(),
        "seconds": config.seconds,
    }
    write_atomically(config.out, json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    carried = [row["connections"] for row in rows if row["least"] >= ENOUGH_FPS]
    lines = [
        f"{BUNDLE} at {TARGET_FPS:g} frames/s per connection, {facts['cores']} cores, pages and "
        "server on the same machine",
        "connections  frames/s each (least)   load of the machine before",
        *(
            f"{row['connections']:11}  {row['mean']:8.1f}  ({row['least']:.1f}) {row['load']:15.1f}"
            for row in rows
        ),
        f"connections carried at {ENOUGH_FPS:g} frames/s and more: {max(carried, default=0)}; "
        f"written to {config.out}",
    ]
    return "\n".join(lines)


def _server(config: ServeConfig) -> subprocess.Popen[str]:
    options = {
        "--port": 0,
        "--connections": max(config.load_test),
        "--per-address": max(config.load_test),
        "--threads": config.threads,
        "--device": config.device,
    }
    words = [str(word) for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "neural_envs.cli", "serve", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def _measured(address: str, count: int, seconds: float) -> dict[str, Any]:
    """`count` connections at once; the least and the mean of what they got."""
    load = os.getloadavg()[0]
    rates = await asyncio.gather(*(_played(address, seconds) for _ in range(count)))
    await asyncio.sleep(0.5)  # until they are closed
    return {"connections": count, "mean": sum(rates) / count, "least": min(rates), "load": load}


async def _played(address: str, seconds: float) -> float:
    """Steps per second that arrived as frames, over `seconds` after the warm-up."""
    import websockets

    url = address.replace("http", "ws") + "/play"
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(json.dumps({"type": "choose", "bundle": BUNDLE}))
        received, steps, last, begin = 0, 0, -1, float("inf")
        async for message in socket:
            if isinstance(message, str):
                dream = json.loads(message)
                if dream["type"] == "dream":
                    await socket.send(_settings(TARGET_FPS / dream["fps"]))
                    begin = time.monotonic() + WARM_UP
                continue
            received += 1
            await socket.send(json.dumps({"type": "acknowledge", "number": received}))
            step = unpack_views(message)[0]["step"]
            now = time.monotonic()
            steps += step != last and now >= begin
            last = step
            if now >= begin + seconds:
                break
    return steps / seconds


def _settings(speed: float) -> str:
    """The message that sets the speed and leaves the rest to the bundle."""
    settings = {"sampler_steps": None, "guidance": None, "speed": speed}
    return json.dumps({"type": "settings", **settings})
