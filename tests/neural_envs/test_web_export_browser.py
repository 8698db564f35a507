"""The exported folder in a real Chromium, from a plain file server alone: `pytest -m browser`."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from agents.ppo import player, policy_file
from agents.ppo.presets import PPOSettings
from neural_envs import bundles
from neural_envs.cli import trained_agent
from neural_envs.env import NeuralEnv
from neural_envs.replays.replay_file import DreamFile
from neural_envs.web_export import command
from neural_envs.web_export.config import ExportWebConfig
from neural_envs.web_export.runtime import RuntimeCopyError

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("onnxscript")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium: apt install chromium"),
]
BUNDLES = ("snake", "pong", "coinrun", "worldmap")
PATIENCE = 90_000  # milliseconds; a busy machine takes its time
SEED, STEPS = 7, 500
# 500 steps in the page; a new game of the next seed where one ends; frames as a long row of bytes
PLAY = """async ([name, seed, actions]) => {
  const { Dream } = await import("/static/dream.js");
  const ort = await import("/runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: "/runtime/ort-wasm-simd-threaded.wasm" };
  const { dreams } = await (await fetch("/site.json")).json();
  const entry = dreams.find((one) => one.name === name);
  const load = (file) => fetch(`/dreams/${entry.folder}/${file}`);
  const dream = await Dream.open(ort, entry, load, { executionProviders: ["wasm"] });
  const frames = [], outcomes = [];
  let state = dream.begin(seed);
  frames.push(state.frame);
  for (const action of actions) {
    const done = await dream.step(state, action);
    state = done.state;
    frames.push(state.frame);
    outcomes.push([done.reward, done.terminated, done.truncated, done.trust]);
    if (state.finished) { state = dream.begin(++seed); frames.push(state.frame); }
  }
  const blob = new Blob(frames), reader = new FileReader();
  await new Promise((done) => { reader.onload = done; reader.readAsDataURL(blob); });
  return [outcomes, reader.result.split(",")[1]];
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """The file of an untrained agent that sees the last two frames of Snake."""
    stored = {"frames": [6, 64, 64], "actions": 4, "lanes": 1, "num_timesteps": 0}
    model = policy_file.make_ppo(None, PPOSettings(features_dim=16, width=4, stack=2), 0, stored)
    path = tmp_path_factory.mktemp("untrained") / "policy.zip"
    return str(policy_file.save_policy(model, path, policy_file.Origin("snake")))


@pytest.fixture(scope="module")
def site(tmp_path_factory, agent):
    """The exported folder; $NEURAL_ENVS_SITE is one that is there already."""
    given = os.environ.get("NEURAL_ENVS_SITE")
    if given:
        return given
    folder = tmp_path_factory.mktemp("site")
    try:
        config = ExportWebConfig(BUNDLES, str(folder), (agent,), overwrite=True)
        command.run(config, trained_agent)
    except RuntimeCopyError as error:
        pytest.skip(str(error))
    return str(folder)


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def new_page(browser, address):
    """Makes pages that may ask for nothing but files of the site, and may not complain."""
    complaints, foreign, contexts = [], [], []

    def route(request):
        if request.request.url.startswith(address):
            return request.continue_()
        foreign.append(request.request.url)
        return request.abort()

    def make(**options):
        context = browser.new_context(**{"viewport": {"width": 1360, "height": 860}, **options})
        context.route("**/*", route)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
        contexts.append(context)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == [] and foreign == []


def shows(page, selector: str, text: str) -> None:
    sync_api.expect(page.locator(selector)).to_contain_text(text, timeout=PATIENCE)


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def step_of(page) -> int:
    return int(page.text_content("#step").split("/")[0])


def pixels(page) -> str:
    return page.eval_on_selector("#views canvas", "canvas => canvas.toDataURL()")


def dreamed(name: str) -> tuple[list[int], list, np.ndarray]:
    """Actions, outcomes and all frames of the same games in Python."""
    env, generator, seed = NeuralEnv(name), np.random.default_rng(3), SEED
    actions = np.repeat(generator.integers(0, int(env.action_space.n), STEPS), 4)[:STEPS].tolist()
    frames, outcomes = [env.reset(seed=seed)[0]], []
    for action in actions:
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        outcomes.append([reward, terminated, truncated, info["trust"]])
        if terminated or truncated:
            seed += 1
            frames.append(env.reset(seed=seed)[0])
    return actions, outcomes, np.stack(frames)


def released_kind(name: str) -> str:
    return json.loads((bundles.resolve_bundle(name) / "config.json").read_text())["kind"]


@pytest.mark.parametrize("name", BUNDLES)
def test_a_seed_and_actions_are_the_same_dream_as_in_python(name, address, new_page):
    """Rewards and ends of 500 steps are equal; frames within two gray levels. A diffusion model
    feeds roundings back, so where one pixel is off by more, its share is held to 1 in 1000.
    """
    import base64

    actions, expected, frames = dreamed(name)
    page = new_page()
    page.goto(f"{address}/LICENSES.txt")
    found, data = page.evaluate(PLAY, [name, SEED, actions])
    other = np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, *frames.shape[1:])
    assert len(other) == len(frames)
    assert [row[1:3] for row in found] == [row[1:3] for row in expected]
    wrong = sum(a[0] != b[0] for a, b in zip(found, expected, strict=True))
    off = float((np.abs(other.astype(int) - frames) > 2).mean())
    print(f"{name}: {wrong} of {STEPS} rewards differ, {off:.2g} of the values by more than 2")
    if released_kind(name) == "diffusion":
        assert wrong <= 2 and off < 1e-3
    else:
        assert (wrong, off) == (0, 0.0)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_page_loads_soon_and_plays_fast_enough(name, address, new_page):
    page = new_page()
    begin = time.monotonic()
    page.goto(f"{address}/#world={name}&bundle={name}&seed={SEED}")
    page.wait_for_selector("#views canvas")
    seconds = time.monotonic() - begin
    page.wait_for_url(f"**/#world={name}&bundle={name}&seed={SEED}")
    assert page.evaluate("document.querySelectorAll('script:not([src]), style').length") == 0
    page.evaluate("const s = document.getElementById('speed'); s.value = 2; s.oninput()")
    page.select_option("#player", "random")
    wait_for(lambda: step_of(page) > 40)
    page.wait_for_timeout(4000)
    rate = float(page.text_content("#fps"))
    print(f"{name}: {seconds:.1f} s to the first frame, {rate:.0f} frames/s at four times its rate")
    if not os.environ.get("NEURAL_ENVS_BUSY"):  # a benchmark is a command, not a timed test
        assert seconds <= 3 and rate >= 30


def test_keys_snapshots_and_the_seed_in_the_link(address, new_page):
    page = new_page()
    page.goto(f"{address}/#world=snake&seed=5")
    shows(page, "#hint", "begin")
    start = pixels(page)
    page.keyboard.press("p")
    shows(page, "#pause", "Resume")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    wait_for(lambda: step_of(page) == 1)
    page.click("#take-snapshot")
    page.wait_for_selector(".snapshot")
    one = pixels(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("n")
    wait_for(lambda: step_of(page) == 2)
    assert pixels(page) != one != start
    page.click(".snapshot button")
    wait_for(lambda: step_of(page) == 1)
    assert pixels(page) == one
    assert page.text_content("#trust") == "1.00"
    again = new_page()
    again.goto(page.url)
    shows(again, "#hint", "begin")
    assert pixels(again) == start


def test_a_dream_is_saved_watched_again_and_read_by_python(address, new_page, tmp_path):
    page = new_page()
    page.goto(f"{address}/#world=snake&seed=5")
    page.wait_for_selector("#views canvas")
    page.select_option("#player", "random")
    wait_for(lambda: step_of(page) >= 2)
    page.click("#pause")
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "saved.dream"
    download.value.save_as(path)
    file = DreamFile.load(path)
    assert file.world == "snake" and len(file.actions) >= 2
    page.set_input_files("#file", path)
    shows(page, "#state", "a file")
    page.wait_for_function("document.getElementById('hint').textContent != ''")
    assert "damaged" not in page.text_content("#hint")
    (tmp_path / "other.dream").write_bytes(b"no dream")
    page.set_input_files("#file", tmp_path / "other.dream")
    shows(page, "#toast", "cannot be watched: it is no zip archive")


@pytest.mark.parametrize("world", ["snake", "pong", "worldmap"])
def test_the_real_game_beside_the_dream_begins_where_the_dream_does(world, address, new_page):
    page = new_page()
    page.goto(f"{address}/#world={world}&seed=5")
    page.wait_for_selector("#views canvas")
    page.click("#pause")
    shows(page, "#pause", "Resume")
    page.check("#show-real")
    page.check("#show-difference")
    sync_api.expect(page.locator("#views canvas")).to_have_count(3, timeout=PATIENCE)
    images = "cs => cs.map((c) => [...c.getContext('2d').getImageData(0, 0, 64, 64).data])"
    dream, real, difference = np.array(page.eval_on_selector_all("#views canvas", images))
    assert np.array_equal(dream, real) and difference.reshape(-1, 4)[:, :3].max() < 80
    page.keyboard.press("ArrowDown")
    for step in range(1, 4):
        page.click("#single-step")
        wait_for(lambda step=step: step_of(page) == step)
    dream, real, _ = np.array(page.eval_on_selector_all("#views canvas", images))
    assert np.abs(dream - real).mean() < 30
    page.click("#resync")
    shows(page, "#hint", "goes on from the real game at step 3")
    page.uncheck("#show-difference")
    page.uncheck("#show-real")
    sync_api.expect(page.locator("#views canvas")).to_have_count(1, timeout=PATIENCE)


def test_a_world_without_a_real_game_here_offers_none(address, new_page):
    page = new_page()
    page.goto(f"{address}/#world=coinrun")
    page.wait_for_selector("#views canvas")
    assert not page.is_visible("#compare")


def test_a_trained_agent_plays_with_the_probabilities_of_python(address, new_page, agent):
    page = new_page()
    page.goto(f"{address}/#world=snake&seed=5")
    page.wait_for_selector("#views canvas")
    (name,) = [n for n in page.locator("#player option").all_text_contents() if "agent" in n]
    page.select_option("#player", name)
    wait_for(lambda: step_of(page) >= 3)
    page.click("#pause")
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = page.evaluate(AGENT, [frame.ravel().tolist() for frame in frames])
    stack = np.concatenate([np.concatenate([frames[0] * 0, frames[0]], 2)[..., 3:], frames[1]], 2)
    expected = player._probabilities(player._agent(agent), stack[None])
    np.testing.assert_allclose(found, expected, atol=1e-5)


AGENT = """async (frames) => {
  const { openAgents } = await import("/static/agents.js");
  const ort = await import("/runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: "/runtime/ort-wasm-simd-threaded.wasm" };
  const { dreams } = await (await fetch("/site.json")).json();
  const rows = dreams.find((one) => one.name === "snake").agents;
  const load = (file) => fetch(`/dreams/snake/${file}`);
  const [agent] = Object.values(await openAgents(ort, rows, load, {}));
  let found;
  const run = agent.graph.run.bind(agent.graph), [output] = agent.graph.outputNames;
  const listening = async (given) => {
    const done = await run(given);
    found = done[output].data;
    return done;
  };
  agent.graph = { outputNames: [output], inputNames: agent.graph.inputNames, run: listening };
  for (const frame of frames) await agent.act(Uint8Array.from(frame), 0, 0.5);
  return [...found];
}"""


def test_touching_the_pad_plays_on_a_phone(address, new_page):
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.goto(f"{address}/#world=pong")
    wait_for(lambda: page.locator("#pad button:visible").count() == 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wait_for(lambda: step_of(page) >= 1)
    page.tap("#pad button[title=up]")
    wait_for(lambda: step_of(page) >= 3)


def renderer_bytes() -> int:
    """The memory of this process' renderers, WebAssembly's among it."""
    total, own = 0, str(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" not in (folder / "cmdline").read_bytes():
                continue
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines()
            )
            if own in ancestors(folder.name):
                total += 1024 * int(status["VmRSS"].split()[0])
        except (OSError, KeyError):
            continue
    return total


def ancestors(process: str) -> list[str]:
    found = []
    while process not in ("0", ""):
        text = (Path("/proc") / process / "status").read_text()
        process = dict(line.split(":", 1) for line in text.splitlines())["PPid"].strip()
        found.append(process)
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_stays_flat_over_five_thousand_steps(address, new_page):
    """What the page's process holds after 5 000 steps more is what it held before."""
    page = new_page()
    page.goto(f"{address}/LICENSES.txt")
    page.evaluate(MEMORY)
    memory = [renderer_bytes()]
    for _ in range(5):
        page.evaluate("steps(1000)")
        memory.append(renderer_bytes())
    print(f"memory after 500, 1500, ... 5500 steps, in MB: {[round(b / 1e6) for b in memory]}")
    assert memory[-1] - memory[0] < 0.1 * memory[0]


MEMORY = """async () => {
  const { Dream } = await import("/static/dream.js");
  const { Recorder } = await import("/static/dream_file.js");
  const ort = await import("/runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: "/runtime/ort-wasm-simd-threaded.wasm" };
  const { dreams } = await (await fetch("/site.json")).json();
  const entry = dreams.find((one) => one.name === "snake");
  const dream = await Dream.open(ort, entry, (file) => fetch(`/dreams/snake/${file}`), {});
  let seed = 1, state = dream.begin(seed);
  const record = () => new Recorder(dream, seed, state, dream.context(dream.startOf(seed)));
  let recorder = record();
  globalThis.steps = async (count) => {
    for (let i = 0; i < count; i++) {
      const done = await dream.step(state, i % 4);
      recorder.add(i % 4, done);
      state = done.state;
      if (state.finished) { state = dream.begin(++seed); recorder = record(); }
    }
  };
  await steps(500);
}"""


@pytest.mark.parametrize("lacking", ["WebAssembly", "DecompressionStream", "OffscreenCanvas"])
def test_an_old_browser_is_told_what_it_lacks(lacking, address, new_page):
    page = new_page()
    page.add_init_script(f"delete window.{lacking};")
    page.goto(address)
    shows(page, "#hint", f"it lacks {lacking}")
    assert page.text_content("#state") == "cannot play"
