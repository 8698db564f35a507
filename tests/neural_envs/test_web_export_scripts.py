"""The scripts of the exported page against their twins in Python, run by node."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
import pytest
import torch

from collectors.media import to_rgb
from neural_envs.play.keyboard import Keys
from neural_envs.replays.dream_format import Segment
from neural_envs.replays.replay_file import DreamFile
from neural_envs.web_export.page_actions import key_rows
from tests.neural_envs.javascript import STATIC, needs_node, run
from world_models.noise import NoiseStream

pytestmark = needs_node
STREAMS = [(0, 0, 1), (7, 1, 64), (2**31 - 1, 17, 0x5EED), (-5, 10**6, 72), (2**63 - 1, 2**40, 5)]
DRAWS = """
return given.map(([seed, step, salt, count]) => {
  const noise = { seed: BigInt(seed), step: BigInt(step) }, bits = [];
  own.words(noise, salt, count, (high, low) => bits.push((BigInt(high) << 32n) | BigInt(low)));
  return [bits, [...own.uniform(noise, salt, count)], [...own.normal(noise, salt, count)],
          own.integer(noise, salt, 256), own.next(noise).step];
});
"""


def dream_file() -> DreamFile:
    """A file with everything that one can have: large seeds, and a segment from other frames."""
    frames = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    return DreamFile(
        bundle="counting",
        bundle_hash="12" * 32,
        world="counting",
        seed=2**62 + 1,
        noise=(-(2**62) - 1, 3),
        context_frames=frames,
        context_actions=np.array([1]),
        actions=np.array([0, 1, 2]),
        rewards=np.array([0.0, 0.5, -1.0], np.float32),
        outcomes=np.array([0, 0, 1], np.uint8),
        settings={"sampler_steps": None, "guidance": None, "temperature": None},
        frames_hash="ab" * 32,
        platform={},
        segments=(Segment(2, (5, 9), {}, frames[::-1], np.array([0])),),
    )


def test_ten_thousand_draws_are_those_of_python():
    """Words and uniform numbers exactly; normal ones up to the last place of float32's cosine."""
    count = 2000
    found = run("noise.js", DRAWS, [[str(seed), str(step), salt, count]
                                    for seed, step, salt in STREAMS])  # fmt: skip
    for (seed, step, salt), (bits, uniform, normal, number, after) in zip(
        STREAMS, found, strict=True
    ):
        noise = NoiseStream(torch.tensor([seed]), torch.tensor([step]))
        assert [int(x) for x in bits] == [x % 2**64 for x in noise.bits((count,), salt)[0].tolist()]
        assert uniform == noise.uniform((count,), salt)[0].tolist()
        expected = noise.normal((count,), salt)[0].numpy()
        np.testing.assert_allclose(normal, expected, rtol=1e-6, atol=1e-6)
        assert number == int(noise.integers(256, salt)) and int(after) == step + 1


def test_a_hash_of_pieces_is_that_of_the_whole():
    data = np.random.default_rng(0).integers(0, 256, 1000, np.uint8)
    code = """
return given.cuts.map((cut) => {
  const hash = new own.Sha256().update(Uint8Array.from(given.data.slice(0, cut)));
  hash.hex(); // asking does not end it
  return hash.update(Uint8Array.from(given.data.slice(cut))).hex();
});
"""
    found = run("sha256.js", code, {"data": data.tolist(), "cuts": [0, 1, 55, 56, 64, 119, 1000]})
    assert set(found) == {hashlib.sha256(data.tobytes()).hexdigest()}


def test_keys_act_as_in_a_window():
    """The same presses, by names on the page and by codes in Python, are the same actions."""
    from neural_envs.action_keys import keys_to_action

    generator = np.random.default_rng(1)
    for names in (("up", "down", "left", "right"), ("left-up", "left", "none", "up", "right")):
        table = keys_to_action(names)
        keys, presses, expected = Keys(table), [], []
        for _ in range(200):
            letter, down = str(generator.choice(list("wasdx"))), bool(generator.random() < 0.6)
            step = bool(generator.random() < 0.4)
            presses.append([letter, down, step])
            keys.set_down(ord(letter), down)
            if step:
                expected.append([keys.active, keys.next_action()])
        code = """
const keys = new own.Keys(given.rows), found = [];
for (const [key, down, step] of given.presses) {
  keys.set(key, down);
  if (step) found.push([keys.active, keys.next()]);
}
return found;
"""
        assert run("keys.js", code, {"rows": key_rows(Keys(table)), "presses": presses}) == expected


def test_a_dream_file_of_python_is_read_on_the_page():
    code = """
const file = await own.readDreamFile(Uint8Array.from(atob(given), (c) => c.charCodeAt(0)));
const rows = file.segments.map(({ start, noise, context: { frames, actions, shape } }) =>
  [start, noise.seed, noise.step, [...frames].map(Number), [...actions].map(Number), shape]);
return [file.bundle_hash, file.actions, [...file.rewards], [...file.outcomes], rows];
"""
    file = dream_file()
    found = run("dream_file.js", code, base64.b64encode(file.to_bytes()).decode())
    frames, again = file.context_frames, file.segments[0].frames
    assert found == [
        file.bundle_hash,
        [0, 1, 2],
        [0.0, 0.5, -1.0],
        [0, 0, 1],
        [
            [0, str(file.noise[0]), 3, frames.ravel().tolist(), [1], [2, 4, 4, 3]],
            [2, "5", 9, again.ravel().tolist(), [0], [2, 4, 4, 3]],
        ],
    ]


def test_a_dream_file_of_the_page_is_read_by_python():
    code = """
const frame = Uint8Array.from({ length: 48 }, (_, i) => i), context = {
  frames: Uint8Array.from([...frame, ...frame]), actions: BigInt64Array.of(1n) };
const { ActionSpace } = await import(given);
const spec = { world: "counting", frame_shape: [4, 4, 3], action_names: ["a", "b", "c"] };
const dream = { entry: { name: "counting", hashes: ["ab"] }, spec, space: new ActionSpace(spec) };
const state = { frame, noise: { seed: 2147483647, step: 1 } };
const recorder = new own.Recorder(dream, 2147483647, state, context);
recorder.add(2, { state, reward: 0.5, terminated: false, truncated: false });
const branch = recorder.copy();
branch.resync(state, context);
branch.add(1, { state, reward: -1, terminated: true, truncated: false });
const text = async (r) => btoa(String.fromCharCode(...(await r.bytes("1.0"))));
return [await text(recorder), await text(branch)];
"""
    shown = np.arange(48, dtype=np.uint8)
    texts = run("dream_file.js", code, (STATIC / "actions.js").as_uri())
    first, second = (DreamFile.from_bytes(base64.b64decode(text)) for text in texts)
    assert first.actions.tolist() == [2] and first.segments == ()
    assert second.actions.tolist() == [2, 1] and second.outcomes.tolist() == [0, 1]
    assert second.rewards.tolist() == [0.5, -1.0] and second.noise == (2**31 - 1, 1)
    assert second.segments[0].start == 1 and second.context_frames.shape == (2, 4, 4, 3)
    assert second.frames_hash == hashlib.sha256(np.tile(shown, 3).tobytes()).hexdigest()


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
def test_the_page_shows_of_stacked_frames_what_python_shows(channels):
    frame = np.random.default_rng(0).integers(0, 256, (4, 6, channels), np.uint8)
    code = "return [...own.rgb(Uint8Array.from(given.frame), given.shape)]"
    given = {"frame": frame.ravel().tolist(), "shape": frame.shape}
    assert run("dream_file.js", code, given) == to_rgb(frame).ravel().tolist()


@pytest.mark.parametrize("damage", ["cut", "foreign", "huge"])
def test_a_damaged_file_is_a_sentence(damage):
    data = dream_file().to_bytes()
    data = {"cut": data[:-30], "foreign": b"no zip", "huge": data}[damage]
    most = 100 if damage == "huge" else 2**20
    code = """
const bytes = Uint8Array.from(atob(given.data), (c) => c.charCodeAt(0));
return own.readZip(bytes, given.most).then(() => "read", (error) => error.message);
"""
    found = run("zip.js", code, {"data": base64.b64encode(data).decode(), "most": most})
    assert found == ("it unpacks to more than 0 MB" if damage == "huge" else "it is no zip archive")


@pytest.mark.parametrize(
    "card, expected",
    [
        ({"time": 5, "value": 7}, 4),
        ({"time": 5, "value": 8}, 4),  # one gray level is rounding
        ({"time": 5, "value": 9}, 0),
        ({"time": 19, "value": 7}, 0),
        ({"time": 5, "value": 7, "reward": 1}, 0),
    ],
    ids=["faster", "by rounding", "another frame", "hardly faster", "another reward"],
)
def test_a_card_computes_the_dream_where_it_is_faster_and_dreams_the_same(card, expected):
    code = """
let time = 0;
const wasm = { time: 20, value: 7, reward: 0 };
const step = async (state, action, { time: own, value, reward = 0 }) => {
  time += own;
  return { state: { frame: Uint8Array.of(value) }, reward, terminated: false };
};
const dream = { begin: () => ({}), step, stepGraph: wasm, space: { draw: () => 0 } };
return own.gainOf(dream, given, (work) => work(), () => time);
"""
    assert run("webgpu.js", code, card) == expected
