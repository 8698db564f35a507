"""README and the pages of commands do what they say: their Python runs, their commands parse."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = "README.md"
PAGES = (  # whose commands are understood
    README,
    "docs/quickstart.md",
    "docs/commands.md",
    *(f"docs/tutorials/{page.name}" for page in sorted((ROOT / "docs/tutorials").glob("*.md"))),
)
RUN = (README, "docs/quickstart.md", "docs/tutorials/other_libraries.md")  # whose Python is run
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """(line number, text) of every fenced block of `language`."""
    text = (ROOT / page).read_text()
    return [
        (text[: match.start(2)].count("\n"), match[2])
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def commands(page: str) -> list[str]:
    """The `neural-envs ...` commands of the bash blocks, comments cut off, continued lines
    joined.
    """
    text = "\n".join(text for _, text in blocks(page, "bash")).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith("neural-envs ")]


def test_the_badges_say_what_the_package_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requires = {re.split(r"[<>=]", one)[0]: one for one in project["dependencies"]}
    text = (ROOT / README).read_text()
    badges = re.findall(r"!\[(.*?)\]\(https://img\.shields\.io/badge/(.*?)\)", text)
    assert [label for label, _ in badges] == [
        f"Python {project['requires-python'].removeprefix('>=')} or newer",
        f"Gymnasium {requires['gymnasium'].split('>=')[1][0]}.x",
        f"{project['license']} license",
    ]


PROGRAMS = [(page, *block) for page in RUN for block in blocks(page, "python")]


@pytest.mark.parametrize(
    ("page", "line", "code"), PROGRAMS, ids=[f"{page}:{line}" for page, line, _ in PROGRAMS]
)
def test_a_python_block_of_a_page_runs(page, line, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n" * line + code, page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("command", sorted({one for page in PAGES for one in commands(page)}))
def test_a_command_of_a_page_is_understood(command, capsys):
    """``--cfg`` makes a verb print what it would do and stop."""
    from neural_envs.cli import main

    try:
        code = main([*shlex.split(command)[1:], "--cfg"])
    except SystemExit as stop:
        code = stop.code
    assert not code, capsys.readouterr().err


def test_the_readme_shows_python_and_commands():
    assert len(blocks(README, "python")) >= 1
    assert len(commands(README)) >= 5


def test_the_readme_is_short_and_begins_with_a_moving_image():
    text = (ROOT / README).read_text()
    images = re.findall(r"!\[[^]]*\]\((?!https)([^)]+)\)", text)
    assert len(text.encode()) <= 7000
    assert images[0].endswith(".gif") and all((ROOT / image).is_file() for image in images)
