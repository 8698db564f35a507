"""Records a dream while it is dreamed, as a `DreamFile`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch

from neural_envs import bundles
from neural_envs.env import NeuralEnv
from neural_envs.given_contexts import context_from
from neural_envs.replays.dream_format import RUNNING, SETTINGS, TERMINATED, TRUNCATED, Segment
from neural_envs.replays.replay_file import DreamFile, frame_bytes, platform_facts
from neural_envs.simulator import CONTEXT_SALT, Simulator
from world_models.bundles.identity import bundle_hash
from world_models.noise import NoiseStream


class DreamRecorder:
    """Records one dream: `start` after each reset, `add` after each step.

    Call `resync` after the dream was given another context, and `copy` for a snapshot: the copy
    goes on from that step. Changes of `env.sampling` are noticed by themselves.
    """

    def start(self, env: gymnasium.Env, seed: int | None = None, context: Any = None) -> None:
        """Begin with the dream that `env` was just reset to.

        `env`: a `NeuralEnv`, maybe in wrappers; TypeError for another environment. `context`: what
        options["context"] of that reset was (see `given_contexts.context_from`); None where the
        dream's random stream drew its start.
        """
        if not isinstance(env.unwrapped, NeuralEnv):
            raise TypeError(f"only a NeuralEnv can be recorded, not a {type(env.unwrapped)}")
        self.env: NeuralEnv = env.unwrapped
        self.seed, self.first = seed, self._segment(0, context)
        self.segments: list[Segment] = []
        self.actions: list[Any] = []
        self.rewards: list[float] = []
        self.outcomes: list[int] = []
        self.digest = hashlib.sha256(frame_bytes(_context(self.first)[0][-1]))

    def add(
        self, action: Any, frame: np.ndarray, reward: float, terminated: bool, truncated: bool
    ) -> None:
        """One step: the action and what came of it; frame (H, W, C) uint8."""
        last = self.segments[-1] if self.segments else self.first
        if _settings(self.env) != last.settings:
            seed, after = self._noise()
            self.segments.append(Segment(len(self.actions), (seed, after - 1), _settings(self.env)))
        self.actions.append(action)
        self.rewards.append(float(reward))
        self.outcomes.append(TERMINATED if terminated else TRUNCATED if truncated else RUNNING)
        self.digest.update(frame_bytes(frame))

    def resync(self, context: Any) -> None:
        """The same dream goes on from another context, as `NeuralEnv.continue_from` takes it."""
        self.segments.append(self._segment(len(self.actions), context))

    def copy(self) -> DreamRecorder:
        """A recorder of the same dream so far, which shares nothing with this one."""
        other = DreamRecorder()
        for name, value in self.__dict__.items():
            setattr(other, name, value.copy() if isinstance(value, list) else value)
        other.digest = self.digest.copy()
        return other

    def file(self) -> DreamFile:
        """The dream so far."""
        space = self.env.world.actions
        frames, actions = _context(self.first)
        name, digest, world = _identity(self.env.simulator)
        return DreamFile(
            bundle=name,
            bundle_hash=digest,
            world=world,
            seed=self.seed,
            noise=self.first.noise,
            context_frames=frames,
            context_actions=actions,
            actions=np.array(self.actions, space.dtype).reshape(-1, *space.row),
            rewards=np.array(self.rewards, np.float32),
            outcomes=np.array(self.outcomes, np.uint8),
            settings={
                **self.first.settings,
                "backend": self.env.simulator.running_backend(1, self.env.sampling),
                "min_trust": self.env._dream.min_trust,
            },
            frames_hash=self.digest.hexdigest(),
            platform=platform_facts(),
            segments=tuple(self.segments),
        )

    def _segment(self, start: int, context: Any) -> Segment:
        simulator, (seed, step) = self.env.simulator, self._noise()
        if context is None:
            drawn = NoiseStream(torch.tensor([seed]), torch.tensor([step - 1]))
            number = drawn.integers(len(simulator.contexts), CONTEXT_SALT)
            context = simulator.contexts.choose(number)
        else:
            context = context_from(context, simulator.model, 1)
        frames, actions = (part[0].cpu().numpy().copy() for part in context)
        actions = simulator.model.spec.actions.decode(actions)
        return Segment(start, (seed, step), _settings(self.env), frames, actions)

    def _noise(self) -> tuple[int, int]:
        """(seed, step) of the stream that the next step draws from."""
        noise = self.env.get_state().noise
        return int(noise.seeds[0]), int(noise.steps[0])


def _context(segment: Segment) -> tuple[np.ndarray, np.ndarray]:
    """The frames and actions of a segment that begins with a context."""
    assert segment.frames is not None and segment.actions is not None
    return segment.frames, segment.actions


def _identity(simulator: Simulator) -> tuple[str, str, str]:
    """(name, hash, world) of the bundle that dreams; hash "" for a model that is in no bundle."""
    name, world = simulator.name, simulator.model.spec.world
    try:
        return name, bundle_hash(bundles.resolve_bundle(name)), world
    except (ValueError, OSError):
        return name, "", world


def _settings(env: NeuralEnv) -> Mapping[str, Any]:
    return {name: getattr(env.sampling, field) for name, field in SETTINGS.items()}
