"""Actions in parts on the exported page against those of Python, by node: their forms, keys and
buttons, files.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from collectors.action_space import ActionSpace
from neural_envs.action_keys import as_chosen
from neural_envs.replays.dream_format import Segment
from neural_envs.replays.replay_file import DreamFile, check_actions
from neural_envs.web_export.page_actions import page_actions
from tests.neural_envs.javascript import STATIC, needs_node, run
from tests.neural_envs.test_dream_actions import BOX, LATE, PAD
from tests.neural_envs.test_web_export_scripts import dream_file
from world_models.noise import NoiseStream
from world_models.world_spec import WorldSpec

pytestmark = needs_node
WIDE = spaces.Box(np.float32([-0.1, 1e-3, -300]), np.float32([0.3, 7, 1e6]))
BUTTONS = spaces.MultiBinary(3)
CROWDED = spaces.MultiDiscrete([30, 30])  # more choices than keys
SPACES = (BOX, WIDE, PAD, BUTTONS, CROWDED, LATE)


def spec_of(space) -> WorldSpec:
    ours = ActionSpace.from_gymnasium(space)
    names = tuple(ours.spec_fields()["action_names"])
    return WorldSpec("tiny", (4, 4, 3), names, (0.0,), 10, 100, action_space=ours)


def drawn(space, count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    ours = ActionSpace.from_gymnasium(space)
    return np.array([ours.draw(generator) for _ in range(count)], ours.dtype)


@pytest.fixture(params=SPACES, ids=str)
def space(request):
    return request.param


def test_the_page_reads_actions_as_python_does(space):
    """Encoded and decoded numbers are the same to the last bit."""
    ours, actions = ActionSpace.from_gymnasium(space), drawn(space, 200)
    code = """
const space = new own.ActionSpace(given.spec), taken = space.array(given.actions);
const encoded = space.encode(taken), shape = [given.actions.length, ...space.row];
return [[...encoded].map(Number), [...space.decode(encoded)].map(Number),
        space.fits({ array: taken, shape }, shape[0])];
"""
    given = {"spec": spec_of(space).as_dict(), "actions": actions.tolist()}
    encoded = ours.encode(actions)
    expected = [encoded.ravel().tolist(), ours.decode(encoded).ravel().tolist(), True]
    assert run("actions.js", code, given) == expected


def test_random_play_of_the_page_reaches_the_whole_space_and_nothing_else(space):
    code = """
const space = new own.ActionSpace(given);
return [...Array(2000).keys()].map((step) => space.draw({ seed: 3, step }, 1));
"""
    ours, found = (
        ActionSpace.from_gymnasium(space),
        run("actions.js", code, spec_of(space).as_dict()),
    )
    taken = np.array(found, ours.dtype)
    assert taken.shape == (2000, *ours.row) and ours.holds(taken)
    numbers = ours.encode(taken).reshape(2000, -1)
    if ours.is_box:
        assert numbers.min() < -0.99 and numbers.max() > 0.99
    else:
        assert [len(set(column)) for column in numbers.T] == list(ours.counts)


def test_an_agent_of_the_page_draws_as_it_says(space):
    """Certain choices are taken; of a Box, numbers with the mean and the deviation."""
    ours, generator = ActionSpace.from_gymnasium(space), np.random.default_rng(0)
    target = ours.draw_encoded(generator, ()).reshape(-1)
    predicted = [*(target / 2).tolist(), *[0.1] * ours.parts]
    if not ours.is_box:
        predicted = [
            float(i == t) for t, n in zip(target, ours.counts, strict=True) for i in range(n)
        ]
    code = """
const space = new own.ActionSpace(given.spec), predicted = Float32Array.from(given.predicted);
return [...Array(500).keys()].map((step) => space.drawn(predicted, { seed: 3, step }, 1));
"""
    found = run("actions.js", code, {"spec": spec_of(space).as_dict(), "predicted": predicted})
    taken = np.array(found, ours.dtype)
    assert ours.holds(taken)
    numbers = ours.encode(taken).reshape(500, -1)
    if ours.is_box:
        noise = NoiseStream(torch.full((500,), 3), torch.arange(500)).normal((ours.parts,), 1)
        expected = np.clip(target / 2 + 0.1 * noise.numpy(), -1, 1)
        np.testing.assert_allclose(numbers, expected, atol=1e-5)
    else:
        assert (numbers == target).all()


def test_buttons_press_what_they_say_and_keys_what_is_listed(space):
    """Pressed in turn, and let go; actions come as the page lists them."""
    row = page_actions(spec_of(space))
    code = """
const keys = new own.Keys(given.keys);
const after = (press) => { press(true); press(false); return keys.next(); };
return [given.choices.map(({ action }) => after((down) => keys.press(action, down))),
        given.keys.map((one) => {
          for (const key of one.keys) keys.set(key, true);
          keys.clear(); // of the taps of the first keys alone
          const action = keys.next();
          for (const key of one.keys) keys.set(key, false);
          keys.clear();
          return action;
        })];
"""
    by_button, by_key = run("keys.js", code, row)
    assert by_button == [choice["action"] for choice in listed(row["choices"])]
    assert by_key == [one["action"] for one in listed(row["keys"])]
    assert len({str(choice["name"]) for choice in row["choices"]}) == len(row["choices"])


def listed(rows) -> list:
    """Rows as JSON has them."""
    return [
        {**row, "action": list(row["action"]) if np.ndim(row["action"]) else row["action"]}
        for row in rows
    ]


def test_an_action_without_a_key_has_a_button_that_no_key_presses():
    row = page_actions(spec_of(CROWDED))
    hidden = [key for one in row["keys"] for key in one["keys"] if key.startswith("button")]
    assert hidden and len(row["choices"]) == 1 + 2 * 29
    assert "29" in row["choices"][-1]["name"] and "button" not in row["described"]


def file_of(space) -> DreamFile:
    """A file of four steps with a segment from other frames."""
    actions, between, plain = drawn(space, 4), drawn(space, 2), dream_file()
    (segment,) = plain.segments
    return replace(
        plain,
        world="tiny",
        actions=actions,
        context_actions=between[:1],
        rewards=np.zeros(4, np.float32),
        outcomes=np.zeros(4, np.uint8),
        segments=(Segment(2, segment.noise, {}, segment.frames, between[1:]),),
    )


READ = """
const { ActionSpace } = await import(given.actions);
const file = await own.readDreamFile(Uint8Array.from(atob(given.file), (c) => c.charCodeAt(0)));
const { spec } = given, entry = { name: "tiny", hashes: ["ab"], options: {} };
const starts = { frames: { shape: [1, 2, 4, 4, 3] } };
const dream = { entry, spec, space: new ActionSpace(spec), starts };
const [{ context, noise }] = file.segments, frame = context.frames.slice(-48);
"""


def given_for(space, file: DreamFile) -> dict:
    data = base64.b64encode(file.to_bytes()).decode()
    actions = (STATIC / "actions.js").as_uri()
    return {"actions": actions, "file": data, "spec": spec_of(space).as_dict()}


def test_a_file_of_python_is_read_and_written_again_the_same(space):
    """The page's own file of the same steps holds the same arrays."""
    code = (
        READ
        + """
new own.Replay(dream, file);
const recorder = new own.Recorder(dream, 5, { frame, noise }, context);
for (const [i, action] of file.actions.entries()) {
  if (i === file.segments[1].start) recorder.resync({ noise }, file.segments[1].context);
  recorder.add(action, { state: { frame }, reward: 0, terminated: false, truncated: false });
}
return btoa(String.fromCharCode(...(await recorder.bytes("1.0"))));
"""
    )
    file = file_of(space)
    found = DreamFile.from_bytes(
        base64.b64decode(run("dream_file.js", code, given_for(space, file)))
    )
    check_actions(found, spec_of(space))
    pairs = [(file.actions, found.actions), (file.context_actions, found.context_actions)]
    pairs += [(file.segments[0].actions, found.segments[0].actions)]
    for one, other in pairs:
        assert one is not None and other is not None and one.dtype == other.dtype
        assert one.shape == other.shape and (one == other).all()
    assert as_chosen(found.actions[0]) == as_chosen(file.actions[0])


@pytest.mark.parametrize("wrong", ["outside", "of another kind", "outside in a context"])
def test_a_file_with_actions_that_its_world_has_not_is_a_sentence(space, wrong):
    file, beyond = file_of(space), np.asarray(10**7, ActionSpace.from_gymnasium(space).dtype)
    if wrong == "outside":
        file = replace(file, actions=file.actions + beyond)
    elif wrong == "of another kind":
        file = file_of(PAD if space in (BOX, WIDE) else BOX)
    else:
        file = replace(file, context_actions=file.context_actions - beyond)
    code = (
        READ
        + """
try { new own.Replay(dream, file); } catch (error) { return error.message; }
return "it is watched";
"""
    )
    found = run("dream_file.js", code, given_for(space, file))
    assert found == "it has actions that its world does not know"
