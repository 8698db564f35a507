// The controls of the page: messages go to the source of the dream, a server or a worker of the page itself, and frames
// come. The source decides what a key means; it is what `play` is given, see socket.js.
import { drawViews, showKeys, showScore, showSnapshots, toast } from "./view.js";
import { buildPad, swipe } from "./pad.js";

const $ = (id) => document.getElementById(id);
const SHORTCUTS = { r: "new-game", p: "pause", n: "single-step", k: "take-snapshot", l: "resync" };
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
const MOST_STEPS = 32; // sampler steps that the server takes beside a model's own number
let open, source, bundles = [], dream = null, header = null, closed = false, unanswered = 0, watched = null, linked = { seed: null };
const heldKeys = new Set();

const send = (type, values = {}) => source.send(type, values);

// openSource(handlers) opens a source: {send(type, values), save(), watch(file) -> what is wrong with the file or ""}
export function play(openSource) {
  open = openSource;
  connect();
}

function connect() {
  let newest = null;
  closed = false;
  source = open({
    message: handleMessage,
    frame(...frame) { // header, data, where its pixels begin
      if (newest === null) requestAnimationFrame(() => { showFrame(...newest); newest = null; });
      newest = frame; // what came before it and was not drawn yet is skipped
    },
    closed: (title, text) => closed || showClosed(title, text),
  });
}

function handleMessage(message) {
  if (message.type === "hello") {
    ({ bundles } = message);
    fillWorlds();
    linked = readLink();
    const { world, bundle } = linked;
    const first = bundles.find((b) => b.name === bundle) ?? bundles.find((b) => b.world === world) ?? bundles[0];
    chooseBundle(first.name);
  } else if (message.type === "dream") startDream(message);
  else if (message.type === "snapshots") showSnapshots(message.snapshots, (id) => send("restore", { snapshot: id }), (id) => send("discard", { snapshot: id }));
  else if (message.type === "options") {
    unanswered = Math.max(0, unanswered - 1);
    if (unanswered) return; // the answer to an older choice must not undo a newer one
    $("player").value = message.player;
    $("show-real").checked = message.real;
    $("show-difference").checked = message.difference;
    if (header) showScore(header); // nothing is being opened any more
  } else if (message.type === "notice") toast(message.message);
  else if (message.type === "closing") showClosed({ 1013: "Busy", 4001: "Still there?" }[message.code] ?? "Connection closed", message.message);
}

const MAX_SEED = 2 ** 31 - 1;

// #world=snake&bundle=snake&seed=7 is the same dream again; #snake/snake was once written
function readLink() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) return { world: text.split("/")[0], bundle: text.split("/")[1], seed: null };
  const values = new URLSearchParams(text), seed = values.get("seed") ?? "";
  return { world: values.get("world"), bundle: values.get("bundle"), seed: /^[0-9]{1,10}$/.test(seed) ? Math.min(Number(seed), MAX_SEED) : null };
}

// the address of the game that is played, so that whoever opens it begins the same dream
function ownHash() {
  const { world, bundle } = dream;
  return `#${new URLSearchParams({ world, bundle, ...(header ? { seed: header.seed } : {}) })}`;
}

function showAddress() {
  if (location.hash !== ownHash()) history.replaceState(null, "", ownHash());
}

function showClosed(title, text) {
  closed = true;
  $("closed-title").textContent = title;
  $("closed-text").textContent = text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
  $("state").textContent = "offline";
  $("state").className = "badge off";
  if (!$("closed").open) $("closed").showModal();
}

function fillWorlds() {
  const worlds = [...new Set(bundles.map((b) => b.world))];
  $("world").replaceChildren(...worlds.map((world) => new Option(world)));
}

function chooseBundle(name) {
  const { world } = bundles.find((b) => b.name === name);
  $("world").value = world;
  $("bundle").replaceChildren(...bundles.filter((b) => b.world === world).map((b) => new Option(b.about ? `${b.name} (${b.about})` : b.name, b.name)));
  $("bundle").value = name;
  $("state").textContent = "loading";
  $("state").className = "badge";
  send("choose", { bundle: name });
}

function startDream(message) {
  dream = message;
  unanswered = 0;
  $("player").replaceChildren(new Option("you"), ...dream.policies.map((name) => new Option(name)));
  $("show-real").checked = $("show-difference").checked = false;
  $("sampler-steps-row").hidden = dream.sampler_steps === null;
  $("guidance-row").hidden = dream.guidance === null;
  $("temperature-row").hidden = dream.temperature === null;
  $("no-sliders").hidden = dream.sampler_steps !== null;
  $("no-sliders").textContent = dream.note ?? "This model draws a frame in one call: no sampler steps to choose.";
  $("compare").hidden = dream.twin === false;
  reach("sampler-steps", 16, dream.sampler_steps);
  reach("guidance", 4, dream.guidance);
  reach("temperature", 2, dream.temperature);
  dream.defaultSteps = dream.defaultGuidance = dream.defaultTemperature = true;
  showKeys(dream.keys ?? "");
  buildPad($("pad"), dream.actions, dream.idle, (action, down) => send("action", { action, down }));
  sendSettings();
  if (linked.seed !== null) send("new", { seed: linked.seed });
  linked.seed = null;
}

// every bundle's own setting is within the range of its slider
function reach(id, most, own) {
  if (own === null) return;
  $(id).max = Math.max(most, own);
  $(id).value = own;
}

function sendSettings() {
  const speed = 2 ** Number($("speed").value);
  $("speed-value").value = `${Number(speed.toFixed(2))}\u00d7`;
  $("sampler-steps-value").value = $("sampler-steps").value + (dream.defaultSteps ? " (default)" : "");
  $("guidance-value").value = Number($("guidance").value).toFixed(1) + (dream.defaultGuidance ? " (default)" : "");
  $("temperature-value").value = Number($("temperature").value).toFixed(1) + (dream.defaultTemperature ? " (default)" : "");
  send("settings", {
    speed,
    sampler_steps: dream.sampler_steps === null || dream.defaultSteps ? null : Number($("sampler-steps").value),
    guidance: dream.guidance === null || dream.defaultGuidance ? null : Number($("guidance").value),
    temperature: dream.temperature === null || dream.defaultTemperature ? null : Number($("temperature").value),
  });
}

function showFrame(newHeader, data, offset) {
  header = newHeader;
  if (dream && linked.seed === null && header.seed !== null && !header.replay) showAddress();
  drawViews(header, data, offset);
  showScore(header);
  sayOpening();
  $("resync").disabled = header.real === null;
  $("pause").textContent = header.paused ? "Resume" : "Pause";
  $("file-row").hidden = !header.replay;
  $("replay").disabled = watched === null;
}

const buttons = {
  "new-game": () => newGame(null),
  leave: () => newGame(null),
  replay: () => watched && watch(watched),
  "copy-link": copyLink,
  pause: () => send("pause", { on: !header?.paused }),
  "single-step": () => send("step"),
  "take-snapshot": () => send("snapshot"),
  resync: () => send("resync"),
};
for (const [id, click] of Object.entries(buttons)) {
  $(id).addEventListener("click", (event) => { click(); event.currentTarget.blur(); });
}
$("world").onchange = () => chooseBundle(bundles.find((b) => b.world === $("world").value).name);
$("bundle").onchange = () => chooseBundle($("bundle").value);
$("player").onchange = () => sendChoice("player", { name: $("player").value });
for (const select of document.querySelectorAll("select")) select.addEventListener("change", () => select.blur());
const sendChoice = (type, values) => { unanswered++; send(type, values); };
const sendViews = () => {
  sendChoice("views", { real: $("show-real").checked, difference: $("show-difference").checked });
  sayOpening();
};
// the first real game of a world may take seconds, in which nothing moves
function sayOpening() {
  const asked = $("show-real").checked || $("show-difference").checked;
  if (unanswered && asked && header?.real === null) $("hint").textContent = "opening the real game \u2026";
}
$("show-real").onchange = $("show-difference").onchange = sendViews;
$("speed").oninput = sendSettings;
$("sampler-steps").oninput = () => {
  const own = dream.sampler_steps;
  if (Number($("sampler-steps").value) > MOST_STEPS) $("sampler-steps").value = own;
  dream.defaultSteps = Number($("sampler-steps").value) === own;
  sendSettings();
};
$("guidance").oninput = () => { dream.defaultGuidance = Number($("guidance").value) === dream.guidance; sendSettings(); };
$("temperature").oninput = () => { dream.defaultTemperature = Number($("temperature").value) === dream.temperature; sendSettings(); };
// the arrows go back to the game once a slider was dragged; who reached it by Tab keeps it
for (const range of document.querySelectorAll("input[type=range]")) range.addEventListener("pointerup", () => range.blur());
$("seed-form").onsubmit = (event) => {
  event.preventDefault();
  newGame($("seed").value === "" ? null : Math.min(Number($("seed").value), MAX_SEED));
  $("seed").blur();
};
$("save").onclick = () => source.save();
$("open").onclick = () => $("file").click();
$("file").onchange = async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (file) await watch(file);
};

function newGame(seed) {
  send("new", { seed });
  if (header?.paused) send("pause", { on: false });
}

async function copyLink() {
  const link = `${location.origin}${location.pathname}${ownHash()}`;
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  toast(copied ? `Copied: ${link}` : link);
}

async function watch(file) {
  watched = file;
  const wrong = await source.watch(file);
  if (wrong) toast(wrong);
}
$("reconnect").onclick = () => { $("closed").close(); connect(); };

const isTyping = (event) => event.target.matches("input[inputmode], select, input[type=range]");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !dream || isTyping(event)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const plays = dream.letters.includes(key), presses = [" ", "Enter"].includes(key) && event.target.matches("button");
  if ((plays || ARROWS.includes(key) || key === " ") && !presses) event.preventDefault();
  if (event.repeat) return;
  if (SHORTCUTS[key] && !plays) return void $(SHORTCUTS[key]).click();
  if (plays || key.length === 1 || ARROWS.includes(key)) { heldKeys.add(key); send("key", { key, down: true }); }
});
addEventListener("keyup", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (heldKeys.delete(key)) send("key", { key, down: false });
});
addEventListener("blur", () => { heldKeys.clear(); send("release"); });
document.body.classList.toggle("touch", matchMedia("(pointer: coarse)").matches);
addEventListener("touchstart", () => document.body.classList.add("touch"), { once: true, passive: true });
swipe($("views"), $("pad"), (action, down) => send("action", { action, down }));
