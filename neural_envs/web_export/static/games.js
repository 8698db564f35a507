// The real games whose rules fit on a screen, by world: what makes the game of a seed, once its files are there.
import { integer } from "./noise.js";
import { EarthMap, MapGame } from "./map_game.js";
import { PongGame } from "./pong_game.js";
import { SnakeGame } from "./snake_game.js";

const SALT = 0x9a3e; // draws of real games; those of dreams have others

// draws of a game: a function, and what copies it where it is
export function picker(seed, drawn = 0) {
  const pick = (limit) => integer({ seed, step: drawn++ }, SALT, limit);
  return Object.assign(pick, { copy: () => picker(seed, drawn) });
}

export const GAMES = { // each gets a loader of files of the site
  snake: async () => (seed) => new SnakeGame(picker(seed)),
  pong: async () => (seed) => new PongGame(picker(seed)),
  async worldmap(load) {
    const earth = new EarthMap(await pixelsOf(await (await load("games/world_map.webp")).blob()));
    return (seed) => new MapGame(picker(seed), earth);
  },
};

async function pixelsOf(blob) { // as they are in the file, whatever the colors of this screen
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const pen = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, image.width, image.height);
}
