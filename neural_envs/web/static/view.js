// What is drawn: the views, the score, the history of trust, the snapshots.
const $ = (id) => document.getElementById(id);
const TRUST_POINTS = 120;
let trust = [], gameKey = null, lastStep = -1, toastTimer;

export function drawViews(header, data, offset) {
  const box = $("views");
  while (box.children.length > header.views.length) box.lastChild.remove();
  header.views.forEach(({ name, width, height }, i) => {
    const figure = box.children[i] ?? box.appendChild(newFigure());
    if (figure.className !== name) figure.className = name;
    setText(figure.firstChild.firstChild, name);
    setText(figure.firstChild.lastChild, noteOf(header, name));
    const canvas = figure.lastChild;
    describe(canvas, name, header);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pixels = new Uint8ClampedArray(data, offset, width * height * 4);
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    offset += width * height * 4;
  });
}

// the picture in words, for who does not see it
function describe(canvas, name, header) {
  const score = name === "real" && header.real ? header.real : header;
  const words = name === "difference" ? "Where dream and real game differ" : `The ${name}: return ${formatNumber(score.return)}${score.ending ? `, ${score.ending}` : ""}`;
  if (canvas.getAttribute("aria-label") !== words) canvas.setAttribute("aria-label", words);
}

export function showScore(header) {
  const news = `Return ${formatNumber(header.return)}${header.ending ? `, ${header.ending}` : ""}`;
  setText($("announce"), news);
  signed($("reward"), header.reward);
  setText($("return"), formatNumber(header.return));
  setText($("step"), header.replay ? `${header.step}/${header.steps}` : String(header.step));
  setText($("fps"), header.fps.toFixed(0));
  $("real-return").hidden = header.real === null;
  if (header.real) setText($("real"), formatNumber(header.real.return));
  setText($("hint"), hintOf(header));
  const badge = $("state");
  const playing = header.player === "you" ? "you play" : header.replay ? "a file" : `${header.player} plays`;
  setText(badge, header.paused ? "paused" : playing);
  badge.className = `badge ${header.replay ? "file" : header.player === "you" ? "you" : "policy"}`;
  trackTrust(header);
}

export function showKeys(text) {
  setText($("own-keys"), text && `Keys: ${text}`);
  $("own-keys").hidden = !text;
}

export function showSnapshots(snapshots, restore, discard) {
  const tiles = snapshots.map(({ id, step, image, return: total }) => {
    const tile = document.createElement("div");
    tile.className = "snapshot";
    const back = button("", () => restore(id), `Back to step ${step}, return ${formatNumber(total)}`);
    const frame = Object.assign(new Image(), { src: `data:image/png;base64,${image}`, alt: "" });
    back.append(frame, `step ${step}`);
    const remove = button("\u00d7", () => discard(id), "Discard");
    remove.className = "discard";
    tile.append(back, remove);
    return tile;
  });
  const empty = Object.assign(document.createElement("p"), { className: "faint", textContent: "Take one, try something, go back to it." });
  $("snapshots").replaceChildren(...(tiles.length ? tiles : [empty]));
}

export function toast(text) {
  $("toast").textContent = text;
  $("toast").classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("on"), 3500 + 45 * text.length);
}

function trackTrust(header) {
  const key = `${header.game}/${header.seed}/${header.replay}`;
  if (key !== gameKey || header.step < lastStep) { trust = []; gameKey = key; }
  if (header.step !== lastStep && header.trust !== null) trust = [...trust, header.trust].slice(-TRUST_POINTS);
  lastStep = header.step;
  setText($("trust"), header.trust === null ? "\u2013" : header.trust.toFixed(2));
  const canvas = $("history"), scale = devicePixelRatio, width = canvas.clientWidth * scale, height = canvas.clientHeight * scale;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = "#2e3348";
  pen.beginPath(); pen.moveTo(0, height - 1); pen.lineTo(width, height - 1); pen.stroke();
  pen.strokeStyle = trust.at(-1) < 0.5 ? "#f5be52" : "#56cc80";
  pen.lineWidth = 1.6 * scale;
  pen.beginPath();
  trust.forEach((value, i) => pen.lineTo((i / (TRUST_POINTS - 1)) * width, 2 * scale + (1 - value) * (height - 4 * scale)));
  pen.stroke();
}

function hintOf(header) {
  if (header.message) return header.message;
  if (header.ending) return header.ending;
  if (header.paused) return "paused";
  if (header.waiting) return document.body.classList.contains("touch") ? "Touch an arrow to begin" : $("own-keys").hidden ? "Press an arrow key to begin" : "Press a key of the game to begin";
  return "";
}

function noteOf(header, name) {
  if (name === "real") return header.real?.ending ?? "";
  return name === "difference" ? "" : header.ending;
}

function newFigure() {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.append(document.createElement("b"), document.createElement("span"));
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  figure.append(caption, canvas);
  return figure;
}

function button(text, click, title) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, title });
  made.addEventListener("click", () => { click(); made.blur(); });
  return made;
}

function signed(element, value) {
  setText(element, value > 0 ? `+${formatNumber(value)}` : formatNumber(value));
  element.className = value > 0 ? "good" : value < 0 ? "bad" : "";
}

const formatNumber = (value) => String(Number(value.toFixed(2))).replace("-", "\u2212");
const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };
