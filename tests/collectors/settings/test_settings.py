"""The command line: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Literal

import pytest

from collectors.progress import progress
from collectors.settings.fields import from_dict, to_dict
from collectors.settings.parse import (
    SettingsError,
    apply_overrides,
    as_text,
    check_settings,
    parse,
    setting,
)


@dataclass(frozen=True)
class Optimizer:
    learning_rate: float = setting(1e-5, "peak of the cosine")
    betas: tuple[float, float] = (0.9, 0.99)
    kind: Literal["adamw", "sgd"] = "adamw"


@dataclass(frozen=True)
class Job:
    """Do a job."""

    world: str
    max_steps: int = setting(10, "steps to take")
    wrap: bool = True
    limit: float | None = None
    names: tuple[str, ...] = ()
    optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self):
        if self.max_steps < 0:
            raise ValueError("max_steps must not be negative")


def job(*words: str) -> Job:
    return parse(Job, words, "job", positional=("world",))


def refused(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        job(*words)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def printed(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        job(*words)
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_defaults_hold_where_nothing_is_said():
    assert job("snake") == Job("snake")


@pytest.mark.parametrize(
    "words", [["--max-steps", "5"], ["--max_steps=5"], ["max_steps=5"], ["max-steps=5"]]
)
def test_all_spellings_of_a_setting_are_the_same(words):
    assert job("snake", *words) == Job("snake", max_steps=5)


def test_a_flag_is_turned_on_and_off():
    assert job("snake", "--no-wrap").wrap is False
    assert job("snake", "--wrap").wrap is True
    assert job("snake", "wrap=off").wrap is False


def test_optional_and_negative_and_tuple_values_are_read():
    read = job("snake", "--limit", "-0.5", "--names", "a,b")
    assert (read.limit, read.names) == (-0.5, ("a", "b"))
    assert job("snake", "limit=none").limit is None


def test_dotted_overrides_reach_nested_settings():
    read = job(
        "snake",
        "optimizer.learning_rate=3e-4",
        "--optimizer.betas",
        "0.8,0.9",
        "--optimizer.kind=sgd",
    )
    assert read.optimizer == Optimizer(3e-4, (0.8, 0.9), "sgd")


def test_a_preset_instance_gives_the_defaults():
    assert parse(Job("pong", max_steps=3), ["wrap=no"], "job") == Job(
        "pong", max_steps=3, wrap=False
    )


def test_apply_overrides_leaves_the_original_alone():
    before = Job("snake")
    after = apply_overrides(before, {"optimizer.learning_rate": "0.1", "max_steps": "2"})
    assert (after.optimizer.learning_rate, after.max_steps) == (0.1, 2)
    assert before == Job("snake")
    with pytest.raises(SettingsError, match="did you mean 'max_steps'"):
        apply_overrides(before, {"max_step": "2"})


def test_an_unknown_setting_is_refused_with_the_nearest_name(capsys):
    assert (
        refused(capsys, "snake", "--max-stepz", "5")
        == "job: unknown setting 'max-stepz'; did you mean 'max_steps'?\n"
    )
    assert "did you mean 'optimizer.learning_rate'?" in refused(capsys, "snake", "learning_rate=1")
    assert "did you mean 'optimizer.learning_rate'?" in refused(
        capsys, "snake", "optimizer.learning_rat=1"
    )
    assert "see --help" in refused(capsys, "snake", "--qqqqqq", "1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-steps", "1.5"], "setting 'max_steps' got '1.5', expected int"),
        (["max_steps=1e3"], "setting 'max_steps' got '1e3', expected int"),
        (["limit=fast"], "setting 'limit' got 'fast', expected float or none"),
        (["wrap=maybe"], "setting 'wrap' got 'maybe', expected bool"),
        (["optimizer.betas=1"], "setting 'optimizer.betas' got '1', expected float,float"),
        (["optimizer.kind=adam"], "setting 'optimizer.kind' got 'adam', expected {adamw,sgd}"),
        (["--max-steps"], "setting 'max_steps' needs a value of type int"),
        (["--max-steps", "--wrap"], "setting 'max_steps' needs a value of type int"),
        (["pong"], "unexpected word 'pong'"),
        (["--max-steps", "-1"], "max_steps must not be negative"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_type(capsys, words, message):
    assert message in refused(capsys, "snake", *words)


def test_a_missing_setting_is_named(capsys):
    assert "'world' is missing: job WORLD" in refused(capsys)


def test_help_lists_every_setting_with_default_and_meaning(capsys):
    text = printed(capsys, "--help")
    assert text.startswith("usage: job WORLD")
    assert "Do a job." in text
    for part in (
        "--world str",
        "(required)",
        "--max-steps int",
        "[10]",
        "steps to take",
        "--optimizer.learning-rate float",
    ):
        assert part in text


def test_cfg_prints_the_resolved_settings_nested(capsys):
    text = printed(capsys, "snake", "--cfg", "max_steps=7", "optimizer.betas=0.5,0.6")
    assert (
        "world: snake\nmax_steps: 7\nwrap: true\nlimit: null\nnames: []\noptimizer:\n  "
        "learning_rate: 1.0e-05\n" in text
    )
    assert "  betas: [0.5, 0.6]" in text


def test_words_that_yaml_would_misread_are_quoted():
    assert 'world: "no"' in as_text(Job("no"))
    assert 'world: "3"' in as_text(Job("3"))
    assert 'world: "a: b"' in as_text(Job("a: b"))
    assert "world: data/snake" in as_text(Job("data/snake"))


def test_progress_is_silent_where_stderr_is_no_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress(range(3), desc="work")) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_progress_shows_a_bar_on_a_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress(range(3), desc="work")) == [0, 1, 2]
    assert "work" in stream.getvalue()


@dataclass(frozen=True)
class Cat:
    lives: int = 9


@dataclass(frozen=True)
class Dog:
    bark: float = 1.0
    friend: Cat = field(default_factory=Cat)


PETS = {"cat": Cat, "dog": Dog}


@dataclass(frozen=True)
class Household:
    rooms: int = 3
    pet: Cat | Dog = setting(help="who lives there", factory=Cat, kinds=PETS)


def household(*words: str) -> Household:
    return parse(Household(pet=Cat(7)), words, "house")


def test_a_field_of_several_kinds_changes_kind_and_then_has_the_settings_of_that_kind():
    assert household("pet.lives=5") == Household(pet=Cat(5))
    assert (
        household("pet=dog")
        == household("--pet", "dog")
        == household("--pet=dog")
        == Household(pet=Dog())
    )
    assert household("pet.bark=2", "rooms=1", "pet=dog") == Household(1, Dog(2.0))  # in any order
    assert apply_overrides(Household(), {"pet": "dog", "pet.bark": "3"}) == Household(pet=Dog(3.0))


def test_the_kind_that_is_there_already_keeps_its_values():
    assert household("pet=cat") == Household(pet=Cat(7))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pet=dig"], "setting 'pet' got 'dig'; did you mean 'dog'? There are cat, dog"),
        (["--pet"], "setting 'pet' got ''; did you mean"),
        (["pet.bark=2"], "unknown setting 'pet.bark'"),
        (["pet=dog", "pet.lives=2"], "unknown setting 'pet.lives'"),
    ],
)
def test_a_wrong_kind_is_refused_with_the_nearest_name(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        household(*words)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_kinds_are_told_in_help_and_printed_settings(capsys):
    assert (
        as_text(Household(pet=Dog()))
        == "rooms: 3\npet:\n  type: dog\n  bark: 1.0\n  friend:\n    lives: 9"
    )
    with pytest.raises(SystemExit):
        household("--help")
    shown = capsys.readouterr().out
    assert (
        "--pet {cat,dog}" in shown
        and "[cat]" in shown
        and "who lives there" in shown
        and "--pet.lives int" in shown
    )


@dataclass(frozen=True)
class Oven:
    heat: int = setting(180, "degrees", least=50, most=250)
    program: Literal["bake", "grill"] = "bake"
    share: float = setting(0.5, above=0)

    def __post_init__(self):
        check_settings(self)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"heat": 20}, "'heat' got 20, expected 50 to 250; the nearest possible value is 50"),
        ({"heat": 300}, "'heat' got 300, expected at most 250; the nearest possible value is 250"),
        ({"share": 0.0}, "'share' got 0.0, expected more than 0"),
        ({"share": float("nan")}, "'share' got nan"),
        ({"program": "gril"}, "'program' got 'gril', expected {bake,grill}; did you mean 'grill'"),
    ],
)
def test_a_config_checks_its_ranges_and_choices_wherever_it_is_made(values, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Oven(**values)


def test_a_dictionary_gives_the_settings_back_with_their_kinds():
    home = Household(2, Dog(0.5, Cat(3)))
    assert from_dict(Household, to_dict(home)) == home
    with pytest.raises(ValueError, match="pet is of type 'dig'"):
        from_dict(Household, {**to_dict(home), "pet": {"type": "dig"}})
    with pytest.raises(ValueError, match=r"unknown keys \['roof'\], missing keys \['rooms'\]"):
        from_dict(Household, {"roof": 1, "pet": to_dict(home)["pet"]})


def test_a_flag_that_may_be_none_is_given_like_any_other():
    @dataclass
    class Waiting:
        wait: bool | None = None

    def read(*words: str) -> bool | None:
        return parse(Waiting, list(words), "wait").wait

    assert read() is None and read("--wait") is True and read("--no-wait") is False
    assert read("--wait", "false") is False and read("--wait", "none") is None
    assert read("--wait=true") is True and read("wait=false") is False
