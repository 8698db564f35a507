// The real world map: collectors/worlds/worldmap. A window of 64x64 pixels moves over a map that goes round; a landfall is
// where the middle 16x16 are at least half land. pick(n) draws a whole number below n.
const WINDOW = 64, MIDDLE = 16, MARGIN = (WINDOW - MIDDLE) / 2, STRIDE = 8, MOVES = [[-1, 0], [1, 0], [0, -1], [0, 1]];

export class EarthMap {
  constructor({ data, width, height }) { // RGBA
    const across = width + WINDOW - 1, sums = new Int32Array((height + 1) * (across + 1)); // of land above and left of here
    for (let row = 0; row < height; row++) for (let column = 0, sum = 0; column < across; column++) {
      const at = (row * width + (column % width)) * 4, [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
      sum += Number(blue < green + 3 || blue < red + 24);
      sums[(row + 1) * (across + 1) + column + 1] = sums[row * (across + 1) + column + 1] + sum;
    }
    Object.assign(this, { data, width, height, across, sums, starts: [] });
    for (let row = 0; row <= height - WINDOW; row += STRIDE) for (let column = 0; column < width; column += STRIDE) {
      if (!this.land(row, column)) this.starts.push([row, column]);
    }
  }

  land(row, column) { // land pixels in the middle of the window there
    const at = (y, x) => this.sums[(row + MARGIN + y) * (this.across + 1) + column + MARGIN + x];
    return at(MIDDLE, MIDDLE) - at(0, MIDDLE) - at(MIDDLE, 0) + at(0, 0);
  }
}

export class MapGame {
  constructor(pick, earth) {
    this.earth = earth;
    [this.row, this.column] = earth.starts[pick(earth.starts.length)];
  }

  copy() { return Object.assign(Object.create(MapGame.prototype), this); }

  step(action) {
    const [rows, columns] = MOVES[action].map((move) => move * STRIDE), { width, height } = this.earth;
    if (this.row + rows >= 0 && this.row + rows <= height - WINDOW) this.row += rows;
    this.column = (this.column + columns + width) % width;
    const terminated = 2 * this.earth.land(this.row, this.column) >= MIDDLE ** 2;
    return { reward: terminated ? 1 : -0.01, terminated };
  }

  frame() {
    const found = new Uint8Array(WINDOW * WINDOW * 3), { data, width } = this.earth;
    for (let to = 0; to < found.length; to += 3) {
      const y = Math.floor(to / 3 / WINDOW), from = ((this.row + y) * width + ((this.column + (to / 3) % WINDOW) % width)) * 4;
      found.set(data.subarray(from, from + 3), to);
    }
    return found;
  }
}
