// The real Snake: collectors/worlds/snake. Cells are row * G + column, directions 0 up, 1 down, 2 left, 3 right, and
// `direction ^ 1` is the opposite one. pick(n) draws a whole number below n.
const G = 16, TILE = 4, START_LENGTH = 3, DELTAS = [[-1, 0], [1, 0], [0, -1], [0, 1]];
const BACKGROUND = [12, 14, 28], BODY = [60, 180, 90], HEAD = [250, 210, 60], FOOD = [230, 60, 70], DEAD = [255, 255, 255];
const beside = (cell, direction) => { // -1 is outside the board
  const row = Math.floor(cell / G) + DELTAS[direction][0], column = (cell % G) + DELTAS[direction][1];
  return Math.min(row, column) >= 0 && Math.max(row, column) < G ? row * G + column : -1;
};

export class SnakeGame {
  constructor(pick) {
    const starts = [];
    for (let head = 0; head < G * G; head++) {
      for (let direction = 0; direction < 4; direction++) {
        const cells = [head];
        while (cells.length < START_LENGTH && cells.at(-1) >= 0) cells.push(beside(cells.at(-1), direction ^ 1));
        if (cells.at(-1) >= 0 && beside(head, direction) >= 0) starts.push([cells, direction]);
      }
    }
    const [body, direction] = starts[pick(starts.length)];
    Object.assign(this, { pick, body, direction, food: -1, dead: false });
    this.placeFood();
  }

  copy() { return Object.assign(Object.create(SnakeGame.prototype), this, { body: [...this.body], pick: this.pick.copy() }); }

  placeFood() {
    const free = [...Array(G * G).keys()].filter((cell) => !this.body.includes(cell));
    this.food = free.length ? free[this.pick(free.length)] : -1;
  }

  step(action) {
    const direction = action === (this.direction ^ 1) ? this.direction : action, target = beside(this.body[0], direction);
    if (target < 0 || this.body.slice(0, -1).includes(target)) { // the tail's cell becomes free
      this.dead = true;
      return { reward: -1, terminated: true };
    }
    const eats = target === this.food;
    if (!eats) this.body.pop();
    this.body.unshift(target);
    this.direction = direction;
    if (eats) this.placeFood();
    return { reward: Number(eats), terminated: this.body.length === G * G };
  }

  frame() { // (4G, 4G, 3) bytes
    const found = new Uint8Array(G * G * TILE * TILE * 3);
    const fill = (cell, color, [top, bottom] = [0, TILE], [left, right] = [0, TILE]) => {
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) {
        found.set(color, ((Math.floor(cell / G) * TILE + y) * G * TILE + (cell % G) * TILE + x) * 3);
      }
    };
    for (let cell = 0; cell < G * G; cell++) fill(cell, BACKGROUND);
    if (this.food >= 0) [[[0, 4], [1, 3]], [[1, 3], [0, 4]]].forEach((part) => fill(this.food, FOOD, ...part));
    this.body.forEach((cell, i) => {
      if (i) fill(cell, BODY, [1, 3], [1, 3]);
      else fill(cell, this.dead ? DEAD : HEAD);
      for (const other of [this.body[i - 1], this.body[i + 1]]) { // a strip of two pixels to each neighbor
        const strip = [[[0, 1], [1, 3]], [[3, 4], [1, 3]], [[1, 3], [0, 1]], [[1, 3], [3, 4]]];
        strip.forEach((part, direction) => { if (other !== undefined && beside(cell, direction) === other) fill(cell, BODY, ...part); });
      }
    });
    return found;
  }
}
