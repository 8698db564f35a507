// What held and tapped keys mean: neural_envs/play/keyboard.py. Keys are called as browsers call them: "a", "ArrowUp".
const QUEUED_TAPS = 2; // quick taps kept for the next steps, so that a fast double turn is not lost

export const same = (one, other) => String(one) === String(other); // actions

export class Keys {
  constructor(rows) { // [{keys, action}]; without keys: the action of pressing none
    this.table = rows.filter(({ keys }) => keys.length);
    this.idle = rows.find(({ keys }) => !keys.length)?.action ?? null;
    this.pressed = [];
    this.clear();
  }

  set(key, down) {
    this.pressed = this.pressed.filter((other) => other !== key);
    if (!down || !this.table.some(({ keys }) => keys.includes(key))) return;
    this.pressed.push(key);
    const action = this.held();
    if (action !== null) this.taps = [...this.taps, action].slice(-QUEUED_TAPS);
  }

  press(action, down) { // the keys of an action, a number or a row of them, for the buttons of the page
    for (const key of this.table.find((row) => same(row.action, action))?.keys ?? []) this.set(key, down);
  }

  release() { this.pressed = []; }

  clear() { // a new game: nothing pressed earlier acts in it, except a key that is still held
    this.taps = [];
    this.last = null;
  }

  get active() { return Boolean(this.pressed.length || this.taps.length || this.last !== null || this.idle !== null); }

  next() { // the action of the next step; null while no key has been pressed yet
    this.last = this.taps.shift() ?? this.held() ?? this.idle ?? this.last;
    return this.last;
  }

  held() {
    let best = null, weight = -1;
    for (const { keys, action } of this.table) {
      const places = keys.map((key) => this.pressed.indexOf(key));
      const own = keys.length * 1000 + Math.max(...places); // more keys first, then the latest
      if (!places.includes(-1) && own > weight) [best, weight] = [action, own];
    }
    return best;
  }
}
