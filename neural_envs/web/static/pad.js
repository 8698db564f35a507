// Buttons for the world's actions: directions on a cross, everything else beside it.
const ARROWS = { "0,-1": "\u2191", "0,1": "\u2193", "-1,0": "\u2190", "1,0": "\u2192", "-1,-1": "\u2196", "1,-1": "\u2197", "-1,1": "\u2199", "1,1": "\u2198" };
const SWIPE_PIXELS = 24;
const DIRECTIONS = { up: [0, -1], forward: [0, -1], down: [0, 1], left: [-1, 0], right: [1, 0] };

export function buildPad(box, names, idle, send) {
  const cross = document.createElement("div"), keys = document.createElement("div");
  cross.className = "cross";
  keys.className = "keys";
  names.forEach((name, action) => {
    if (action === idle) return; // pressing nothing is this action
    const direction = directionOf(name), free = direction && !cross.querySelector(`[data-at="${direction}"]`);
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: free ? ARROWS[direction] : shortName(name), title: name });
    if (free) {
      made.dataset.at = String(direction);
      made.style.gridArea = `${direction[1] + 2} / ${direction[0] + 2}`;
    }
    made.dataset.action = action;
    pressable(made, action, send);
    (free ? cross : keys).append(made);
  });
  const diagonal = cross.querySelector('[data-at="1,1"], [data-at="-1,1"]');
  cross.classList.toggle("low", !diagonal); // as on a keyboard: down stands below up, between left and right
  for (const down of diagonal ? [] : cross.querySelectorAll('[data-at="0,1"]')) down.style.gridArea = "2 / 2";
  box.replaceChildren(...[cross, keys].filter((part) => part.children.length));
}

const shortName = (name) => name.replace(/^key-(.)$/, (_, letter) => letter.toUpperCase()); // of keys without a meaning

function directionOf(name) {
  const words = name.toLowerCase().split(/[-_ ]/);
  if (!words.every((word) => DIRECTIONS[word])) return null;
  const sum = words.map((word) => DIRECTIONS[word]).reduce(([x, y], [dx, dy]) => [x + dx, y + dy], [0, 0]);
  return ARROWS[sum] ? sum : null;
}

function pressable(button, action, send) {
  let pressed = false;
  const set = (down) => (event) => {
    event.preventDefault();
    if (down === pressed) return;
    pressed = down;
    button.classList.toggle("down", down);
    send(action, down);
  };
  button.addEventListener("pointerdown", set(true));
  for (const name of ["pointerup", "pointercancel", "pointerleave", "lostpointercapture"]) button.addEventListener(name, set(false));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}

// A finger on the picture presses the direction that it moves in, until it is lifted.
export function swipe(area, box, send) {
  let from = null, pressed = null;
  const press = (action) => {
    if (action === pressed) return;
    if (pressed !== null) send(pressed, false);
    if (action !== null) send(action, true);
    pressed = action;
  };
  area.addEventListener("touchstart", ({ touches: [touch] }) => { from = [touch.clientX, touch.clientY]; }, { passive: true });
  area.addEventListener("touchmove", ({ touches: [touch] }) => {
    const x = touch.clientX - from[0], y = touch.clientY - from[1];
    if (Math.max(Math.abs(x), Math.abs(y)) < SWIPE_PIXELS) return;
    const at = Math.abs(x) > Math.abs(y) ? [Math.sign(x), 0] : [0, Math.sign(y)];
    const button = box.querySelector(`[data-at="${at}"]`);
    if (button) press(Number(button.dataset.action));
    from = [touch.clientX, touch.clientY];
  }, { passive: true });
  for (const name of ["touchend", "touchcancel"]) area.addEventListener(name, () => press(null));
}
