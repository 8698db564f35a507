// Actions as a game takes them, a number or a row of P numbers, and as graphs read them: collectors/action_space.py, with the
// roundings of float32 that numpy has. Arrays hold actions one after another.
import { normal, uniform } from "./noise.js";

const f32 = Math.fround, clip = (value, low, high) => Math.min(Math.max(value, low), high);

export class ActionSpace {
  constructor({ action_space: own, action_names: names }) { // of a world's specification
    const { type, n, nvec, start, low, high } = own ?? { type: "Discrete", n: names.length, start: 0 };
    Object.assign(this, { type, isBox: type === "Box", Kind: type === "Box" ? Float32Array : BigInt64Array });
    this.counts = nvec ?? (type === "MultiBinary" ? Array(n).fill(2) : [n]); // choices of each part; a Box has none
    this.low = this.isBox ? low.map(f32) : this.counts.map((_, part) => start?.[part] ?? start ?? 0);
    this.high = this.isBox ? high.map(f32) : this.low.map((first, part) => first + this.counts[part] - 1);
    this.row = type === "Discrete" ? [] : [this.low.length]; // the shape of one action
  }

  limits(place) { // the lowest and the highest value at a place of an array
    const part = place % this.low.length;
    return [this.low[part], this.high[part]];
  }

  // whether an array from a file, {array, shape}, holds so many actions of this space
  fits({ array, shape }, count) {
    const within = (value, i) => value >= this.limits(i)[0] && value <= this.limits(i)[1];
    return array instanceof this.Kind && String(shape) === String([count, ...this.row]) && array.every(within);
  }

  // a list of actions as an array
  array(actions) {
    return this.isBox ? Float32Array.from(actions.flat()) : BigInt64Array.from(actions.flat(), BigInt);
  }

  // an array of actions -> as graphs read them
  encode(array) {
    return array.map((value, i) => {
      const [low, high] = this.limits(i);
      if (!this.isBox) return value - BigInt(low);
      return clip(f32(f32(f32(2 * f32(value - low)) / f32(high - low)) - 1), -1, 1);
    });
  }

  decode(array) { // the inverse; numbers beyond [-1, 1] become the bounds
    return array.map((value, i) => {
      const [low, high] = this.limits(i);
      if (!this.isBox) return value + BigInt(low);
      return clip(f32(low + f32(f32(f32(clip(value, -1, 1) + 1) / 2) * f32(high - low))), low, high);
    });
  }

  // an action anywhere in the space, drawn by {seed, step} and a salt
  draw(noise, salt) {
    const drawn = uniform(noise, salt, this.low.length);
    if (this.isBox) return [...this.decode(drawn.map((value) => 2 * value - 1))];
    return this.taken([...drawn].map((value, part) => Math.floor(value * this.counts[part])));
  }

  // an action drawn by what an agent predicts: how likely each choice is, of all parts; of a Box means and deviations, encoded
  drawn(predicted, noise, salt) {
    const parts = this.low.length;
    if (this.isBox) return [...this.decode(normal(noise, salt, parts).map((value, part) => predicted[part] + predicted[parts + part] * value))];
    let first = 0;
    return this.taken([...uniform(noise, salt, parts)].map((value, part) => {
      const own = predicted.subarray(first, (first += this.counts[part]));
      let choice = 0, sum = own[0];
      while (choice < own.length - 1 && value >= sum) sum += own[++choice];
      return choice;
    }));
  }

  taken(numbers) { // a choice of each part, counted from 0 -> an action
    const action = numbers.map((number, part) => this.low[part] + number);
    return this.row.length ? action : action[0];
  }
}
