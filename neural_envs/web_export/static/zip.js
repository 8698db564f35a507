// Zip archives of a few small members, and the plain arrays of numpy in them (.npy).
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let i = 0; i < 8; i++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});
const crc32 = (bytes) => ~bytes.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), -1) >>> 0;
const KINDS = { "|u1": Uint8Array, "<f4": Float32Array, "<i8": BigInt64Array };
const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, MOST_MEMBERS = 4096;

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

// {name: bytes} -> the bytes of an archive, deflated
export async function writeZip(members) {
  const parts = [], directory = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(members)) {
    const packed = await through(bytes, new CompressionStream("deflate-raw")), label = new TextEncoder().encode(name);
    const facts = new DataView(new ArrayBuffer(26)); // what the local header and the directory have in common
    [20, 0, 8, 0, 0x5821].forEach((value, i) => facts.setUint16(2 * i, value, true)); // deflated; the day is always the same
    [crc32(bytes), packed.length, bytes.length].forEach((value, i) => facts.setUint32(10 + 4 * i, value, true));
    facts.setUint16(22, label.length, true);
    const local = concatenated([words(LOCAL), facts.buffer, label, packed]);
    directory.push(concatenated([words(CENTRAL), shorts(20), facts.buffer, shorts(0, 0, 0), words(0, offset), label]));
    parts.push(local);
    offset += local.length;
  }
  const central = concatenated(directory), count = directory.length;
  return concatenated([...parts, central, words(END), shorts(0, 0, count, count), words(central.length, offset), shorts(0)]);
}

// the bytes of an archive -> {name: bytes}; what is no archive, or unpacks to more than `most` bytes, is an Error
export async function readZip(bytes, most) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), members = {};
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error("it is no zip archive");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true), total = 0;
  if (count > MOST_MEMBERS) throw new Error("it has too many members");
  for (let i = 0; i < count; i++) {
    const method = view.getUint16(at + 10, true), packed = view.getUint32(at + 20, true), size = view.getUint32(at + 24, true);
    const [name, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const local = view.getUint32(at + 42, true), label = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    if (view.getUint32(at, true) !== CENTRAL || ![0, 8].includes(method)) throw new Error("its directory is damaged");
    if ((total += size) > most) throw new Error(`it unpacks to more than ${most >> 20} MB`);
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const content = bytes.subarray(begin, begin + packed);
    members[label] = method ? await inflated(content, size) : content.slice();
    if (members[label].length !== size) throw new Error(`${label} is damaged`);
    at += 46 + name + extra + comment;
  }
  return members;
}

async function inflated(bytes, size) { // no more than it says: a small member may unpack to anything
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const found = new Uint8Array(size);
  for (let at = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return found.subarray(0, at);
    if (at + value.length > size) throw new Error("it is damaged");
    found.set(value, at);
    at += value.length;
  }
}

export function writeNpy(array, shape) {
  const kind = Object.keys(KINDS).find((key) => array instanceof KINDS[key]);
  const text = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n"; // data begin at a multiple of 64
  const head = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  return concatenated([head, new TextEncoder().encode(padded), new Uint8Array(array.buffer, array.byteOffset, array.byteLength)]);
}

export function readNpy(bytes) { // {array, shape}
  const length = bytes[8] | (bytes[9] << 8), text = new TextDecoder().decode(bytes.subarray(10, 10 + length));
  const [, kind, order, sizes] = /'descr': '([^']+)', 'fortran_order': (\w+), 'shape': \(([^)]*)\)/.exec(text) ?? [];
  if (!KINDS[kind] || order !== "False") throw new Error("it holds an array of another kind");
  const shape = sizes.split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  const content = bytes.slice(10 + length), count = shape.reduce((a, b) => a * b, 1);
  if (content.length !== count * KINDS[kind].BYTES_PER_ELEMENT) throw new Error("an array in it is damaged");
  return { array: new KINDS[kind](content.buffer), shape };
}

const shorts = (...values) => new Uint8Array(Uint16Array.from(values).buffer);
const words = (...values) => new Uint8Array(Uint32Array.from(values).buffer);

function concatenated(parts) {
  const all = parts.map((part) => (part instanceof ArrayBuffer ? new Uint8Array(part) : part));
  const found = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  all.reduce((at, part) => (found.set(part, at), at + part.length), 0);
  return found;
}
