// The worker that dreams: messages of the page in, frames out. What runs at once are messages and steps, one after another.
import * as ort from "../runtime/ort.wasm.bundle.min.mjs";
import { Dream } from "./dream.js";
import { readDreamFile } from "./dream_file.js";
import { GAMES } from "./games.js";
import { Session, newSeed } from "./session.js";
import { gainOf, openOnCard } from "./webgpu.js";
import { openAgents } from "./agents.js";

const SITE = new URL("../", import.meta.url), RATE_STEPS = 32, PATIENCE = 2000; // milliseconds, so that the first frames come first
let site, session = null, turn = Promise.resolve(), timer, due = 0, shown = "", times = [];

ort.env.wasm.numThreads = 1; // threads need headers that a static host does not send
ort.env.wasm.wasmPaths = { wasm: new URL("runtime/ort-wasm-simd-threaded.wasm", SITE).href };
ort.env.logLevel = "error";

async function load(path) {
  const answer = await fetch(new URL(path, SITE));
  if (!answer.ok) throw new Error(`${path} is missing on this site (${answer.status})`);
  return answer;
}

async function choose({ bundle }) {
  const entry = site.dreams.find(({ name }) => name === bundle), folder = (file) => load(`dreams/${entry.folder}/${file}`);
  // the exporter has folded what can be: the runtime's own search takes as long as all else here, and no step is quicker
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" };
  const dream = await Dream.open(ort, entry, folder, options);
  const agents = await openAgents(ort, entry.agents, folder, options, dream.space);
  const openGame = entry.twin ? () => GAMES[entry.world](load) : null;
  const opened = new Session(dream, agents, openGame, (message) => postMessage(message));
  await opened.newGame(newSeed());
  session = opened;
  postMessage(session.about());
  session.postSnapshots();
  setTimeout(() => useCard(dream, folder).catch(() => {}), PATIENCE); // without it the dream goes on as it is
}

async function useCard(dream, folder) {
  const graph = await openOnCard(site, SITE, folder);
  const inTurn = (work) => { const done = turn.then(work); turn = done.catch(() => {}); return done; };
  const gain = graph && (await gainOf(dream, graph, inTurn));
  if (!gain || session.dream !== dream) return;
  await inTurn(() => { dream.stepGraph = graph; });
  postMessage({ type: "notice", message: `WebGPU computes this dream now, ${gain.toFixed(1)} times as fast` });
}

async function watch({ bytes }) {
  try {
    const file = await readDreamFile(bytes), fits = ({ hashes }) => hashes.includes(file.bundle_hash);
    const entry = site.dreams.find(fits) ?? site.dreams.find(({ world }) => world === file.world);
    if (!entry) throw new Error(`it is a dream of '${String(file.world).slice(0, 40)}', and there is no bundle of that world here`);
    if (entry.name !== session.dream.entry.name) await choose({ bundle: entry.name });
    await session.watch(file);
    postMessage({ type: "watched", wrong: "" });
  } catch (error) {
    postMessage({ type: "watched", wrong: `This file cannot be watched: ${error.message}.` });
  }
}

const handlers = {
  choose,
  watch,
  async save() { postMessage({ type: "file", ...(await session.file(site.version)) }); },
};

onmessage = ({ data }) => {
  turn = turn.then(() => handle(data)).catch(broken);
};

async function handle(message) {
  const before = session;
  if (handlers[message.type]) await handlers[message.type](message);
  else await session?.apply(message);
  if (session !== before) due = performance.now();
  show();
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (session && !session.still) timer = setTimeout(() => { turn = turn.then(tick).catch(broken); }, Math.max(0, due - performance.now()));
}

async function tick() {
  const now = performance.now();
  if (!session || session.still || now < due - 1) return schedule();
  due = Math.max(due + session.period, now); // what is late is not made up for
  await session.tick();
  times = [...times, performance.now()].slice(-RATE_STEPS);
  show();
  schedule();
}

function show() {
  if (!session) return;
  const { header, views } = session.show(), sizes = views.map(({ name, width, height }) => ({ name, width, height }));
  const facts = JSON.stringify([header, sizes]);
  if (facts === shown) return; // nothing has moved
  shown = facts;
  const pixels = new Uint8ClampedArray(views.reduce((sum, view) => sum + view.pixels.length, 0));
  views.reduce((at, view) => (pixels.set(view.pixels, at), at + view.pixels.length), 0);
  const seconds = (times.at(-1) - times[0]) / 1000, fps = seconds > 0 ? (times.length - 1) / seconds : 0;
  postMessage({ type: "frame", header: { ...header, fps, views: sizes }, pixels: pixels.buffer }, [pixels.buffer]);
}

function broken(error) {
  postMessage({ type: "closing", code: 1011, message: `the dream broke off: ${error.message}` });
}

turn = load("site.json").then(async (answer) => {
  site = await answer.json();
  postMessage({ type: "hello", bundles: site.dreams.map(({ name, world, about }) => ({ name, world, about })) });
}).catch(broken);
