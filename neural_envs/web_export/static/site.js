// The exported page: the player of `serve`, and a worker as the source of its dream.
import { play } from "./app.js";
import { workerSource } from "./worker_source.js";

play(workerSource);
