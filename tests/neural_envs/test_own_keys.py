"""Keys of one's own: by words, by a file, and what is no key is a sentence."""

import json

import numpy as np
import pytest

from collectors.action_space import ActionSpace
from neural_envs.action_keys import choices_of
from neural_envs.commands.record import RecordSettings
from neural_envs.own_keys import KeysError, own_keys
from neural_envs.play.config import PlayConfig
from neural_envs.play.keyboard import ARROWS, Keys
from neural_envs.play.window import RESERVED
from neural_envs.web.config import ServeConfig
from world_models.world_spec import WorldSpec


def game(names, space=None):
    return WorldSpec("game", (8, 8, 3), names, (0.0,), 10, 100, (), space)


ATARI = game(("noop", "fire", "right", "left"))
CAR = ActionSpace("Box", low=(-1.0, 0.0, 0.0), high=(1.0, 1.0, 1.0))
CAR = game(("0", "1", "2"), CAR)


def test_an_action_that_is_named_loses_its_usual_keys_and_the_others_keep_theirs():
    keys = own_keys(("fire=f", "left=q", "left=left+space"), ATARI)
    assert keys[("f",)] == 1 and keys[("q",)] == keys[ARROWS["left"], " "] == 3
    assert keys[()] == 0 and keys[(ARROWS["right"],)] == 2 and keys[("d",)] == 2
    assert (" ",) not in keys and (ARROWS["left"],) not in keys


def test_a_key_that_is_given_is_no_longer_that_of_another_action():
    keys = own_keys(("fire=right",), ATARI)
    assert keys[(ARROWS["right"],)] == 1 and 2 in keys.values()


def test_actions_start_where_the_game_starts_them():
    keys = own_keys(("b=x",), game(("a", "b"), ActionSpace.discrete(2, 5)))
    assert keys[("x",)] == 6 and 5 in keys.values()


def test_keys_of_different_parts_are_held_together_and_no_key_is_rest(tmp_path):
    file = tmp_path / "car.json"
    file.write_text(json.dumps({"j": "0 -1", "l": [1, 0, 0], "i": [0, 0.5, 0], "space": "2 1"}))
    keys = Keys(own_keys((str(file),), CAR), RESERVED)
    assert keys.next_action() == (0.0, 0.0, 0.0)
    for key in "ji":
        keys.press(ord(key))
        keys.taps.clear()
    assert keys.next_action() == (-1.0, 0.5, 0.0)
    keys.release(ord("j"))
    keys.press(ord(" "))
    keys.taps.clear()
    assert keys.next_action() == (0.0, 0.5, 1.0)
    assert not keys.knows(ARROWS["left"])


def test_every_choice_of_every_part_has_a_name_whether_it_has_a_key_or_not():
    pad = game(("x", "y"), ActionSpace("MultiDiscrete", (60, 2), (0, 5)))
    names = [choice.name for choice in choices_of(pad)]
    assert names == ["rest", *(f"x {i}" for i in range(1, 60)), "y 6"]
    assert own_keys(("x 59=x", "y 6=y"), pad)[("x", "y")] == (59, 6)
    assert names == [choice.name for choice in choices_of(pad, {("x",): (3, 5)})]
    assert [choice.name for choice in choices_of(CAR)] == ["rest", "0 -1", "0 1", "1 1", "2 1"]


def test_a_row_that_moves_several_parts_is_one_key(tmp_path):
    file = tmp_path / "car.json"
    file.write_text('{"x": [1, 1, 0], "": [0, 0.25, 0]}')
    keys = own_keys((str(file),), CAR)
    assert keys[("x",)] == (1.0, 1.0, 0.0) and keys[()] == (0.0, 0.25, 0.0)


def test_the_usual_keys_may_be_those_of_the_game():
    keys = own_keys(("fire=f",), ATARI, {("x",): 1, ("l",): 3, ("f",): 2})
    assert keys == {("l",): 3, ("f",): 1}


def test_play_record_and_serve_have_the_setting_in_the_same_words():
    fields = [config.__dataclass_fields__["keys"] for config in (PlayConfig, RecordSettings)]
    assert fields[0].metadata == fields[1].metadata
    own = ServeConfig.__dataclass_fields__["keys"].metadata
    assert own["help"].startswith(fields[0].metadata["help"])


def test_what_keys_do_in_words_names_arrows_only_where_there_are_no_letters(tmp_path):
    file = tmp_path / "car.json"
    file.write_text('{"left": [-1, 0, 0], "i": [0, 0.5, 0], "x": [1, 1, 0]}')
    keys = Keys(own_keys((str(file),), CAR))
    words = keys.described(choices_of(CAR, keys.table))
    assert words == "no key: rest, left: 0 -1, i: 1 0.5, x: 0 1 and 1 1"
    keys = Keys(own_keys(("fire=up+space",), ATARI))
    words = keys.described(choices_of(ATARI))
    assert words == "no key: noop, up+space: fire, d: right, a: left"


@pytest.mark.parametrize(
    ("words", "spec", "sentence"),
    [
        (("jump",), ATARI, "ACTION=KEY"),
        (("fire=",), ATARI, "ACTION=KEY"),
        (("fire=hyper",), ATARI, "no key 'hyper'"),
        (("fire=\u0130",), ATARI, "no key '\u0130'"),  # whose small letter is two characters
        (("jump=x",), ATARI, "no action 'jump'; there are noop, fire, right, left"),
        (("none.json",), ATARI, "cannot be read"),
    ],
)
def test_a_word_that_is_no_key_is_a_sentence(words, spec, sentence):
    with pytest.raises(KeysError, match=sentence):
        own_keys(words, spec)


@pytest.mark.parametrize(
    ("text", "spec", "sentence"),
    [
        ("{", CAR, "cannot be read"),
        ("[]", CAR, "has no keys"),
        ('{"x": [2, 0, 0]}', CAR, "is no action of game"),
        ('{"x": [NaN, 0, 0]}', CAR, "is no action of game"),
        ('{"x": [0, 0]}', CAR, "is no action of game"),
        ('{"x": {"a": 1}}', CAR, "is no action of game"),
        ('{"x": [true, 0, 0]}', CAR, "is no action of game"),
        ('{"x": 1.5}', ATARI, "is no action of game"),
        ('{"x": 4}', ATARI, "is no action of game"),
    ],
)
def test_a_file_that_is_no_keyboard_is_a_sentence(text, spec, sentence, tmp_path):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(KeysError, match=sentence):
        own_keys((str(tmp_path / "keys.json"),), spec)


def test_an_action_by_its_number_is_an_int(tmp_path):
    (tmp_path / "keys.json").write_text('{"z": 2}')
    found = own_keys((str(tmp_path / "keys.json"),), ATARI)[("z",)]
    assert found == 2 and isinstance(found, int) and not isinstance(found, np.integer)
