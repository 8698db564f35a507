"""Tables of docs/results.md that are not of single figures: returns along training, and goals."""

from __future__ import annotations

import json
import shutil

from agents.results import pages
from agents.results.released import FOLDER, read_results
from agents.results.tables import goals_met


def test_returns_along_training_in_the_dream_stand_beside_those_in_the_game(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    found = json.loads((folder / "snake" / "transfer.json").read_text())
    found["exploitation"]["by_step"] = [
        {"steps": 1234, "dreamed": 9.0, "dreamed_ci": [8.0, 10.0], "games": 64}
        | {"real": 3.0, "real_ci": [2.0, 4.0], "ratio": 3.0, "ratio_ci": [2.0, 5.0]},
        {"steps": 2000, "dreamed": 9.0, "dreamed_ci": None, "games": 64}
        | {"real": 3.0, "real_ci": None, "ratio": None, "ratio_ci": None},
        {"steps": 5678, "dreamed": 0.5, "dreamed_ci": None, "games": 1}
        | {"real": 0.25, "real_ci": None, "ratio": None, "ratio_ci": None},
    ]
    (folder / "snake" / "transfer.json").write_text(json.dumps(found))
    rows = pages.parts(folder)["exploitation"].splitlines()
    assert [row for row in rows if row.startswith("| `snake` |")] == [
        "| `snake` | 1 234 | 9.000 (8.000 to 10.0) | 3.000 (2.000 to 4.000) "
        "| 3.000 (2.000 to 5.000) | 64 | [1] |",
        "| `snake` | 5 678 | 0.500 | 0.250 | - | 1 | [1] |",
    ]
    assert any("`coinrun`" in row for row in rows) and "[1]" in "".join(rows)


def test_goals_that_begin_alike_are_named_together():
    assert goals_met([])[-1] == ""
    found = "\n".join(goals_met(pages.bundles(read_results(FOLDER))))
    for name in ("snake", "pong", "worldmap", "coinrun"):
        assert f"| `{name}` | " in found and f"* `{name}` misses: " in found
    assert "KID to the game (" in found and "KID to the game: " not in found
