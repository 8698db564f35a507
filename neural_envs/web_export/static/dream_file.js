// `.dream` files, as neural_envs/replays/ writes and reads them: a start, actions and outcomes; frames are dreamed again.
import { readNpy, readZip, writeNpy, writeZip } from "./zip.js";
import { Sha256 } from "./sha256.js";

const RUNNING = 0, TERMINATED = 1, TRUNCATED = 2, FORMAT = 1, MOST_BYTES = 32 << 20, MOST_STEPS = 20_000;
const OWN_SETTINGS = { sampler_steps: null, guidance: null, temperature: null };
const ENDINGS = { [TERMINATED]: "game over", [TRUNCATED]: "stopped" };
// seeds have 64 bits, numbers of JavaScript 53: they are read as texts
const STREAMS = /("noise":\s*\[\s*)(-?\d+)(\s*,\s*)(\d+)/g;

// what has been dreamed since the last new game, to be written as a file
export class Recorder {
  constructor(dream, seed, state, context, other = null) {
    Object.assign(this, { dream, seed, first: { noise: state?.noise, context } });
    if (other) Object.assign(this, other);
    this.segments = [...(other?.segments ?? [])];
    for (const column of ["actions", "rewards", "outcomes"]) this[column] = [...(other?.[column] ?? [])];
    this.digest = new Sha256(other?.digest);
    if (!other) this.digest.update(rgb(state.frame, dream.spec.frame_shape));
  }

  add(action, { state, reward, terminated, truncated }) {
    this.actions.push(action);
    this.rewards.push(reward);
    this.outcomes.push(terminated ? TERMINATED : truncated ? TRUNCATED : RUNNING);
    this.digest.update(rgb(state.frame, this.dream.spec.frame_shape));
  }

  resync(state, context) { this.segments.push({ start: this.actions.length, noise: state.noise, context }); }

  copy() { return new Recorder(null, null, null, null, this); }

  bytes(version) {
    const { entry, spec, space } = this.dream, parts = {}, count = this.actions.length;
    const context = ({ frames, actions }, prefix, tail = "") => {
      const length = frames.length / spec.frame_shape.reduce((a, b) => a * b);
      parts[`${prefix}frames${tail}.npy`] = writeNpy(frames, [length, ...spec.frame_shape]);
      parts[`${prefix}actions${tail}.npy`] = writeNpy(actions, [length - 1, ...space.row]);
    };
    context(this.first.context, "context_");
    parts["actions.npy"] = writeNpy(space.array(this.actions), [count, ...space.row]);
    parts["rewards.npy"] = writeNpy(Float32Array.from(this.rewards), [count]);
    parts["ends.npy"] = writeNpy(Uint8Array.from(this.outcomes), [count]);
    this.segments.forEach((segment, i) => context(segment.context, `segment_${i}_`));
    const stream = ({ seed, step }) => [`#${seed}`, `#${step}`];
    const head = {
      format_version: FORMAT, bundle: entry.name, bundle_hash: entry.hashes[0], world: spec.world, seed: this.seed,
      noise: stream(this.first.noise), settings: { ...OWN_SETTINGS, backend: "eager", min_trust: null }, frames_hash: this.digest.hex(),
      platform: { torch: "none: ONNX Runtime Web", capability: "WebAssembly SIMD", machine: "browser", threads: 1, neural_envs: version },
      segments: this.segments.map(({ start, noise }) => ({ start, noise: stream(noise), settings: OWN_SETTINGS })),
    };
    const text = JSON.stringify(head, null, 1).replace(/"#(-?\d+)"/g, "$1"); // whole numbers of any size
    return writeZip({ "dream.json": new TextEncoder().encode(text), ...parts });
  }
}

// what a file says; an Error says what is wrong with it
export async function readDreamFile(bytes) {
  const members = await readZip(bytes, MOST_BYTES);
  if (!members["dream.json"]) throw new Error("it is no dream");
  const text = new TextDecoder().decode(members["dream.json"]).replace(STREAMS, '$1"$2"$3"$4"');
  const head = JSON.parse(text), array = (name) => (members[`${name}.npy`] ? readNpy(members[`${name}.npy`]) : null);
  if (head.format_version !== FORMAT) throw new Error(`it has format ${head.format_version}, this page reads ${FORMAT}`);
  const rewards = array("rewards").array, outcomes = array("ends").array, taken = array("actions"), [steps, width] = taken.shape;
  if (steps > MOST_STEPS) throw new Error(`it has ${steps} steps; at most ${MOST_STEPS} can be watched here`);
  const numbers = [...taken.array].map(Number); // of actions in parts a row each
  const actions = width === undefined ? numbers : Array.from({ length: steps }, (_, i) => numbers.slice(i * width, (i + 1) * width));
  const stream = ([seed, step]) => ({ seed: BigInt(seed), step: Number(step) });
  const context = (prefix) => {
    const frames = array(`${prefix}frames`), own = array(`${prefix}actions`);
    return frames && own && { frames: frames.array, shape: frames.shape, actions: own.array, taken: own };
  };
  const first = { start: 0, noise: stream(head.noise), settings: head.settings, context: context("context_") };
  const others = head.segments.map((row, i) => ({ ...row, noise: stream(row.noise), context: context(`segment_${i}_`) }));
  if (rewards.length !== actions.length || outcomes.length !== actions.length || !first.context) throw new Error("its parts do not fit together");
  return { ...head, actions, taken, rewards, outcomes, segments: [first, ...others] };
}

// a file that is dreamed again while somebody watches
export class Replay {
  constructor(dream, file) {
    Object.assign(this, { dream, file, step: 0, return: 0, reward: 0, paused: false, state: null });
    const { entry, spec, space } = dream, length = dream.starts.frames.shape[1];
    this.remark = entry.hashes.includes(file.bundle_hash) ? "" : `the bundle '${entry.name}' has other weights or settings than the one that dreamed it`;
    const contexts = file.segments.map(({ context }) => context).filter(Boolean);
    if (contexts.some(({ shape }) => String(shape) !== String([length, ...spec.frame_shape]))) throw new Error("its frames are of another size");
    const known = space.fits(file.taken, file.actions.length) && contexts.every(({ taken }) => space.fits(taken, length - 1));
    if (!known) throw new Error("it has actions that its world does not know");
    for (const { settings } of file.segments) {
      const foreign = ["sampler_steps:steps", "guidance:guidance", "temperature:temperature"].map((pair) => pair.split(":"))
        .filter(([name, own]) => settings[name] != null && settings[name] !== entry.options[own]);
      if (foreign.length) throw new Error(`it was dreamed with another ${foreign[0][0].replace("_", " ")} than this page has`);
    }
  }

  async begin() {
    await this.segment();
    this.digest = new Sha256().update(rgb(this.state.frame, this.dream.spec.frame_shape));
    return this;
  }

  get over() { return this.step === this.file.actions.length; }

  async next() {
    if (this.over) return;
    if (this.step) await this.segment();
    const { state } = await this.dream.step(this.state, this.file.actions[this.step]);
    this.state = state;
    this.reward = this.file.rewards[this.step++];
    this.return += this.reward;
    this.digest.update(rgb(state.frame, this.dream.spec.frame_shape));
    if (this.over && !this.remark && this.digest.hex() !== this.file.frames_hash) this.remark = "the frames differ by rounding from those that were recorded";
  }

  async segment() { // set the dream to what the segments that begin at this step begin with
    for (const { start, noise, context } of this.file.segments) {
      if (start !== this.step) continue;
      this.state = context ? await this.dream.beginFrom(context, noise) : { ...this.state, noise };
    }
  }

  header() {
    const outcome = this.step ? this.file.outcomes[this.step - 1] : RUNNING;
    return {
      step: this.step, steps: this.file.actions.length, reward: this.reward, return: this.return, trust: null,
      ending: ENDINGS[outcome] ?? (this.over ? "end of the file" : ""), game: 1, seed: this.file.seed, paused: this.paused,
      waiting: false, player: "file", message: this.over ? this.remark : "", real: null, replay: true,
    };
  }
}

// the pixels of a frame as they are shown, three bytes each: as collectors/media.py has them, of stacked frames the newest
export function rgb(frame, shape) {
  const channels = shape[2], color = channels % 3 === 0;
  if (channels === 3) return frame;
  const found = new Uint8Array((frame.length / channels) * 3);
  return found.map((_, i) => frame[(Math.floor(i / 3) + 1) * channels - (color ? 3 - (i % 3) : 1)]);
}
