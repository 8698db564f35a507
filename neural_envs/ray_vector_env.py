"""Lanes over many processes or machines: Ray actors (extra `ray`), each with a vector environment.

N lanes, K actors. Importing this imports neither ray nor torch.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from collectors.ray_cluster import cluster
from collectors.worlds.lane_arguments import as_autoreset_mode, lane_seeds, reset_mask

PATIENCE = 10.0  # seconds for actors that have ended to give back their processors


class DeadActorError(RuntimeError):
    """A process of the cluster is gone, and the lanes that it played with it."""


def make_lanes(
    identifier: str, num_envs: int, autoreset_mode: AutoresetMode, **settings: Any
) -> VectorEnv:
    """Make "module:id" with `num_envs` lanes: the id's own vector environment, else a sync one."""
    module, _, bare = identifier.rpartition(":")
    if module:
        importlib.import_module(module)
    if gym.spec(bare).vector_entry_point is not None:
        lanes: dict[str, Any] = {"autoreset_mode": autoreset_mode.value}
    else:
        lanes = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": autoreset_mode}}
    return gym.make_vec(bare, num_envs=num_envs, **lanes, **settings)


class Host:
    """What an actor holds: some lanes.

    Made by `open`, so that what goes wrong there comes back as it was raised.
    """

    def open(self, identifier: str, num_envs: int, mode: str, settings: dict[str, Any]) -> tuple:
        """(observation space and action space of one lane, metadata, render_mode)."""
        env = self.env = make_lanes(identifier, num_envs, AutoresetMode(mode), **settings)
        return (
            env.single_observation_space,
            env.single_action_space,
            dict(env.metadata),
            env.render_mode,
        )

    def reset(self, seeds: Sequence[int | None] | None, options: dict[str, Any] | None) -> tuple:
        lanes: Any = self.env  # Gymnasium's type knows one seed only
        return lanes.reset(seed=seeds, options=options)

    def step(self, actions: np.ndarray) -> tuple:
        return self.env.step(actions)

    def render(self) -> tuple | None:
        return self.env.render()


class RayVectorEnv(VectorEnv):
    """N lanes of "module:id", a dream or a real game, spread over K Ray actors, stepped together.

    num_envs: lanes; actors: processes that share them. address: of a Ray cluster, as
    "10.0.0.1:6379" or "auto", or "local" to start one on this machine. autoreset_mode: as in
    `NeuralVectorEnv`. actor_options: what Ray gives each actor; with {"num_gpus": 1} and
    device="cuda" each dreams on a card of its own. `settings` go to the environment's constructor:
    bundle=, device=, min_trust=, ... A bundle that is a directory must be there on every machine.

    Lane i of reset(seed=s) is seeded with s + i, however many actors there are: the lanes are those
    of one vector env with the same seeds, up to float rounding. Raises ClusterError (no cluster),
    DeadActorError (a process was killed, its lanes are lost: close this and make it anew), and what
    the environments raise. Only for numpy observations.
    """

    def __init__(
        self,
        identifier: str,
        num_envs: int,
        actors: int = 2,
        address: str = "local",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        actor_options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        if not 1 <= actors <= num_envs:
            raise ValueError(
                f"actors share the lanes: from 1 to {num_envs} actors for {num_envs} lanes, not "
                f"{actors}"
            )
        if settings.get("output", "numpy") != "numpy":
            raise ValueError("frames travel between processes as numpy arrays: leave out output=")
        self.num_envs, self.autoreset_mode = num_envs, as_autoreset_mode(autoreset_mode)
        stops = np.cumsum(
            [len(lanes) for lanes in np.array_split(np.arange(num_envs), actors)]
        ).tolist()
        self._lanes = [slice(start, end) for start, end in zip([0, *stops], stops, strict=False)]
        self._frames: Any = None  # (N, ...) of the last reset or step
        if isinstance(bundle := settings.get("bundle"), str | Path) and Path(bundle).is_dir():
            settings["bundle"] = str(Path(bundle).resolve())
        with ExitStack() as stack:
            self._connect(stack, identifier, address, actor_options or {}, settings)
            self._open = stack.pop_all()

    def _connect(
        self, stack: ExitStack, identifier: str, address: str, options: dict, settings: dict
    ) -> None:
        import ray

        stack.enter_context(cluster(address, len(self._lanes)))
        required = {"num_cpus": 1, **options}
        _check_room(ray.cluster_resources(), required, len(self._lanes), "has {:g}")
        _wait_for_room(ray.available_resources, required, len(self._lanes))
        host = ray.remote(Host).options(**required)
        self._actors = [host.remote() for _ in self._lanes]
        for actor in self._actors:
            stack.callback(ray.kill, actor)
        mode = self.autoreset_mode.value
        words = [(identifier, lanes.stop - lanes.start, mode, settings) for lanes in self._lanes]
        self.single_observation_space, self.single_action_space, metadata, self.render_mode = (
            self._ask("open", words)[0]
        )
        self.metadata = {**metadata, "autoreset_mode": self.autoreset_mode}
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ):
        """Start all lanes, or those of options["reset_mask"]; other options go to every actor."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = dict(options or {})
        masked = "reset_mask" in options
        mask = reset_mask(options, self.num_envs, started=self._frames is not None)
        seeds, words = self._seeds(seed), []
        for lanes in self._lanes:
            own = {**options, "reset_mask": mask[lanes].copy()} if masked else options
            words.append(
                (None if seeds is None else seeds[lanes], own) if mask[lanes].any() else None
            )
        answers = self._ask("reset", words)
        frames = [
            self._frames[lanes] if answer is None else answer[0]
            for lanes, answer in self._pairs(answers)
        ]
        self._frames = np.concatenate(frames)
        return self._frames.copy(), self._merged(
            [{} if answer is None else answer[1] for answer in answers]
        )

    def step(self, actions):
        """(frames, rewards, terminations, truncations, info), one row per lane."""
        actions = np.asarray(actions)
        if self._frames is None:
            raise ResetNeeded("there is no episode yet: call reset() first")
        if len(actions) != self.num_envs:
            raise ValueError(
                f"{len(actions)} actions for {self.num_envs} lanes: give one for each lane"
            )
        answers = self._ask("step", [(actions[lanes],) for lanes in self._lanes])
        self._frames, *rest = (
            np.concatenate(column) for column in list(zip(*answers, strict=True))[:4]
        )
        return self._frames.copy(), *rest, self._merged([answer[4] for answer in answers])

    def render(self) -> tuple[np.ndarray, ...]:
        """rgb_array: a tuple of frames (H, W, 3) uint8, one per lane."""
        return tuple(
            frame for part in self._ask("render", [() for _ in self._lanes]) for frame in part
        )

    def close_extras(self, **kwargs: Any) -> None:
        """End the actors, and the cluster if it was started here."""
        if "_open" in self.__dict__:
            self._open.close()

    def _seeds(self, seed: int | list[int | None] | None) -> Sequence[int | None] | None:
        """A seed for every lane; None goes on with the streams that there are."""
        if seed is None and self._frames is not None:
            return None
        if seed is None:
            seed = int(self.np_random.integers(2**62))
        return lane_seeds(seed, self.num_envs)

    def _ask(self, method: str, words: Sequence[tuple | None]) -> list:
        """What every actor answers to its words, all at once; None where there are none."""
        import ray

        if self.closed:
            raise ClosedEnvironmentError("this environment was closed: make a new one")
        pairs = zip(self._actors, words, strict=True)
        asked = [
            None if own is None else getattr(actor, method).remote(*own) for actor, own in pairs
        ]
        answers = []
        for number, reference in enumerate(asked):
            try:
                answers.append(None if reference is None else ray.get(reference))
            except ray.exceptions.RayActorError as error:
                raise self._dead(number, error) from error
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
        return answers

    def _dead(self, number: int, error: Exception) -> DeadActorError:
        lanes, reason = self._lanes[number], str(error).splitlines()[0]
        return DeadActorError(
            f"actor {number + 1} of {len(self._lanes)} (lanes {lanes.start} to {lanes.stop - 1}) "
            f"is gone and its episodes with it ({reason}); often it ran out of memory. Close this "
            "environment and make it anew"
        )

    def _pairs(self, answers: list) -> Iterator[tuple[slice, Any]]:
        return zip(self._lanes, answers, strict=True)

    def _merged(self, infos: list[dict[str, Any]]) -> dict[str, Any]:
        """One info of N rows per key.

        Where an actor has no such key its rows are empty, and False in the key's mask.
        """
        merged: dict[str, Any] = {}
        for key in dict.fromkeys(key for info in infos for key in info):
            found = next(info[key] for info in infos if key in info)
            if isinstance(found, dict):
                merged[key] = self._merged([info.get(key, {}) for info in infos])
                continue
            rows = [
                info[key] if key in info else self._empty(key, lanes, found)
                for lanes, info in self._pairs(infos)
            ]
            merged[key] = np.concatenate(rows)
        return merged

    def _empty(self, key: str, lanes: slice, like: np.ndarray) -> np.ndarray:
        """Rows of zeros or None; of `final_obs`, which is dense, the current frames."""
        if key == "final_obs" and like.dtype != object:
            return self._frames[lanes]
        shape = (lanes.stop - lanes.start, *like.shape[1:])
        return np.full(shape, None) if like.dtype == object else np.zeros(shape, like.dtype)


def _check_room(there: dict[str, float], required: dict[str, Any], actors: int, verb: str) -> None:
    """ValueError where the cluster cannot hold the actors; Ray alone would wait in silence."""
    for name, resource, unit in (("num_cpus", "CPU", "processors"), ("num_gpus", "GPU", "GPUs")):
        need, has = actors * (required.get(name) or 0), there.get(resource, 0)
        if need > has:
            raise ValueError(
                f"{actors} actors need {need:g} {unit}, the cluster {verb.format(has)}: use fewer "
                "actors"
            )


def _wait_for_room(
    available: Callable[[], dict[str, float]], required: dict[str, Any], actors: int
) -> None:
    """Wait for what others are just giving back.

    ValueError where the cluster stays taken, as by another one.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _check_room(available(), required, actors, "has {:g} free")
        except ValueError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PATIENCE / 20)
