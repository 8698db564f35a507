"""The pages for contributors name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.room_list import first_sentence, room_list, written
from tests.source_tree import FILE_OF, FILES, PACKAGES, ROOT, nearest_module

PLACES = "collectors|world_models|neural_envs|agents|tests|docs|examples"

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.stem != "experiments"),
]


def test_every_module_says_in_its_first_sentence_what_it_is():
    assert [file for file in FILES if not first_sentence(file)] == []


def test_the_list_of_rooms_is_that_of_the_source():
    assert written() == room_list(), "docs/architecture.md is behind the source: run `make rooms`"


def missing(page: Path) -> list[str]:
    """The paths, modules, names in modules and links of a page that lead nowhere."""
    text = page.read_text()
    paths = re.findall(rf"`((?:{PLACES})/[\w./]*)`", text)
    wrong = [path for path in paths if "NAME" not in path and not (ROOT / path).exists()]
    for name in re.findall(rf"\b((?:{'|'.join(PACKAGES)})(?:\.\w+)+)", text):
        module = nearest_module(name)
        member = name.removeprefix(module).strip(".").partition(".")[0]
        if name.endswith(".md"):
            continue
        if not module or member not in FILES[FILE_OF[module]].read_text():
            wrong.append(name)
    links = re.findall(r"\]\((?!http|#)([^)#]+)", text)
    return wrong + [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page):
    assert missing(page) == []
