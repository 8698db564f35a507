// The page's end of the line: messages out, pictures in, and the controls between. Keys mean what the server says.
import { draw, showKept, showScore, toast } from "./view.js";
import { buildPad } from "./pad.js";

const $ = (id) => document.getElementById(id);
const SHORTCUTS = { r: "new", p: "pause", n: "one", k: "keep", l: "resync" };
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
let socket, token, bundles = [], dream = null, header = null, over = false, heldKeys = new Set();

const send = (type, values = {}) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, ...values }));

function connect() {
  let received = 0, newest = null;
  over = false;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") return heed(JSON.parse(data));
    send("seen", { picture: ++received });
    if (newest === null) requestAnimationFrame(() => { show(newest); newest = null; });
    newest = data; // what came before it and was not drawn yet is skipped
  };
  socket.onclose = () => over || ended("The line is cut", "The server has gone, or the network has. Your dream was let go.");
}

function heed(message) {
  if (message.type === "hello") {
    ({ token, bundles } = message);
    fillWorlds();
    const [world, name] = location.hash.slice(1).split("/");
    const first = bundles.find((b) => b.name === name) ?? bundles.find((b) => b.world === world) ?? bundles[0];
    choose(first.name);
  } else if (message.type === "dream") begin(message);
  else if (message.type === "snapshots") showKept(message.kept, (id) => send("back", { snapshot: id }), (id) => send("forget", { snapshot: id }));
  else if (message.type === "chosen") {
    $("player").value = message.player;
    $("show-real").checked = message.real;
    $("show-difference").checked = message.difference;
  } else if (message.type === "notice") toast(message.message);
  else if (message.type === "end") ended({ 1013: "Busy", 4001: "Still there?" }[message.code] ?? "The visit is over", message.message);
}

function ended(title, text) {
  over = true;
  $("end-title").textContent = title;
  $("end-text").textContent = text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
  $("state").textContent = "offline";
  $("state").className = "badge off";
  if (!$("end").open) $("end").showModal();
}

function fillWorlds() {
  const worlds = [...new Set(bundles.map((b) => b.world))];
  $("world").replaceChildren(...worlds.map((world) => new Option(world)));
}

function choose(name) {
  const { world } = bundles.find((b) => b.name === name);
  $("world").value = world;
  $("bundle").replaceChildren(...bundles.filter((b) => b.world === world).map((b) => new Option(b.name)));
  $("bundle").value = name;
  $("state").textContent = "loading";
  $("state").className = "badge";
  send("choose", { bundle: name });
}

function begin(message) {
  dream = message;
  history.replaceState(null, "", `#${dream.world}/${dream.bundle}`);
  $("player").replaceChildren(new Option("you"), ...dream.policies.map((name) => new Option(name)));
  $("show-real").checked = $("show-difference").checked = false;
  $("steps-row").hidden = dream.steps === null;
  $("guidance-row").hidden = dream.guidance === null;
  $("no-sliders").hidden = dream.steps !== null;
  $("no-sliders").textContent = "This model draws a frame in one call: no sampler steps to choose.";
  if (dream.steps !== null) $("steps").value = dream.steps;
  if (dream.guidance !== null) $("guidance").value = dream.guidance;
  dream.ownSteps = dream.ownGuidance = true;
  buildPad($("pad"), dream.actions, dream.idle, (action, down) => send("act", { action, down }));
  tune();
}

function tune() {
  const speed = 2 ** Number($("speed").value);
  $("speed-value").value = `${Number(speed.toFixed(2))}\u00d7`;
  $("steps-value").value = $("steps").value + (dream.ownSteps ? " (its own)" : "");
  $("guidance-value").value = Number($("guidance").value).toFixed(1) + (dream.ownGuidance ? " (its own)" : "");
  send("tune", {
    speed,
    sampler_steps: dream.steps === null || dream.ownSteps ? null : Number($("steps").value),
    guidance: dream.guidance === null || dream.ownGuidance ? null : Number($("guidance").value),
  });
}

function show(data) {
  const length = new DataView(data).getUint32(0, true);
  header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  draw(header, data, 4 + length);
  showScore(header);
  $("resync").disabled = header.real === null;
  $("pause").textContent = header.paused ? "Go on" : "Pause";
}

const actions = {
  new: () => send("new"),
  pause: () => send("pause", { on: !header?.paused }),
  one: () => send("step"),
  keep: () => send("keep"),
  resync: () => send("resync"),
};
for (const [id, act] of Object.entries(actions)) {
  $(id).addEventListener("click", (event) => { act(); event.currentTarget.blur(); });
}
$("world").onchange = () => choose(bundles.find((b) => b.world === $("world").value).name);
$("bundle").onchange = () => choose($("bundle").value);
$("player").onchange = () => send("player", { name: $("player").value });
for (const select of document.querySelectorAll("select")) select.addEventListener("change", () => select.blur());
const panes = () => send("panes", { real: $("show-real").checked, difference: $("show-difference").checked });
$("show-real").onchange = $("show-difference").onchange = panes;
$("speed").oninput = tune;
$("steps").oninput = () => { dream.ownSteps = false; tune(); };
$("guidance").oninput = () => { dream.ownGuidance = false; tune(); };
$("seeded").onsubmit = (event) => {
  event.preventDefault();
  send("new", { seed: $("seed").value === "" ? null : Number($("seed").value) });
  $("seed").blur();
};
$("save").onclick = () => { if (token) location.assign(`/dreams/${token}`); };
$("open").onclick = () => $("file").click();
$("file").onchange = async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (!file) return;
  const answer = await fetch(`/dreams/${token}`, { method: "POST", body: file }).catch(() => null);
  const said = answer && (await answer.json().catch(() => ({})));
  if (!answer?.ok) toast(said?.error ?? "The file could not be sent.");
};
$("again").onclick = () => { $("end").close(); connect(); };

const typing = (event) => event.target.matches("input[inputmode], select, input[type=range]");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !dream || typing(event)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (ARROWS.includes(key) || (key === " " && !event.target.matches("button"))) event.preventDefault();
  if (event.repeat) return;
  if (SHORTCUTS[key] && !dream.letters.includes(key)) return void $(SHORTCUTS[key]).click();
  if (key.length === 1 || ARROWS.includes(key)) { heldKeys.add(key); send("key", { key, down: true }); }
});
addEventListener("keyup", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (heldKeys.delete(key)) send("key", { key, down: false });
});
addEventListener("blur", () => { heldKeys.clear(); send("release"); });
document.body.classList.toggle("touch", matchMedia("(pointer: coarse)").matches);
addEventListener("touchstart", () => document.body.classList.add("touch"), { once: true, passive: true });
connect();
