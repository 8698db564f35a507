// A game that is played on the page: what a message does, what a tick of the clock does, and what is shown. It answers
// with the messages of neural_envs/web/game.py, so that the page knows no difference.
import { Recorder, Replay, rgb } from "./dream_file.js";
import { Keys, same } from "./keys.js";
import { difference, png, rgba } from "./images.js";

const PERSON = "you", ENDING_SECONDS = 1.2, MESSAGE_SECONDS = 2.5, MOST_SNAPSHOTS = 12;
export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
const rounded = (value) => Math.round(value * 1e4) / 1e4;

export class Session {
  // agents: those of agents.js by name; openGame: what makes real games once it is awaited, see games.js, or null;
  // post(message) tells the page
  constructor(dream, agents, openGame, post) {
    Object.assign(this, { dream, agents, openGame, post, keys: new Keys(dream.entry.keys), snapshots: new Map(), taken: 0 });
    Object.assign(this, { player: PERSON, speed: 1, paused: false, episode: 0, message: "", messageTicks: 0, views: { real: false, difference: false } });
    this.handlers = {
      key: ({ key, down }) => this.keys.set(key, down),
      action: ({ action, down }) => this.keys.press(dream.entry.choices[action]?.action, down),
      release: () => this.keys.release(),
      new: ({ seed }) => this.newGame(seed ?? newSeed()),
      pause: ({ on }) => { (this.replay ?? this).paused = on; },
      step: () => this.singleStep(),
      player: ({ name }) => this.choosePlayer(name),
      views: (views) => this.showViews(views),
      settings: ({ speed }) => { this.speed = speed; },
      resync: () => this.resync(),
      snapshot: () => this.takeSnapshot(),
      restore: ({ snapshot }) => this.restore(snapshot),
      discard: ({ snapshot }) => { this.snapshots.delete(snapshot); this.postSnapshots(); },
    };
  }

  about() {
    const { entry, spec } = this.dream, letters = entry.keys.flatMap(({ keys }) => keys).filter((key) => key.length === 1);
    const idle = entry.choices.findIndex(({ action }) => same(action, this.keys.idle));
    return {
      type: "dream", bundle: entry.name, world: spec.world, actions: entry.choices.map(({ name }) => name), idle: idle < 0 ? null : idle,
      letters: [...new Set(letters)], keys: entry.described, fps: spec.fps, sampler_steps: null, guidance: null, temperature: null, policies: ["random", ...Object.keys(this.agents)],
      twin: this.openGame !== null, note: entry.note,
    };
  }

  async apply(message) {
    await this.handlers[message.type]?.(message);
    if (message.type === "player" || message.type === "views") this.post({ type: "options", player: this.player, ...this.views });
  }

  // ---------------------------------------------------------------- the clock

  get period() { return 1000 / (this.dream.spec.fps * this.speed); }
  get still() { return this.replay ? this.replay.paused : this.paused; } // nothing moves by itself
  get over() { return Boolean(this.score.ending && (!this.real || this.real.score.ending)); }
  get waiting() { return !(this.keys.active || this.player !== PERSON || this.over); }

  async tick() {
    if (this.replay) return this.replay.next();
    if (--this.messageTicks <= 0) this.message = "";
    if (!this.over) await this.step();
    else if (--this.endingTicks < 0) await this.newGame(newSeed());
  }

  async singleStep() {
    if (this.replay) {
      this.replay.paused = true;
      return this.replay.next();
    }
    this.paused = true;
    if (this.over) await this.newGame(newSeed());
    else if (!(await this.step())) this.say("press the key of an action, then N");
  }

  async step() { // one action in every view whose game goes on; false where a person has not chosen one
    const frames = [this.score, this.real?.score].filter(Boolean).map(({ frame }) => frame), chosen = [];
    if (this.player === PERSON) chosen.push(this.keys.next());
    else for (const [view, frame] of frames.entries()) chosen.push(await this.policyAction(frame, view));
    if (chosen[0] === null) return false;
    this.keys.last = chosen[0];
    await this.advance(chosen[0]);
    if (this.real) this.real.advance(chosen.at(-1));
    return true;
  }

  async advance(action) {
    if (this.score.ending) return void (this.score = { ...this.score, reward: 0 });
    const done = await this.dream.step(this.state, action);
    this.state = done.state;
    this.recorder.add(action, done);
    this.score = {
      frame: done.state.frame, reward: done.reward, return: this.score.return + done.reward, trust: done.trust, step: this.score.step + 1,
      ending: done.terminated ? "game over" : done.truncated ? "stopped: step limit" : "",
    };
  }

  policyAction(frame, view) {
    const noise = { seed: this.seed, step: this.score.step };
    return this.player === "random" ? this.dream.space.draw(noise, 1 + view) : this.agents[this.player].act(frame, view, noise);
  }

  // ---------------------------------------------------------------- what messages do

  async newGame(seed) {
    const { dream } = this;
    if (this.recorder?.actions.length) this.previous = this.recorder;
    Object.assign(this, { seed, replay: null, episode: this.episode + 1, endingTicks: Math.round(ENDING_SECONDS * dream.spec.fps) });
    let context = dream.context(dream.startOf(seed));
    if (this.real) {
      this.real = new RealView(this.makeGame(seed), dream);
      context = this.real.context();
      this.state = await dream.beginFrom(context, { seed, step: 1 });
    } else this.state = dream.begin(seed);
    this.recorder = new Recorder(dream, seed, this.state, context);
    this.score = { frame: this.state.frame, reward: 0, return: 0, trust: 1, step: 0, ending: "" };
    this.keys.clear();
    for (const agent of Object.values(this.agents)) agent.reset();
  }

  choosePlayer(name) {
    if (name !== PERSON && name !== "random" && !this.agents[name]) return this.post({ type: "notice", message: `there is no player ${name}` });
    this.player = name;
  }

  async showViews({ real, difference: apart }) {
    const needed = this.openGame !== null && (real || apart);
    if (needed !== Boolean(this.real)) {
      if (needed) this.makeGame ??= await this.openGame();
      this.real = needed ? new RealView(this.makeGame(this.seed), this.dream) : null;
      this.snapshots.clear(); // they have as many views as there were
      this.postSnapshots();
      if (needed) await this.newGame(this.seed); // the same start
    }
    this.views = { real: needed && real, difference: needed && apart };
  }

  async resync() {
    if (!this.real) return;
    if (this.real.score.ending) return this.say("the real game has ended: R starts a new one");
    const context = this.real.context(), { elapsed } = this.state;
    this.state = { ...(await this.dream.beginFrom(context, this.state.noise)), elapsed };
    this.recorder.resync(this.state, context);
    this.score = { ...this.score, frame: this.state.frame, ending: "" };
    this.say(`the dream goes on from the real game at step ${this.real.score.step}`);
  }

  async takeSnapshot() {
    const { state, score, seed } = this;
    const image = await png(rgba(rgb(score.frame, this.dream.spec.frame_shape)), this.dream.spec.frame_shape);
    const shot = { state, score, seed, image, recorder: this.recorder.copy(), real: this.real?.copy() ?? null, last: this.keys.last };
    this.snapshots.set(++this.taken, shot);
    if (this.snapshots.size > MOST_SNAPSHOTS) this.snapshots.delete(this.snapshots.keys().next().value);
    this.postSnapshots();
    this.say(`snapshot taken at step ${score.step}`);
  }

  restore(id) {
    const shot = this.snapshots.get(id);
    if (!shot) return this.post({ type: "notice", message: `there is no snapshot ${id}` });
    const { state, score, seed } = shot;
    Object.assign(this, { state, score, seed, replay: null, recorder: shot.recorder.copy(), real: shot.real?.copy() ?? null });
    this.keys.clear();
    this.keys.last = shot.last;
    this.endingTicks = Math.round(ENDING_SECONDS * this.dream.spec.fps);
    this.say(`back at step ${score.step}`);
  }

  postSnapshots() {
    const rows = [...this.snapshots].map(([id, { score, image }]) => ({ id, step: score.step, return: score.return, image }));
    this.post({ type: "snapshots", snapshots: rows });
  }

  async watch(file) { // shows a file in place of the dream, which waits meanwhile; a new game ends it
    this.replay = await new Replay(this.dream, file).begin();
    if (this.replay.remark) this.post({ type: "notice", message: this.replay.remark });
  }

  file(version) { // of the game that is shown; before its first step that of the game before
    const recorder = this.recorder.actions.length ? this.recorder : this.previous ?? this.recorder;
    return recorder.bytes(version).then((bytes) => ({ name: `${this.dream.entry.name}-${recorder.seed}.dream`, bytes }));
  }

  say(message) {
    this.message = message;
    this.messageTicks = Math.round(MESSAGE_SECONDS * this.dream.spec.fps) + 1;
  }

  // ---------------------------------------------------------------- what is shown

  show() { // {header, views: [{name, pixels}]}, RGBA
    const [height, width] = this.dream.spec.frame_shape, shape = this.dream.spec.frame_shape, views = [];
    const add = (name, pixels) => views.push({ name, width, height, pixels });
    if (this.replay) {
      add(`file, ${this.dream.entry.name}`, rgba(rgb(this.replay.state.frame, shape)));
      return { header: this.replay.header(), views };
    }
    add("dream", rgba(rgb(this.score.frame, shape)));
    if (this.views.real) add("real", rgba(this.real.score.frame));
    if (this.views.difference) add("difference", rgba(difference(this.score.frame, this.real.score.frame)));
    const { episode: game, seed, paused, waiting, player, message } = this;
    return { header: { ...shown(this.score), game, seed, paused, waiting, player, message, real: this.real ? shown(this.real.score) : null, replay: false }, views };
  }
}

const shown = ({ step, reward, return: total, trust, ending }) =>
  ({ step, reward: rounded(reward), return: rounded(total), trust: trust === null ? null : rounded(trust), ending });

// the real game beside the dream: its score, and the last frames, from which the dream may start or go on
class RealView {
  constructor(game, dream, other = null) {
    this.dream = dream;
    this.game = game;
    this.frames = other ? [...other.frames] : [this.game.frame()];
    this.actions = [...(other?.actions ?? [])];
    this.score = other?.score ?? { frame: this.frames[0], reward: 0, return: 0, trust: null, step: 0, ending: "" };
  }

  copy() { return new RealView(this.game.copy(), this.dream, this); }

  advance(action) {
    if (this.score.ending) return void (this.score = { ...this.score, reward: 0 });
    const { reward, terminated } = this.game.step(action), length = this.dream.starts.frames.shape[1], step = this.score.step + 1;
    const frame = this.game.frame(), truncated = step >= this.dream.spec.max_episode_steps;
    this.frames = [...this.frames, frame].slice(-length);
    this.actions = [...this.actions, action].slice(1 - length || Infinity);
    this.score = { frame, reward, return: this.score.return + reward, trust: null, step, ending: terminated ? "game over" : truncated ? "stopped: step limit" : "" };
  }

  context() { // the last frames; a short history repeats its first one, with action 0 between
    const length = this.dream.starts.frames.shape[1], missing = length - this.frames.length;
    const frames = [...Array(missing).fill(this.frames[0]), ...this.frames], all = new Uint8Array(length * frames[0].length);
    frames.forEach((frame, i) => all.set(frame, i * frame.length));
    const actions = [...Array(missing).fill(0), ...this.actions].slice(1 - length || Infinity);
    return { frames: all, actions: BigInt64Array.from(actions, BigInt) };
  }
}
