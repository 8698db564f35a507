// SHA-256 (FIPS 180-4) of bytes that come piece by piece; crypto.subtle wants them all at once.
const fraction = (value) => Math.floor((value - Math.floor(value)) * 2 ** 32);
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const K = PRIMES.map((p) => fraction(Math.cbrt(p)));
const W = new Uint32Array(64);
const turn = (x, bits) => (x >>> bits) | (x << (32 - bits));

export class Sha256 {
  constructor(other) { // a copy of another one, or a new one
    this.state = Uint32Array.from(other?.state ?? PRIMES.slice(0, 8).map((p) => fraction(Math.sqrt(p))));
    this.rest = Uint8Array.from(other?.rest ?? []);
    this.length = other?.length ?? 0;
  }

  update(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    const view = new DataView(all.buffer), whole = all.length - (all.length % 64);
    for (let at = 0; at < whole; at += 64) this.block(view, at);
    this.rest = all.slice(whole);
    this.length += bytes.length;
    return this;
  }

  block(view, at) {
    for (let i = 0; i < 16; i++) W[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const early = W[i - 15], late = W[i - 2];
      W[i] = W[i - 16] + (turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)) + W[i - 7] + (turn(late, 17) ^ turn(late, 19) ^ (late >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i++) {
      const first = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const second = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => { this.state[i] += value; });
  }

  hex() { // of what came so far; more may follow
    const last = new Sha256(this), zeros = (119 - (this.length % 64)) % 64, tail = new Uint8Array(9 + zeros);
    tail[0] = 0x80;
    new DataView(tail.buffer).setBigUint64(1 + zeros, BigInt(this.length) * 8n);
    last.update(tail);
    return [...last.state].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}
