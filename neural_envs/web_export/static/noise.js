// The random numbers of one dream: world_models/noise.py for one lane. A number is a hash of seed, step, salt and
// place by the finaliser of SplitMix64 (Steele, Lea & Flood 2014). Words of 64 bits are pairs of 32: `high` and `low`.
const GOLDEN = [0x9e3779b9, 0x7f4a7c15], FIRST = [0xbf58476d, 0x1ce4e5b9], SECOND = [0x94d049bb, 0x133111eb];
const ANGLE = Math.fround((2 * Math.PI) / 2 ** 24);
let high = 0, low = 0; // the word at hand: a pair that is returned would be thrown away millions of times

function multiply([factorHigh, factorLow]) {
  const a0 = low & 0xffff, a1 = low >>> 16, b0 = factorLow & 0xffff, b1 = factorLow >>> 16;
  const middle = a0 * b1 + a1 * b0 + ((a0 * b0) >>> 16);
  const carried = a1 * b1 + Math.floor(middle / 65536);
  high = (carried + Math.imul(high, factorLow) + Math.imul(low, factorHigh)) >>> 0;
  low = Math.imul(low, factorLow) >>> 0;
}

function add(otherHigh, otherLow) {
  const sum = low + otherLow;
  high = (high + otherHigh + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  low = sum >>> 0;
}

function shiftXor(bits) { // word ^= word >> bits, for less than 32 bits
  low = (low ^ ((low >>> bits) | (high << (32 - bits)))) >>> 0;
  high = (high ^ (high >>> bits)) >>> 0;
}

function mix() {
  shiftXor(30);
  multiply(FIRST);
  shiftXor(27);
  multiply(SECOND);
  shiftXor(31);
}

const set = (value) => {
  const word = BigInt.asUintN(64, BigInt(value));
  high = Number(word >> 32n);
  low = Number(word & 0xffffffffn);
};

// calls use(high, low, i) with the words of one use: noise {seed, step} are whole numbers or BigInts
export function words({ seed, step }, salt, count, use) {
  set(seed);
  multiply(GOLDEN);
  add(0, salt);
  mix();
  const first = [high, low];
  set(step);
  multiply(GOLDEN);
  add(...first);
  mix();
  const key = [high, low];
  let placeHigh = 0, placeLow = 0; // i + 1 times the golden ratio
  for (let i = 0; i < count; i++) {
    [high, low] = [placeHigh, placeLow];
    add(...GOLDEN);
    [placeHigh, placeLow] = [high, low];
    add(...key);
    mix();
    use(high, low, i);
  }
}

// count numbers in [0, 1), as float32
export function uniform(noise, salt, count) {
  const found = new Float32Array(count);
  words(noise, salt, count, (high, low, i) => { found[i] = (high >>> 8) / 2 ** 24; });
  return found;
}

// count standard normal numbers, as float32: Box-Muller from two halves of one word
export function normal(noise, salt, count) {
  const found = new Float32Array(count);
  words(noise, salt, count, (high, low, i) => {
    const radius = Math.sqrt(Math.fround(-2 * Math.fround(Math.log(Math.fround((high >>> 8) + 0.5) / 2 ** 24))));
    const angle = Math.fround((low & 0xffffff) * ANGLE);
    found[i] = Math.fround(radius) * Math.fround(Math.cos(angle));
  });
  return found;
}

// a whole number in [0, limit)
export const integer = (noise, salt, limit) => Math.floor(uniform(noise, salt, 1)[0] * limit);
export const next = ({ seed, step }) => ({ seed, step: typeof step === "bigint" ? step + 1n : step + 1 });
