// WebGPU in place of WebAssembly: where there is a graphics card, and it dreams the same dream, and faster. Of a small graph
// most of the time is the way to the card and back, so which of the two is the faster one is measured.
const STEPS = 24, WARM_UP = 4, LEAST_GAIN = 1.25, LARGEST_SHARE = 1e-4; // of pixels that may be two gray levels off and more
const SALT = 1; // of the actions

// the graph of a dream's step on a graphics card; null without one, or where the site has no files for it
export async function openOnCard(site, base, load) {
  const adapter = site.webgpu ? await navigator.gpu?.requestAdapter() : null;
  if (!adapter || adapter.info?.isFallbackAdapter) return null; // a fallback is this processor, which pretends
  const ort = await import("../runtime/ort.webgpu.bundle.min.mjs");
  Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: { wasm: new URL("runtime/ort-wasm-simd-threaded.asyncify.wasm", base).href } });
  ort.env.logLevel = "error";
  const graph = new Uint8Array(await (await load("step.onnx")).arrayBuffer());
  return ort.InferenceSession.create(graph, { executionProviders: ["webgpu"], logSeverityLevel: 3 });
}

// how many times as fast the steps of a graph are as those of the dream; 0 where it dreams something else. inTurn(work) does
// a step when no other one is under way.
export async function gainOf(dream, graph, inTurn, now = () => performance.now()) {
  const seconds = [0, 0];
  let off = 0, values = 0;
  for (let i = 0; i < STEPS; i++) {
    const state = dream.begin(i), action = dream.space.draw({ seed: i, step: 0 }, SALT), done = [];
    for (const [place, own] of [dream.stepGraph, graph].entries()) {
      await inTurn(async () => {
        const begin = now();
        done.push(await dream.step(state, action, own));
        if (i >= WARM_UP) seconds[place] += now() - begin;
      });
    }
    const [a, b] = done;
    if (a.reward !== b.reward || a.terminated !== b.terminated) return 0;
    a.state.frame.forEach((value, at) => { off += Number(Math.abs(value - b.state.frame[at]) > 1); });
    values += a.state.frame.length;
  }
  const gain = seconds[0] / seconds[1];
  return off / values <= LARGEST_SHARE && gain >= LEAST_GAIN ? gain : 0;
}
