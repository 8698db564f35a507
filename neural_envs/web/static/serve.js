// The page of `neural-envs serve`: the player, and the server as the source of its dream.
import { play } from "./app.js";
import { socketSource } from "./socket.js";

play(socketSource);
