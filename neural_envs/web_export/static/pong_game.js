// The real Pong: collectors/worlds/pong. Engine units: the court is 500 wide and 640 high, y points up, a position is the
// lower left corner; the left paddle follows the ball by itself. pick(n) draws a whole number below n.
const WIDTH = 500, HEIGHT = 640, PADDLE = 20, LONG = 70, SPEED = 8, BALL = 32, FASTEST = 13, SPIN = 3, POINTS = 5, SUBSTEPS = 2;
const LOWEST = -LONG / 2, HIGHEST = HEIGHT - LONG / 2, S = 64, TOP = 4, UNIT_X = (WIDTH + 2 * PADDLE) / S, UNIT_Y = HEIGHT / (S - TOP);
const BACKGROUND = [6, 24, 24], WHITE = [255, 255, 255], RED = [255, 0, 0], CYAN = [0, 255, 255], LINE = [40, 80, 80], DIM = 0.2;
const clip = (value, low, high) => Math.max(low, Math.min(high, value));

export class PongGame {
  constructor(pick) {
    const serves = Array.from({ length: 2 * POINTS - 1 }, () => pick(2) - 1);
    Object.assign(this, { serves, leftScore: 0, rightScore: 0 });
    this.serve();
  }

  copy() { return Object.assign(Object.create(PongGame.prototype), this); }

  serve() {
    const played = Math.min(this.leftScore + this.rightScore, this.serves.length - 1), middle = (HEIGHT - LONG) / 2;
    Object.assign(this, { left: middle, right: middle, x: WIDTH / 5, y: (HEIGHT - BALL) / 2, vx: 10, vy: this.serves[played] });
  }

  step(action) {
    const direction = [0, 1, -1][action], meets = (paddle) => this.y + BALL > paddle && this.y < paddle + LONG;
    let reward = 0;
    for (let i = 0; i < SUBSTEPS; i++) {
      const chase = clip(this.y - (this.left + LONG / 2), -SPEED, SPEED);
      this.right = clip(this.right + SPEED * direction, LOWEST, HIGHEST);
      this.left = clip(this.left + chase, LOWEST, HIGHEST);
      this.x += this.vx;
      this.y += this.vy;
      if (this.y < 0 || this.y > HEIGHT - BALL) this.vy = -this.vy;
      const atLeft = this.x < 0, atRight = this.x > WIDTH - BALL, hit = meets(atLeft ? this.left : this.right);
      if (!atLeft && !atRight) continue;
      reward = hit ? 0 : atLeft ? 1 : -1;
      if (!hit) { // what is left of the step is dropped
        if (atLeft) this.rightScore++;
        else this.leftScore++;
        this.serve();
        break;
      }
      this.vx = -this.vx;
      if (!atRight) continue;
      this.vy = clip(this.vy + SPIN * direction, -FASTEST, FASTEST) || SPIN; // spin, and never a level ball
      this.x = WIDTH - BALL;
      this.y = clip(this.y, 0, HEIGHT - BALL);
    }
    return { reward, terminated: Math.max(this.leftScore, this.rightScore) >= POINTS };
  }

  frame() { // (64, 64, 3) bytes; every pixel shows the share of it that a shape covers
    const found = new Uint8Array(S * S * 3);
    const mix = (row, column, color, share) => {
      const at = (row * S + column) * 3;
      for (let c = 0; c < 3; c++) found[at + c] = Math.floor(found[at + c] + share * (color[c] - found[at + c]) + 0.5);
    };
    const share = (start, length, unit, cell) => clip((start + length) / unit - cell, 0, 1) - clip(start / unit - cell, 0, 1);
    const lay = (x, y, width, height, color) => { // x from the left of the frame, y up from the bottom of the court
      for (let row = TOP; row < S; row++) for (let column = 0; column < S; column++) {
        const covered = share(HEIGHT - height - y, height, UNIT_Y, row - TOP) * share(x, width, UNIT_X, column);
        if (covered > 0) mix(row, column, color, covered);
      }
    };
    for (let at = 0; at < found.length; at += 3) found.set(BACKGROUND, at);
    for (let column = 0; column < S; column++) found.set(LINE, ((TOP - 1) * S + column) * 3);
    for (let i = 0; i < POINTS; i++) for (let row = 0; row < TOP - 1; row++) for (let dx = 1; dx < 4; dx++) { // pips, from the sides inwards
      mix(row, 4 * i + dx, RED, i < this.leftScore ? 1 : DIM);
      mix(row, S - 1 - 4 * i - dx, CYAN, i < this.rightScore ? 1 : DIM);
    }
    lay(0, this.left, PADDLE, LONG, RED);
    lay(WIDTH + PADDLE, this.right, PADDLE, LONG, CYAN);
    lay(this.x + PADDLE, this.y, BALL, BALL, WHITE);
    return found;
  }
}
