"""Dreams whose actions have parts as exported folders, played by the scripts of the page in node
with its runtime: `pytest -m slow`.
"""

from __future__ import annotations

import base64
import functools
import json

import numpy as np
import pytest
from gymnasium import spaces
from torch.distributions import Bernoulli

from agents.ppo import player, policy_file
from agents.ppo.presets import PPOSettings
from collectors.action_space import ActionSpace
from neural_envs import bundles
from neural_envs.backends.graph_files import cache_folder
from neural_envs.cli import trained_agent
from neural_envs.env import NeuralEnv
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.replays.replay_file import DreamFile, replay
from neural_envs.web_export import command, runtime
from neural_envs.web_export.config import ExportWebConfig
from tests.neural_envs.javascript import needs_node, run
from tests.neural_envs.test_dream_actions import BOX, LATE, PAD
from tests.neural_envs.web_site import save_dream

RUNTIME = cache_folder() / "runtime" / f"{runtime.PACKAGE}-{runtime.VERSION}"
pytestmark = [
    pytest.mark.slow,
    needs_node,
    pytest.mark.skipif(not RUNTIME.is_dir(), reason="no page was exported here: no runtime"),
]
for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)
GAMES = {  # untrained models of tokens make one frame of every action
    "box": (BOX, "chance"),
    "pad": (PAD, "chance"),
    "late": (LATE, "chance"),
    "buttons": (spaces.MultiBinary(2), "tokens"),
}
SEED, STEPS = 7, 12
# what a page has but node has not: files of the site by their addresses
PAGE = """
const { readFileSync } = await import("node:fs");
const load = async (file) => new Response(readFileSync(`${given.folder}/${file}`));
const of = (file) => import(`file://${given.static}/${file}`);
const ort = await import(`file://${given.runtime}/ort.wasm.bundle.min.mjs`);
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = readFileSync(`${given.runtime}/ort-wasm-simd-threaded.wasm`);
const { Dream } = await of("dream.js"), { openAgents } = await of("agents.js");
const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" };
const dream = await Dream.open(ort, given.entry, load, options);
const text = (bytes) => Buffer.from(bytes).toString("base64");
"""
SESSION = """
const agents = await openAgents(ort, given.entry.agents, load, options, dream.space), posted = [];
const session = new own.Session(dream, agents, null, (message) => posted.push(message));
await session.newGame(given.seed);
const frames = [session.score.frame];
const step = async () => { await session.tick(); frames.push(session.score.frame); };
"""


def save_agent(space, folder) -> str:
    """An untrained agent of the game."""
    known = ActionSpace.from_gymnasium(space).encoded().stored()
    stored = {"frames": [3, 16, 24], "actions": known, "lanes": 1, "num_timesteps": 0}
    model = policy_file.make_ppo(None, PPOSettings(features_dim=16, width=4), 0, stored)
    return str(policy_file.save_policy(model, folder / "policy.zip"))


@pytest.fixture(scope="module", params=GAMES)
def exported(request, tmp_path_factory):
    """The bundle's directory, the site, and its row of the list."""
    (space, kind), folder = GAMES[request.param], tmp_path_factory.mktemp(request.param)
    name, agent = save_dream(space, kind, folder / "mine"), save_agent(space, folder)
    out = folder / "site"
    command.run(ExportWebConfig((name,), str(out), (agent,), webgpu=False), trained_agent)
    (entry,) = json.loads((out / "site.json").read_text())["dreams"]
    return name, out, entry


@pytest.fixture
def on_page(exported):
    """Runs code on a page of the site: `own` is session.js, and see PAGE."""
    _, out, entry = exported
    given = {"static": str(out / "static"), "folder": str(out / "dreams" / entry["folder"])}
    given |= {"runtime": str(RUNTIME), "entry": entry, "seed": SEED}
    return functools.partial(_run, given)


def _run(given, code: str, **more):
    return run("session.js", PAGE + code, given | more)


def pixels(data: str, shape) -> np.ndarray:
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, *shape).astype(int)


def test_a_seed_and_actions_are_the_same_dream_as_in_python(exported, on_page):
    name, _, entry = exported
    env = NeuralEnv(name)
    env.action_space.seed(0)
    frames, rows = [env.reset(seed=SEED)[0]], []
    actions = [env.action_space.sample() for _ in range(STEPS)]
    for action in actions:
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        rows.append([reward, terminated, truncated])
    code = """
let state = dream.begin(given.seed);
const frames = [state.frame], rows = [];
for (const action of given.actions) {
  const done = await dream.step(state, action);
  state = done.state;
  frames.push(state.frame);
  rows.push([done.reward, done.terminated, done.truncated]);
}
return [text(Buffer.concat(frames)), rows];
"""
    data, found = on_page(code, actions=np.array(actions).tolist())
    assert found == rows
    assert np.abs(pixels(data, entry["spec"]["frame_shape"]) - np.stack(frames)).max() <= 1


def test_what_keys_buttons_and_players_do_is_a_file_that_python_dreams_the_same(exported, on_page):
    """A key, every button, two keys at once, then random play and an agent."""
    name, _, entry = exported
    code = (
        SESSION
        + """
const about = session.about(), both = given.entry.keys.at(-1).keys;
await session.apply({ type: "key", key: given.entry.keys[1].keys[0], down: true });
await step();
await session.apply({ type: "release" });
for (let action = 0; action < about.actions.length; action++) {
  for (const down of [true, false]) await session.apply({ type: "action", action, down });
  await step();
}
for (const key of both) await session.apply({ type: "key", key, down: true });
session.keys.taps = [];
await step();
for (const name of about.policies) {
  await session.apply({ type: "player", name });
  await step();
  await step();
}
const { bytes } = await session.file("1.0");
return [text(bytes), text(Buffer.concat(frames)), about];
"""
    )
    data, shown, about = on_page(code)
    file = DreamFile.from_bytes(base64.b64decode(data))
    taken, choices, keys = file.actions.tolist(), entry["choices"], entry["keys"]
    assert about["actions"] == [choice["name"] for choice in choices] and about["keys"]
    assert taken[0] == keys[1]["action"] and taken[len(choices) + 1] == keys[-1]["action"]
    assert taken[1 : len(choices) + 1] == [choice["action"] for choice in choices]
    assert len(taken) == len(choices) + 6 and about["policies"][0] == "random"
    frames = np.stack(list(replay(file, name)))
    assert np.abs(pixels(shown, entry["spec"]["frame_shape"]) - frames).max() <= 1
    assert file.bundle_hash in entry["hashes"]


def test_a_file_of_python_is_watched_and_its_frames_are_the_same(exported, on_page):
    """One that starts at a context of the bundle, goes on from other frames, and ends."""
    name, _, entry = exported
    env, recorder, generator = NeuralEnv(name), DreamRecorder(), np.random.default_rng(0)
    env.action_space.seed(1)
    frames = [env.reset(seed=SEED)[0]]
    recorder.start(env, SEED)
    for number in range(STEPS):
        if number == STEPS // 2:
            length = env.context_length
            given = generator.integers(0, 256, (length, *frames[0].shape), np.uint8)
            between = np.array([env.action_space.sample() for _ in range(length - 1)])
            env.continue_from((given, between))
            recorder.resync((given, between))
        action = env.action_space.sample()
        frame, reward, terminated, truncated, _ = env.step(action)
        recorder.add(action, frame, reward, terminated, truncated)
        frames.append(frame)
    code = (
        SESSION
        + """
const { readDreamFile } = await of("dream_file.js");
await session.watch(await readDreamFile(Uint8Array.from(Buffer.from(given.file, "base64"))));
const found = [session.replay.state.frame];
while (!session.replay.over) { await session.tick(); found.push(session.replay.state.frame); }
return [text(Buffer.concat(found)), session.show().header, posted];
"""
    )
    file = base64.b64encode(recorder.file().to_bytes()).decode()
    shown, header, posted = on_page(code, file=file)
    apart = np.abs(pixels(shown, entry["spec"]["frame_shape"]) - np.stack(frames))
    assert apart.max() <= 1 and posted == []
    assert header["step"] == header["steps"] == STEPS


def test_an_agent_on_the_page_says_what_the_agent_says(exported, on_page):
    """The probabilities of all parts; of a Box means and deviations."""
    name, out, entry = exported
    code = (
        SESSION
        + """
const { readFileSync: read } = await import("node:fs");
const agent = agents[given.entry.agents[0].name], { graph } = agent;
const input = new ort.Tensor("uint8", Uint8Array.from(given.frame), [1, 16, 24, 3]);
const found = await graph.run({ [graph.inputNames[0]]: input });
return [...found[graph.outputNames[0]].data];
"""
    )
    frame = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    found = on_page(code, frame=frame.ravel().tolist())
    agent = player._agent(str(out.parent / "policy.zip"))
    predicted = player._distribution(agent, frame)
    if bundles.load(name).model.spec.actions.is_box:
        expected = np.concatenate([predicted.mean[0], predicted.stddev[0]])
    else:
        parts = predicted if isinstance(predicted, list) else [predicted]
        expected = np.concatenate([part.probs[0] for part in parts])
        if isinstance(predicted, Bernoulli):  # of being pressed; the page has both choices
            expected = np.stack([1 - expected, expected], 1).ravel()
    np.testing.assert_allclose(found, expected, atol=1e-5)
