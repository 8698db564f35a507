"use strict";
// A player: one image with all frames (a row a film, a column a frame), drawn frame by frame on canvases.
function start(box) {
  const about = JSON.parse(box.dataset.player), [height, width] = about.size, image = box.querySelector("img");
  const names = about.difference ? [...about.names, "difference"] : about.names;
  const panes = document.createElement("div");
  panes.className = "panes";
  const side = names.length > 4 ? "repeat(auto-fill,minmax(112px,1fr))" : `repeat(${names.length},minmax(0,1fr))`;
  panes.style.gridTemplateColumns = side;
  const canvases = names.map(name => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    canvas.width = width; canvas.height = height; caption.textContent = name;
    canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", name || "the dream");
    figure.append(canvas, ...(name ? [caption] : []));
    panes.append(figure);
    return canvas;
  });
  const controls = document.createElement("div"), button = document.createElement("button");
  const slider = document.createElement("input"), output = document.createElement("output");
  controls.className = "controls"; button.type = "button";
  Object.assign(slider, {type: "range", min: 0, max: about.frames - 1, value: 0});
  slider.setAttribute("aria-label", "frame");
  controls.append(button, slider, output);
  box.append(panes, controls);
  box.classList.add("on");
  const cursor = box.parentElement.querySelector(".cursor");
  let frame = 0, held = 0, playing = false, seen = false, before = 0;

  function difference(canvas) {
    const [a, b] = [0, 1].map(i => canvases[i].getContext("2d").getImageData(0, 0, width, height).data);
    const context = canvas.getContext("2d"), out = context.createImageData(width, height);
    for (let i = 0; i < a.length; i += 4) {
      const gap = Math.max(Math.abs(a[i] - b[i]), Math.abs(a[i + 1] - b[i + 1]), Math.abs(a[i + 2] - b[i + 2]));
      const grey = 24 + 0.22 * (a[i] + a[i + 1] + a[i + 2]) / 3, share = Math.min(1, 2 * gap / 255);
      out.data[i] = grey + (255 - grey) * share; out.data[i + 1] = grey + (206 - grey) * share;
      out.data[i + 2] = grey + (120 - grey) * share; out.data[i + 3] = 255;
    }
    context.putImageData(out, 0, 0);
  }
  function draw() {
    canvases.forEach((canvas, row) => {
      if (row === about.names.length) return difference(canvas);
      canvas.getContext("2d").drawImage(image, frame * width, row * height, width, height, 0, 0, width, height);
      const end = about.ends[row];
      canvas.classList.toggle("over", end !== null && frame >= end && about.names.length > 1);
    });
    const diverged = about.diverged !== undefined && about.diverged !== null && frame >= about.diverged;
    canvases.forEach(canvas => canvas.classList.toggle("diverged", diverged));
    slider.value = frame;
    output.textContent = about.words ? about.words[frame] : `${frame} / ${about.frames - 1}`;
    if (cursor) {
      const at = 34 + (360 - 8 - 34) * frame / Math.max(1, about.frames - 1);
      cursor.setAttribute("x1", at); cursor.setAttribute("x2", at);
    }
  }
  function tick(now) {
    if (!playing || !seen) return;
    if (now - before >= 1000 / about.fps) {
      before = now;
      const waits = frame === about.frames - 1 ? about.fps : frame === about.diverged ? Math.ceil(about.fps * 0.8) : 0;
      if (held < waits) held++;
      else { held = 0; frame = (frame + 1) % about.frames; draw(); }
    }
    requestAnimationFrame(tick);
  }
  function play(on) {
    playing = on;
    button.textContent = on ? "❚❚" : "▶";
    button.setAttribute("aria-label", on ? "pause" : "play");
    if (on) requestAnimationFrame(tick);
  }
  button.addEventListener("click", () => play(!playing));
  slider.addEventListener("input", () => { play(false); frame = Number(slider.value); held = 0; draw(); });
  new IntersectionObserver(entries => {
    seen = entries[entries.length - 1].isIntersecting;
    if (seen && playing) requestAnimationFrame(tick);
  }).observe(box);
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  draw();
}
for (const box of document.querySelectorAll(".player")) {
  const image = box.querySelector("img");
  if (image.complete && image.naturalWidth) start(box); else image.addEventListener("load", () => start(box), {once: true});
}
