"""How many visitors one machine carries: `neural-envs serve --load-test 1,2,4,8`.

The server runs in a process of its own, as it does for people; this one is so many pages at once,
each with a game of Pong (which needs no hand to go on) set to `PACE` frames a second, and counts
the steps whose pictures come.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_envs.web.frames import unpack_picture

if TYPE_CHECKING:
    from neural_envs.web.server import ServeConfig

PACE = 15.0  # frames a second that each visitor asks for
ENOUGH = 14.0  # what counts as having got them
BUNDLE = "pong"
WARM_UP = 3.0  # seconds


def measure(config: ServeConfig) -> int:
    """Print and write the frames a second that visitors get; the exit code."""
    process = _server(config)
    try:
        address = process.stdout.readline().split()
        if len(address) < 2:
            print("neural-envs serve: the server to be measured did not start", file=sys.stderr)
            return 1
        rows = [
            asyncio.run(_measured(address[1], count, config.seconds)) for count in config.load_test
        ]
    finally:
        process.terminate()
        process.wait()
    facts = {
        "pace": PACE,
        "bundle": BUNDLE,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": config.seconds,
    }
    Path(config.out).write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    print(
        f"{BUNDLE} at {PACE:g} frames/s a visitor, {facts['cores']} cores, page and server on the "
        "same machine"
    )
    print("visitors  frames/s each (least)   load of the machine before")
    for row in rows:
        print(f"{row['visitors']:8}  {row['mean']:8.1f}  ({row['least']:.1f}) {row['load']:15.1f}")
    carried = [row["visitors"] for row in rows if row["least"] >= ENOUGH]
    print(
        f"visitors carried at {ENOUGH:g} frames/s and more: {max(carried, default=0)}; written to "
        f"{config.out}"
    )
    return 0


def _server(config: ServeConfig) -> subprocess.Popen:
    words = [
        "--port",
        "0",
        "--visitors",
        str(max(config.load_test)),
        "--threads",
        str(config.threads),
    ]
    command = [sys.executable, "-m", "neural_envs.cli", "serve", *words, "--device", config.device]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def _measured(address: str, count: int, seconds: float) -> dict[str, Any]:
    """`count` visitors at once; the least and the mean of what they got."""
    load = os.getloadavg()[0]
    rates = await asyncio.gather(*(_visit(address, seconds) for _ in range(count)))
    await asyncio.sleep(0.5)  # until they have left
    return {"visitors": count, "mean": sum(rates) / count, "least": min(rates), "load": load}


async def _visit(address: str, seconds: float) -> float:
    """Steps a second that arrived as pictures, over `seconds` after the warm-up."""
    import websockets

    async with websockets.connect(address.replace("http", "ws") + "/play", max_size=None) as line:
        await line.send(json.dumps({"type": "choose", "bundle": BUNDLE}))
        received, steps, last, begin = 0, 0, -1, float("inf")
        async for message in line:
            if isinstance(message, str):
                if (said := json.loads(message))["type"] == "dream":
                    tune = {
                        "type": "tune",
                        "sampler_steps": None,
                        "guidance": None,
                        "speed": PACE / said["fps"],
                    }
                    await line.send(json.dumps(tune))
                    begin = time.monotonic() + WARM_UP
                continue
            received += 1
            await line.send(json.dumps({"type": "seen", "picture": received}))
            step = unpack_picture(message)[0]["step"]
            now = time.monotonic()
            steps += step != last and now >= begin
            last = step
            if now >= begin + seconds:
                break
    return steps / seconds
