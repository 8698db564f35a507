"""The README does what it says: its Python runs, its commands parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[int, str]]:
    """(line number, text) of every fenced block of `language`."""
    text = README.read_text()
    found = [
        (text[: match.start(2)].count("\n"), match[2])
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]
    return found


def commands() -> list[str]:
    """The `neural-envs ...` commands of the bash blocks, comments cut off, continued lines
    joined.
    """
    lines = "\n".join(text for _, text in blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.startswith("neural-envs ")]


@pytest.mark.parametrize(
    ("line", "code"), blocks("python"), ids=[f"line_{line}" for line, _ in blocks("python")]
)
def test_a_python_block_of_the_readme_runs(line, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n" * line + code, str(README), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_is_understood(command, capsys):
    """``--cfg`` makes a verb print what it would do and stop."""
    from neural_envs.cli import main

    try:
        code = main([*shlex.split(command)[1:], "--cfg"])
    except SystemExit as stop:
        code = stop.code
    assert not code, capsys.readouterr().err


def test_the_readme_shows_python_and_commands():
    assert len(blocks("python")) >= 1
    assert len(commands()) >= 6
