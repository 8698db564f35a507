"""What all next-frame models share: a window of recent frames as state,
an outcome head, losses on one step.

A dream's step is `encode_state`, `predict`, `remember`; a training step is `encode`, `losses`.

B lanes, K context frames, H x W x C a frame, D features on a G x G grid, R reward classes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.models.augment import damage
from world_models.models.outcomes import (
    OUTCOMES,
    final_classes,
    likeliest_outcome,
    outcome_losses,
    wrong_frames,
)
from world_models.networks.actions import put_null
from world_models.networks.grid import OutcomeHead
from world_models.noise import NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    Features,
    NetworkConfig,
    SamplingOptions,
    Transition,
    WorldModel,
    WorldSpec,
)


class Window(NamedTuple):
    """The state of a next-frame model: the last frames."""

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first


class Step(NamedTuple):
    """One recorded transition to learn from."""

    context: Tensor  # (B, K * C, H, W) in [-1, 1], oldest first, perhaps damaged or dreamed
    action: Tensor  # (B, *row), encoded
    target: Tensor  # (B, C, H, W) in [-1, 1], the real next frame
    reward_class: Tensor  # (B,) int64, index into spec.reward_values
    termination: Tensor  # (B,) bool
    expert: Tensor | None = None  # (B,) bool, see `protocols.Clips`


class StepLoss(NamedTuple):
    """Losses of one step, each (B,), and the frame to go on from."""

    terms: dict[str, Tensor]
    # (B, C, H, W) in [-1, 1], rounded to gray levels; its gradient is that of the predicted frame
    frame: Tensor


class NextFrameModel(WorldModel):
    """A `WorldModel` that predicts the next frame from the last K.

    A subclass gives `encode`, `predict` and `losses`, and where its state is more than frames
    `init`, `encode_state` and `remember`. Where the game stacks images in the channels of a frame,
    a step predicts the newest one, and `colors` are the channels of one image.
    """

    def __init__(
        self,
        spec: WorldSpec,
        network: NetworkConfig,
        context_length: int,
        change_weight: float,
        stack: int = 1,
    ):
        """`network`: its width, patch and pixel_features are those of the outcome head, and its
        patch makes the grid. `stack`: images in the channels of a frame.
        """
        super().__init__(spec)
        self.context_length, self.change_weight = context_length, change_weight
        self.patch, channels = network.patch, spec.frame_shape[2]
        if channels % stack:
            raise ValueError(f"frames of {channels} channels are no stack of {stack} images")
        self.stack, self.colors = stack, channels // stack
        self.grid_shape = spec.patch_grid(self.patch)
        self.head = OutcomeHead(network, self.colors, len(spec.reward_values))
        self.register_buffer("reward_values", torch.tensor(spec.reward_values), persistent=False)
        self.register_buffer("final", final_classes(spec), persistent=False)

    reward_values: Tensor  # (R,)
    final: Tensor  # (R,) bool

    # ------------------------------------------------------------------ what a subclass gives

    @abstractmethod
    def encode(self, context: Tensor, action: Tensor) -> Features:
        """What a step is computed from; context (B, K * C, H, W) in [-1, 1], action (B, *row)."""

    @abstractmethod
    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        """A next frame (B, C, H, W) in about [-1, 1]."""

    @abstractmethod
    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses (B,) by name, and a predicted frame (B, C, H, W) that outcomes are learned on."""

    # ------------------------------------------------------------------ a dream

    def init(self, context: Context) -> Window:
        """The state after a context of `context_length` frames.

        Raises ValueError on another shape.
        """
        expected = (self.context_length, *self.spec.frame_shape)
        if tuple(context.frames.shape[1:]) != expected:
            raise ValueError(
                f"a context has frames of shape (B, {expected}), not {tuple(context.frames.shape)}"
            )
        return Window(context.frames)

    def encode_state(
        self, state: Window, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        """What a step from this state with action (B,) computes everything from.

        Under guidance each leaf has a second half, (2 B, ...), without the action.
        """
        return self.encode(pixels.stack(state.frames), action)

    def remember(self, state: Window, action: Tensor, image: Tensor, features: Features) -> Window:
        """The state after one more image (B, H, W, C) uint8, predicted from these features."""
        return Window(torch.cat((state.frames[:, 1:], image[:, None]), 1))

    def step(
        self,
        state: Window,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One step of every lane; see `protocols.WorldModel`. action (B,) int64."""
        options = self.resolve_options(options)
        features = self.encode_state(state, action, options)
        image = self.as_image(self.predict(features, noise, options))
        after = self.remember(state, action, image, features)
        frame = image
        if self.stack > 1:  # (B, stack, H, W, C) -> (B, H, W, stack * C)
            frame = after.frames[:, -self.stack :].movedim(1, 3).flatten(3)
        return Transition(after, frame, *self.outcome(features, image))

    def as_image(self, predicted: Tensor) -> Tensor:
        """A predicted frame (B, C, H, W) as it is shown, (B, H, W, C) uint8."""
        return pixels.to_uint8(predicted)

    def outcome(self, features: Features, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reward (B,) float32, termination (B,) bool and trust (B,) of an image (B, H, W, C) uint8
        that was predicted from these features.
        """
        own = features.tokens[: len(image)]  # the half with the action
        reward, termination, trust = self.head(own, pixels.stack(image[:, None]))
        trust = trust.sigmoid() if self.trust_scale is None else self.trust_scale(trust, own)
        chosen, over = likeliest_outcome(reward, termination, self.final)
        return self.reward_values[chosen], over, trust

    def outcome_probabilities(
        self, state: Window, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The head's probabilities for a dreamed frame:
        reward classes (B, R) and termination (B,).
        """
        image = pixels.stack(frame[:, None, ..., -self.colors :])
        reward, termination, _ = self.head(self.context_features(state, action), image)
        return reward.softmax(1), termination.sigmoid()

    @property
    def image_channels(self) -> int:
        return self.colors

    @property
    def feature_width(self) -> int:
        return self.head.out.in_features // 2

    def context_features(
        self, state: Window, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        """Without the half that guidance adds."""
        return self.encode_state(state, action, options).tokens[: len(action)]

    # ------------------------------------------------------------------ training

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Mean losses by name over the valid steps of the clips,
        each step on the model's own last frame.

        The frames' losses are those of the clips as drawn. Outcomes are learned at the rate of the
        game: a clip that was drawn ten times as often counts a tenth, or a dream would end ten
        times too often when in doubt.
        """
        length, device = self.context_length, self.reward_values.device
        clips = clips._replace(frames=clips.frames[..., -self.colors :])
        frames = clips.frames[:, :length]
        if self.training:
            frames = damage(frames, augmentation.noise, augmentation.damage, self.patch, generator)
        context = pixels.stack(frames).to(device)
        importance = (1 / clips.sampling_weight) / (1 / clips.sampling_weight).mean()
        sums: dict[str, Tensor] = {}
        for s in range(steps):
            step = self.clip_step(clips, s, context, augmentation.action_dropout, generator)
            loss = self.step_loss(step, generator)
            for name, value in loss.terms.items():
                weight = clips.valid[:, s] * (importance if name in OUTCOMES else 1.0)
                sums[name] = sums.get(name, 0) + (value * weight.to(device)).sum()
            frame = loss.frame if augmentation.rollout_gradient else loss.frame.detach()
            context = torch.cat((context[:, self.colors :], frame), 1)
        return {name: value / clips.valid[:, :steps].sum() for name, value in sums.items()}

    def clip_step(
        self, clips: Clips, s: int, context: Tensor, dropout: float, generator: torch.Generator
    ) -> Step:
        """Step s of the clips on a context (B, K * C, H, W);
        in training a share of the actions is the null action.
        """
        action, device = clips.actions[:, s], context.device
        if self.training and dropout:
            drop = torch.rand(len(action), generator=generator) < dropout
            action = put_null(action, drop, self.spec.null_action)
        target = pixels.stack(clips.frames[:, self.context_length + s, None].to(device))
        expert = None if clips.expert is None else clips.expert.to(device) & (s == 0)
        reward, over = clips.reward_classes[:, s], clips.terminations[:, s]
        return Step(context, action.to(device), target, reward.to(device), over.to(device), expert)

    def step_loss(self, step: Step, generator: torch.Generator) -> StepLoss:
        """Losses of one transition; the head learns on what a dream would show it: a predicted
        frame.
        """
        features = self.encode(step.context, step.action)
        terms, predicted = self.losses(step, features, generator)
        fixed = predicted.detach()
        frame = pixels.stack(pixels.to_uint8(fixed)[:, None])
        wrong = wrong_frames(fixed, step.target[:, : self.colors], self.patch)
        logits = self.head(features.tokens, frame)
        terms |= outcome_losses(logits, step.reward_class, step.termination, wrong)
        return StepLoss(terms, frame + predicted - fixed)


def change_weights(last: Tensor, target: Tensor, patch: int, extra: float) -> Tensor:
    """Weights (B, 1, H, W) that count a patch that changes `1 + extra` times:
    few do, and they matter.
    """
    changed = F.max_pool2d((last - target).abs().amax(1, keepdim=True), patch) > 0.05
    return F.interpolate(1 + extra * changed.float(), scale_factor=patch, mode="nearest")
