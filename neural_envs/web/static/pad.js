// Buttons for the world's actions: directions on a cross, everything else beside it.
const ARROWS = { "0,-1": "\u2191", "0,1": "\u2193", "-1,0": "\u2190", "1,0": "\u2192", "-1,-1": "\u2196", "1,-1": "\u2197", "-1,1": "\u2199", "1,1": "\u2198" };
const MOVES = { up: [0, -1], forward: [0, -1], down: [0, 1], left: [-1, 0], right: [1, 0] };

export function buildPad(box, names, idle, act) {
  const cross = document.createElement("div"), keys = document.createElement("div");
  cross.className = "cross";
  keys.className = "keys";
  names.forEach((name, action) => {
    if (action === idle) return; // letting go is this action
    const move = moveOf(name), free = move && !cross.querySelector(`[data-at="${move}"]`);
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: free ? ARROWS[move] : name, title: name });
    if (free) {
      made.dataset.at = String(move);
      made.style.gridArea = `${move[1] + 2} / ${move[0] + 2}`;
    }
    made.dataset.action = action;
    hold(made, action, act);
    (free ? cross : keys).append(made);
  });
  box.replaceChildren(...[cross, keys].filter((part) => part.children.length));
}

function moveOf(name) {
  const words = name.toLowerCase().split(/[-_ ]/);
  if (!words.every((word) => MOVES[word])) return null;
  const sum = words.map((word) => MOVES[word]).reduce(([x, y], [dx, dy]) => [x + dx, y + dy], [0, 0]);
  return ARROWS[sum] ? sum : null;
}

function hold(button, action, act) {
  let held = false;
  const set = (down) => (event) => {
    event.preventDefault();
    if (down === held) return;
    held = down;
    button.classList.toggle("down", down);
    act(action, down);
  };
  button.addEventListener("pointerdown", set(true));
  for (const name of ["pointerup", "pointercancel", "pointerleave", "lostpointercapture"]) button.addEventListener(name, set(false));
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
