"""The tables of docs/results.md that compare families of models, trained for the same time."""

from __future__ import annotations

import json
from pathlib import Path

from agents.experiments.compare_table import markdown
from agents.results.tables import origin_text
from collectors.worlds.table import WORLDS

NONE = "Not measured yet: `neural-envs compare snake --out runs/compare-snake`.\n"


def families_tables(folder: Path) -> str:
    """A table per world of which `folder` holds the file that `neural-envs compare` wrote, as
    `snake.json`; a sentence where it holds none.
    """
    found = []
    for world in WORLDS:
        file = folder / f"{world}.json"
        if file.is_file():
            result = json.loads(file.read_text())
            origin = origin_text({"made": result["made"]})
            found.append(f"#### {world}\n\n{markdown(result)}\nFrom {origin}.\n")
    return "\n".join(found) or NONE
