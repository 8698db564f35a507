// One bundle in the browser: graphs of a start and of a step, which ONNX Runtime computes. A state is a value, as in
// neural_envs/simulator.py: a step returns a new one, so a snapshot is a reference to it.
import { ActionSpace } from "./actions.js";
import { integer, next, normal, uniform } from "./noise.js";

const ARRAYS = { uint8: Uint8Array, bool: Uint8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array, float32: Float32Array };
const size = (shape) => shape.reduce((a, b) => a * b, 1);

export async function inflate(response) {
  const unpacked = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).arrayBuffer();
}

export class Dream {
  constructor(ort, entry, step, start, starts) {
    Object.assign(this, { ort, entry, spec: entry.spec, stepGraph: step, startGraph: start, space: new ActionSpace(entry.spec) });
    this.starts = readStarts(entry.starts, starts);
  }

  // load(file) fetches a file of the bundle's folder; options are those of ort.InferenceSession.create
  static async open(ort, entry, load, options) {
    const graph = async (file) => ort.InferenceSession.create(new Uint8Array(await (await load(file)).arrayBuffer()), options);
    const starts = load("starts.bin").then(inflate);
    const step = await graph("step.onnx");
    return new Dream(ort, entry, step, entry.start ? await graph("start.onnx") : null, await starts);
  }

  // the number of the start context that a seed draws
  startOf(seed) {
    return integer({ seed, step: 0 }, this.entry.salt, this.entry.starts.count);
  }

  // start context `row` as {frames, actions}: typed arrays, actions as the game takes them
  context(row) {
    return { frames: this.starts.frames.row(row), actions: this.space.decode(this.starts.actions.row(row)) };
  }

  // the state of a new game of this seed
  begin(seed) {
    const row = this.startOf(seed), leaves = this.starts.state.map((leaf) => this.tensor(leaf, leaf.row(row)));
    return this.stateOf(leaves, this.context(row).frames, { seed, step: 1 });
  }

  // the state after other frames: those of a file, or of a real game; noise is that of the next step
  async beginFrom({ frames, actions }, noise) {
    const row = this.rowOf(frames, actions);
    if (row >= 0) return this.stateOf(this.starts.state.map((leaf) => this.tensor(leaf, leaf.row(row))), frames, noise);
    if (!this.startGraph) throw new Error(`${this.entry.name} can start from its own contexts only in the browser`);
    const given = [this.tensor(this.starts.frames, frames)];
    if (actions.length) given.push(this.tensor(this.starts.actions, this.space.encode(actions)));
    const found = await run(this.startGraph, given);
    return this.stateOf(found, frames, noise);
  }

  // which start context this is; -1: none
  rowOf(frames, actions) {
    const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
    for (let row = 0; row < this.entry.starts.count; row++) {
      const own = this.context(row);
      if (same(own.frames, frames) && same(own.actions, actions)) return row;
    }
    return -1;
  }

  // {state, reward, terminated, truncated, trust} of one action; graph is what computes it
  async step(state, action, graph = this.stepGraph) {
    const draws = this.entry.draws.map(({ normal: bell, shape, salt }) =>
      new this.ort.Tensor("float32", (bell ? normal : uniform)(state.noise, salt, size(shape)), [1, ...shape]));
    const { space } = this, taken = { type: space.isBox ? "float32" : "int64", shape: [1, ...space.row] };
    const given = [...state.leaves, this.tensor(taken, space.encode(space.array([action]))), ...draws];
    const found = await run(graph, given);
    const [frame, reward, termination, trust] = found.splice(-4).map((tensor) => tensor.data);
    const elapsed = state.elapsed + 1, terminated = termination[0] !== 0, truncated = elapsed >= this.spec.max_episode_steps;
    const after = { leaves: found, frame, noise: next(state.noise), elapsed, finished: terminated || truncated };
    return { state: after, reward: reward[0], terminated, truncated, trust: trust[0] };
  }

  stateOf(leaves, frames, noise) {
    const frame = frames.slice(-size(this.spec.frame_shape));
    return { leaves, frame, noise, elapsed: 0, finished: false };
  }

  tensor({ type, shape }, data) {
    return new this.ort.Tensor(type, data, shape);
  }
}

async function run(graph, given) { // inputs are called x0, x1, ...; a graph has those that it needs
  const named = Object.fromEntries(graph.inputNames.map((name) => [name, given[Number(name.slice(1))]]));
  const found = await graph.run(named);
  return graph.outputNames.map((name) => found[name]);
}

function readStarts({ count, frames, actions, state }, buffer) {
  let offset = 0;
  const read = ({ type, shape, frames: again }) => {
    if (again) return own;
    const length = size(shape), Kind = ARRAYS[type], bytes = count * length * Kind.BYTES_PER_ELEMENT;
    const all = new Kind(buffer.slice(offset, (offset += bytes))); // a copy begins at a multiple of its elements
    return { type, shape, row: (row) => all.slice(row * length, (row + 1) * length) };
  };
  const own = read(frames);
  return { frames: own, actions: read(actions), state: state.map(read) };
}
