"""The helper that every command uses: words in, an exit code and one sentence out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from collectors.extras import install
from collectors.settings.run_command import command, first_word
from collectors.settings.values import SettingsError


@dataclass(frozen=True)
class Settings:
    name: str = "snake"
    steps: int = 1


def raising(error: Exception):
    def run(settings):
        raise error

    return run


def test_the_text_of_a_command_is_printed_and_its_exit_code_is_zero(capsys):
    words = ["pong", "--steps", "3"]
    code = command(Settings, lambda s: f"{s.name} {s.steps}", words, "x", ["name"])
    assert code == 0 and capsys.readouterr().out == "pong 3\n"


def test_a_command_that_prints_for_itself_returns_its_own_exit_code(capsys):
    assert command(Settings, lambda s: 1, [], "x") == 1
    assert command(Settings, lambda s: None, [], "x") == 0 and capsys.readouterr().out == ""


def test_settings_may_depend_on_the_words(capsys):
    words = ["pong"]
    preset = lambda words: Settings(first_word(words) or "snake", steps=7)  # noqa: E731
    assert command(preset, lambda s: f"{s.name} {s.steps}", words, "x", ["name"]) == 0
    assert capsys.readouterr().out == "pong 7\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such world"), "x: no such world"),
        (FileNotFoundError(2, "No such file", "a.npz"), "cannot write or read a.npz: No such file"),
        (ModuleNotFoundError("no", name="uvicorn"), install("web")),
        (SettingsError("no such preset"), "x: no such preset"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_one(error, text, capsys):
    assert command(Settings, raising(error), [], "x") == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("error", [ZeroDivisionError(), BrokenPipeError(32, "Broken pipe")])
def test_a_bug_and_a_closed_pipe_are_raised(error):
    with pytest.raises(type(error)):
        command(Settings, raising(error), [], "x")


def test_a_wrong_command_line_is_exit_code_two(capsys):
    def preset(words):
        raise SettingsError("no preset 'snok'")

    assert command(preset, raising(ValueError()), [], "x") == 2
    with pytest.raises(SystemExit) as stop:
        command(Settings, raising(ValueError()), ["--stepz", "3"], "x")
    assert stop.value.code == 2 and "did you mean 'steps'" in capsys.readouterr().err
