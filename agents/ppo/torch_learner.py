"""PPO whose frames never leave the device: `neural-envs ppo WORLD --learner torch --device cuda`.

The updates are those of stable-baselines3, and so are networks, settings, checkpoints and the saved
policy. Only what is between them is ours, in the style of CleanRL: dreams give tensors, actions are
drawn where they are (several parts are decoded on the host), and a rollout stays on the device
(Schulman et al. 2017, arXiv:1707.06347; advantages: Schulman et al. 2016, arXiv:1506.02438).
stable-baselines3 copies every frame to the host and back.

T steps, B lanes, frames of H x W pixels with C channels, K frames stacked, P parts of an action.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from agents.ppo.vec_env import SB3VecEnv


class LaneStep(NamedTuple):
    """What a step of all lanes gives; tensors on the device."""

    reward: Tensor  # (B,) float32
    done: Tensor  # (B,) bool
    cut: Tensor  # (B,) bool, truncated and not terminated
    last: Tensor | None  # (B, K C, H, W) what each lane saw last; None where no lane is done


class TensorLanes(SB3VecEnv):
    """Dreams with `output="torch"`, their newest frames stacked: what `TorchPPO` plays in.

    As with `VecFrameStack`, the newest frame is the last one, and before the first are zeros.
    """

    def __init__(self, env: VectorEnv, stack: int = 1):
        super().__init__(env)
        frame, self.stack = env.single_observation_space, stack
        assert isinstance(frame, gym.spaces.Box)
        height, width, self.channels = frame.shape
        shape = (stack * self.channels, height, width)
        self.observation_space = gym.spaces.Box(0, 255, shape, np.uint8)
        self.frames = torch.zeros(0, *shape, dtype=torch.uint8)  # (B, K C, H, W), the newest ones

    def reset(self) -> np.ndarray:
        """Starts all lanes; only the first frames are copied to the host, as the base asks."""
        newest, _ = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        shape = self.observation_space.shape or ()
        none = torch.zeros(self.num_envs, *shape, dtype=torch.uint8, device=newest.device)
        self.frames = self._pushed(none, newest)
        return self.frames.cpu().numpy()

    def advance(self, actions: Tensor) -> LaneStep:
        """One step of all lanes by encoded actions (B, *row); `frames` are the newest then."""
        newest, reward, ended, cut, info = self.env.step(self._as_games_take(actions))
        done, before, last = ended | cut, self.frames, None
        if "final_obs" in info:
            last = self._pushed(before, info["final_obs"])
            before = before * ~done[:, None, None, None]
        self.frames = self._pushed(before, newest)
        return LaneStep(reward, done, cut & ~ended, last)

    def _as_games_take(self, actions: Tensor) -> Tensor | np.ndarray:
        return actions if self._space.is_plain else self._space.decode(actions.cpu().numpy())

    def _pushed(self, stacked: Tensor, newest: Tensor) -> Tensor:
        """Stacked frames (B, K C, H, W) with another one (B, H, W, C) as the last."""
        frame = newest.permute(0, 3, 1, 2)
        return torch.cat((stacked[:, self.channels :], frame), 1) if self.stack > 1 else frame


class TensorRollout(RolloutBuffer):
    """A rollout on the device, as `PPO.train` reads it."""

    samples: RolloutBufferSamples  # (T B, ...) each
    generator: torch.Generator  # that shuffles

    def reset(self) -> None:
        """Without the arrays that the base keeps on the host."""

    def fill(self, samples: RolloutBufferSamples, generator: torch.Generator) -> None:
        """Hold these samples."""
        self.samples, self.generator = samples, generator
        # by which the share of variance that the values explain is reported
        self.values, self.returns = (
            part.cpu().numpy() for part in (samples.old_values, samples.returns)
        )

    def get(self, batch_size: int | None = None) -> Iterator[RolloutBufferSamples]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Minibatches of all samples in random order."""
        count = len(self.samples.actions)
        order = torch.randperm(count, generator=self.generator, device=self.generator.device)
        for rows in order.split(batch_size or count):
            yield RolloutBufferSamples(*[part[rows] for part in self.samples if part is not None])


class TorchPPO(PPO):
    """PPO that plays in `TensorLanes`."""

    rollout_buffer: TensorRollout  # pyright: ignore[reportIncompatibleVariableOverride]

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._setup_learn(*args, **kwargs)
        seed = (self.seed or 0) + self.num_timesteps
        self.generator = torch.Generator(self.device).manual_seed(seed)
        lanes = self.n_envs
        self.totals, self.lengths = (torch.zeros(lanes, device=self.device) for _ in range(2))
        return found

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """See the base. A reward that cuts an episode short has the value of its last frame."""
        lanes = env.unwrapped
        assert isinstance(lanes, TensorLanes)
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        rows = []
        for _ in range(n_rollout_steps):
            rows.append(self._step(lanes))
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        self._fill(rows, lanes.frames)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    @torch.no_grad()
    def _step(self, lanes: TensorLanes) -> tuple[Tensor, ...]:
        """Frames, actions, values, their log-probabilities, rewards, ends; returns and lengths of
        the episodes so far. (B, ...) each.
        """
        frames = lanes.frames
        likelihood, value = self._heads(frames)
        action = drawn(likelihood.distribution, self.generator)  # (B, *row)
        chosen = likelihood.log_prob(action)
        step = lanes.advance(action)
        reward, totals, lengths = step.reward, self.totals + step.reward, self.lengths + 1
        if step.last is not None:
            reward = reward + self.gamma * self._heads(step.last)[1] * step.cut
        going = ~step.done
        self.totals, self.lengths = totals * going, lengths * going
        return frames, action, value, chosen, reward, step.done, totals, lengths

    def _heads(self, frames: Tensor) -> tuple[Distribution, Tensor]:
        """Frames (B, K C, H, W) uint8 -> what is known of the actions, and values (B,)."""
        policy: Any = self.policy
        of_actor, of_critic = policy.mlp_extractor(policy.extract_features(frames))
        # the public way, get_distribution and predict_values, looks at every frame twice
        return policy._get_action_dist_from_latent(of_actor), policy.value_net(of_critic)[:, 0]

    @torch.no_grad()
    def _fill(self, rows: list[tuple[Tensor, ...]], newest: Tensor) -> None:
        """Put a rollout of T steps, before the frames `newest`, into the buffer."""
        parts = map(torch.stack, zip(*rows, strict=True))
        frames, actions, values, chosen, rewards, done, totals, lengths = parts
        last = self._heads(newest)[1]
        gained = advantages(values, rewards, done, last, self.gamma, self.gae_lambda)
        samples = (frames, actions, values, chosen, gained, gained + values)
        flat = RolloutBufferSamples(*[part.flatten(0, 1) for part in samples])
        self.rollout_buffer.fill(flat, self.generator)
        assert self.ep_info_buffer is not None
        finished = zip(totals[done].tolist(), lengths[done].tolist(), strict=True)
        self.ep_info_buffer.extend({"r": total, "l": length} for total, length in finished)


def drawn(found: Any, generator: torch.Generator) -> Tensor:
    """Encoded actions (B, *row) from a policy's distribution, or from one per part."""
    if isinstance(found, list | tuple):
        return torch.stack([drawn(part, generator) for part in found], 1)
    if isinstance(found, Normal):
        return torch.normal(found.mean, found.stddev, generator=generator)
    if isinstance(found, Bernoulli):
        return torch.bernoulli(found.probs, generator=generator)
    return torch.multinomial(found.probs, 1, generator=generator)[:, 0]


def advantages(
    values: Tensor, rewards: Tensor, done: Tensor, last: Tensor, gamma: float, decay: float
) -> Tensor:
    """(T, B) by generalized advantage estimation. last (B,): the values after the last step."""
    found, running, after = torch.empty_like(values), torch.zeros_like(last), last
    for step in reversed(range(len(values))):
        going = (~done[step]).float()
        running = rewards[step] + going * gamma * (after + decay * running) - values[step]
        found[step], after = running, values[step]
    return found
