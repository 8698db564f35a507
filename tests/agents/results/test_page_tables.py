"""Tables of docs/results.md that are not of single figures: returns along training, and goals."""

from __future__ import annotations

import json
import shutil

from agents.results import pages
from agents.results.families_table import NONE, families_tables
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
    snake = [row.replace("†", "") for row in rows if row.startswith("| `snake` |")]
    assert snake == [
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


def test_families_are_compared_in_a_table_per_world_that_was_measured(tmp_path):
    assert families_tables(tmp_path) == NONE
    machine = {"processor": "p", "vectors": "AVX512", "cores": 2, "threads": 1}
    made = {"command": "neural-envs compare pong", "commit": "1" * 40, "date": "2026-01-02"}
    failed = {"family": "eqm", "preset": "snake-eqm", "failed": "eqm needs Snake"}
    result = {
        "made": {**made, "machine": machine},
        "world": "pong",
        "data": "data/pong",
        "budget": {"minutes": 8.0, "ppo_steps": 0, "ppo_minutes": 0.0, "episodes": 1},
        "machine": {**machine, "card": None, "torch": "2"},
        "families": [failed],
        "references": {},
    }
    (tmp_path / "pong.json").write_text(json.dumps(result))
    text = families_tables(tmp_path)
    assert text.startswith("#### pong") and "failed: eqm needs Snake" in text
    assert "8 minutes of training each" in text and "`neural-envs compare pong`" in text
