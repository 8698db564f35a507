"""The table of docs/speed.md: what each backend gains, read from a file of `neural-envs bench`."""

import json
from pathlib import Path

EAGER = "eager"
NONE = "Not measured yet: `neural-envs bench --out agents/results/measured/bench.json`.\n"


def speed_table(file: Path) -> str:
    """A row per bundle and number of lanes: frames per second of eager torch, then each backend as
    a ratio to it. A sentence where the file has no backends.
    """
    figures = json.loads(file.read_text()) if file.is_file() else {}
    report = figures.get("backends") or {}
    names = list(dict.fromkeys(name for row in report.values() for name in row if name != EAGER))
    if not names:
        return NONE
    lines = [
        "| bundle, lanes | eager, frames/s | " + " | ".join(f"`{name}`" for name in names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for bundle, backends in report.items():
        for lanes, eager in backends[EAGER].items():
            ratios = [backends.get(name, {}).get(lanes) for name in names]
            cells = [f"{row['ratio_to_eager']:.2f}" if row else "-" for row in ratios]
            rate = f"{eager['frames_per_second']:.0f}"
            lines.append(f"| `{bundle}`, {lanes} | {rate} | " + " | ".join(cells) + " |")
    made = figures["made"]
    machine = made["machine"]
    source = (
        f"From `{made['command']}` ({made['date']}, {machine['vectors']}, "
        f"{figures['machine']['threads']} threads); - where a backend is not installed or refused."
    )
    return "\n".join([*lines, "", source]) + "\n"
