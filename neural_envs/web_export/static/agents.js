// Trained agents, exported beside a dream: a graph from the last frames to how likely each action is.
export async function openAgents(ort, rows, load, options, space) {
  const found = {};
  for (const { name, file, shape, count } of rows) {
    const graph = await ort.InferenceSession.create(new Uint8Array(await (await load(file)).arrayBuffer()), options);
    found[name] = new Agent(ort, graph, shape, count, space);
  }
  return found;
}

class Agent {
  constructor(ort, graph, shape, count, space) { // shape (H, W, C * count) of what it sees: the last `count` frames, the newest last
    Object.assign(this, { ort, graph, shape, count, space });
    this.reset();
  }

  reset() { this.stacks = []; } // before a game's first frame they are zeros

  // the action in this frame of a view, drawn by noise {seed, step}
  async act(frame, view, noise) {
    const channels = this.shape[2] / this.count, old = this.stacks[view] ?? new Uint8Array(frame.length * this.count);
    const stack = new Uint8Array(old.length);
    for (let pixel = 0; pixel < frame.length / channels; pixel++) {
      const at = pixel * this.shape[2];
      stack.set(old.subarray(at + channels, at + this.shape[2]), at);
      stack.set(frame.subarray(pixel * channels, (pixel + 1) * channels), at + this.shape[2] - channels);
    }
    this.stacks[view] = stack;
    const given = new this.ort.Tensor("uint8", stack, [1, ...this.shape]);
    const { [this.graph.outputNames[0]]: { data } } = await this.graph.run({ [this.graph.inputNames[0]]: given });
    return this.space.drawn(data, noise, 1 + view);
  }
}
