// Trained agents, exported beside a dream: a graph from the last frames to the probability of each action.
export async function openAgents(ort, rows, load, options) {
  const found = {};
  for (const { name, file, shape, count } of rows) {
    const graph = await ort.InferenceSession.create(new Uint8Array(await (await load(file)).arrayBuffer()), options);
    found[name] = new Agent(ort, graph, shape, count);
  }
  return found;
}

class Agent {
  constructor(ort, graph, shape, count) { // shape (H, W, C * count) of what it sees: the last `count` frames, the newest last
    Object.assign(this, { ort, graph, shape, count });
    this.reset();
  }

  reset() { this.stacks = []; } // before a game's first frame they are zeros

  // the action in this frame of a view; drawn in [0, 1) decides among the probabilities
  async act(frame, view, drawn) {
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
    let action = 0, sum = data[0];
    while (action < data.length - 1 && drawn >= sum) sum += data[++action];
    return action;
  }
}
