"""What page and server say to each other: every wrong message is a sentence that names what is
wrong.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from collectors.action_space import MOST_CHOICES
from neural_envs.web import protocol
from neural_envs.web.frames import View, pack_views, unpack_views
from neural_envs.web.protocol import MessageError, read_generate, read_message

WRONG = {
    "not json": "JSON",
    "[1, 2]": "a list",
    "3": "a JSON object",
    "[" * 3000: "JSON",
    "{}": "'type'",
    '{"type": "fly"}': '"fly"',
    '{"type": ["key"]}': "a list",
    '{"type": "key", "key": "a"}': "lacks 'down'",
    '{"type": "key", "key": "a", "down": 1}': "'down' is true or false",
    '{"type": "key", "key": 7, "down": true}': "'key' is a text",
    '{"type": "action", "action": -1, "down": true}': "'action' is a whole number",
    '{"type": "action", "action": true, "down": true}': "'action' is a whole number",
    '{"type": "action", "action": 2.0, "down": true}': "'action' is a whole number",
    '{"type": "new", "seed": 1e400}': "'seed' is a whole number",
    '{"type": "new", "seed": 5, "sead": 6}': "'sead'",
    '{"type": "settings", "sampler_steps": 1000, "guidance": null, "speed": 1}': "'sampler_steps'",
    '{"type": "settings", "sampler_steps": null, "guidance": NaN, "speed": 1}': "'guidance'",
    '{"type": "settings", "sampler_steps": null, "guidance": null, "speed": 0}': "'speed'",
    json.dumps(
        {"type": "settings", "sampler_steps": None, "guidance": None, "speed": 1, "temperature": -1}
    ): "'temperature'",
    json.dumps({"type": "choose", "bundle": "x" * 300}): "200 characters",
    "x" * 5000: "4096",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_message_is_refused_with_what_is_wrong(text):
    with pytest.raises(MessageError) as caught:
        read_message(text)
    assert WRONG[text] in str(caught.value) and len(str(caught.value)) < 400


def test_every_kind_of_message_is_read_into_its_dataclass():
    example = {
        "bundle": "b",
        "key": "a",
        "down": True,
        "action": 3,
        "seed": 4,
        "on": True,
        "name": "you",
        "real": True,
    }
    example |= {
        "difference": False,
        "sampler_steps": 2,
        "guidance": 1,
        "temperature": 0.8,
        "speed": 0.5,
        "snapshot": 1,
        "number": 9,
    }
    for name, kind in protocol.MESSAGES.items():
        values = {field: example[field] for field in kind.__dataclass_fields__}
        assert read_message(json.dumps({"type": name, **values})) == kind(**values)


def test_every_field_has_its_check():
    kinds = [*protocol.MESSAGES.values(), protocol.Generate]
    assert {field for kind in kinds for field in kind.__dataclass_fields__} == set(protocol.CHECKS)


@pytest.mark.parametrize("number", [-300, -1, 256, 1023, 2**31 + 1000])
def test_an_action_is_any_number_that_a_game_may_have(number):
    assert read_generate(json.dumps({"actions": [number]})).actions == (number,)


def test_a_page_has_a_button_for_each_of_a_thousand_choices():
    text = json.dumps({"type": "action", "action": MOST_CHOICES, "down": True})
    assert read_message(text) == protocol.Action(MOST_CHOICES, True)


@pytest.mark.parametrize(
    ("request_", "phrase"),
    [
        ({}, "lacks 'actions'"),
        ({"actions": []}, "1 to 256"),
        ({"actions": [0] * 257}, "257"),
        ({"actions": "left"}, "1 to 256"),
        ({"actions": [0, "x"]}, "actions[1]"),
        ({"actions": [0], "seed": None}, "'seed'"),
        ({"actions": [0], "world": "snake", "bundle": "pong"}, "not both"),
        ({"actions": [0], "steps": 4}, "'steps'"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_wrong(request_, phrase):
    with pytest.raises(MessageError) as caught:
        read_generate(json.dumps(request_))
    assert phrase in str(caught.value)


def test_views_come_out_as_they_were_packed():
    generator = np.random.default_rng(0)
    frames = [generator.integers(0, 256, shape, np.uint8) for shape in ((4, 6, 3), (3, 5, 3))]
    views = [View("dream", frames[0]), View("ü", frames[1])]
    header, unpacked = unpack_views(pack_views({"number": 7}, views))
    dream, real = header.pop("views")
    assert header == {"number": 7} and dream == {"name": "dream", "width": 6, "height": 4}
    assert real == {"name": "ü", "width": 5, "height": 3}
    for frame, found in zip(frames, unpacked, strict=True):
        assert (found[..., :3] == frame).all() and (found[..., 3] == 255).all()
