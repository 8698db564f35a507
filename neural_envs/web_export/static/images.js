// Pixels: from three bytes to four, the difference of two frames (collectors/media.py), and PNG.
const GAIN = 2 / 255, DIMMEST = 22, DIM = 0.22, HOT = [255, 206, 120];

export function rgba(frame) { // three bytes per pixel -> four, opaque
  const found = new Uint8ClampedArray((frame.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < frame.length; from += 3, to += 4) found.set(frame.subarray(from, from + 3), to);
  return found;
}

// gray where two frames agree, brighter where they do not
export function difference(a, b) {
  const found = new Uint8Array(a.length);
  for (let i = 0; i < a.length; i += 3) {
    let most = 0, sum = 0;
    for (let c = i; c < i + 3; c++) {
      most = Math.max(most, Math.abs(a[c] - b[c]));
      sum += b[c];
    }
    const apart = Math.min(1, most * GAIN), gray = DIMMEST + (DIM * sum) / 3;
    for (let c = 0; c < 3; c++) found[i + c] = Math.round(gray + apart * (HOT[c] - gray));
  }
  return found;
}

// RGBA pixels as PNG in base64
export async function png(pixels, [height, width]) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  const blob = await canvas.convertToBlob();
  return new FileReaderSync().readAsDataURL(blob).split(",")[1];
}
