"""The notebooks run from top to bottom, with small numbers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SMALL = {"FRAMES": 2_000, "UPDATES": 2, "AGENT_STEPS": 256, "EPISODES": 2, "STEPS": 20}


def cells(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / name).read_text())["cells"]


def with_small_numbers(code: str) -> str:
    """The constants at the beginning of a line as in SMALL."""
    for name, value in SMALL.items():
        code = re.sub(rf"^{name} = [\d_]+", f"{name} = {value}", code, flags=re.MULTILINE)
    return code


def programs(name: str) -> list[str]:
    """The code of a notebook but for the cell that installs."""
    return [
        with_small_numbers("".join(cell["source"]))
        for cell in cells(name)
        if cell["cell_type"] == "code" and "install" not in cell["metadata"].get("tags", ())
    ]


TRAIN = pytest.param("train.ipynb", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["play.ipynb", TRAIN])
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    """Without Jupyter: its images are plain objects."""
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(Image=lambda data: data))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, code in enumerate(programs(name), 1):
        exec(compile(code, f"{name}, program {number}", "exec"), names)
    assert list(tmp_path.glob("*.gif"))


@pytest.mark.parametrize("name", ["play.ipynb", "train.ipynb"])
def test_a_notebook_first_installs_and_is_kept_without_outputs(name):
    first, *others = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert "install" in first["metadata"]["tags"] and "%pip install" in "".join(first["source"])
    assert all(cell["outputs"] == [] for cell in (first, *others))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["play.ipynb", "train.ipynb"])
def test_jupyter_runs_a_notebook(name, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(FOLDER / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = with_small_numbers(cell.source)
    nbformat.validate(notebook)
    client.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": tmp_path}}
    ).execute()
    images = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/gif" in output.get("data", {})
    ]
    assert images
