"""docs/security.md says what the code does."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"
ROWS = re.findall(r"^\| .* \| ([\d .e+]+) \| `([\w.]+):([\w.]+)` \|$", PAGE.read_text(), re.M)


def test_the_page_has_the_limits_of_every_border():
    assert len(ROWS) > 30
    rooms = {module.rpartition(".")[0] for _, module, _ in ROWS}
    assert {"neural_envs.web", "world_models.bundles", "neural_envs.replays"} <= rooms


@pytest.mark.parametrize(("written", "module", "name"), ROWS, ids=[row[2] for row in ROWS])
def test_a_limit_of_the_page_is_that_of_the_code(written, module, name):
    value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    assert float(written.replace(" ", "")) == value


def test_the_page_and_the_way_to_report_name_each_other():
    report = (ROOT / "SECURITY.md").read_text()
    assert "docs/security.md" in report and "SECURITY.md" in PAGE.read_text()
