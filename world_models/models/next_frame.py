"""What all next-frame models share: a window of recent frames as state, an outcome head, losses on
one step.

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
from world_models.models.trust_calibration import TrustScale
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

OUTCOMES = ("reward", "termination", "trust")  # losses of what a frame pays and is worth
WRONG_PATCH = (
    0.02  # a patch whose mean squared error (of [-1, 1]) passes this counts as wrong, for trust
)


class Window(NamedTuple):
    """The state of a next-frame model: all it remembers is what it saw last."""

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first


class Step(NamedTuple):
    """One recorded transition, as the trainer hands it over."""

    context: Tensor  # (B, K * C, H, W) in [-1, 1], oldest first, perhaps damaged or dreamed
    action: Tensor  # (B,) int64
    next_frame: Tensor  # (B, H, W, C) uint8, real
    reward_class: Tensor  # (B,) int64, index into spec.reward_values
    termination: Tensor  # (B,) bool
    expert: Tensor | None = None  # (B,) bool, see `protocols.Clips`


class StepLoss(NamedTuple):
    """Losses of one step, each (B,), and the frame to go on from."""

    terms: dict[str, Tensor]
    # (B, C, H, W) in [-1, 1], rounded to grey levels; its gradient is that of the painted frame
    frame: Tensor


class NextFrameModel(WorldModel):
    """A `WorldModel` that paints the next frame from the last K. Subclasses say how.

    `network` tells the patch grid: its width, patch and pixel_features are those of the outcome
    head.
    """

    def __init__(
        self,
        spec: WorldSpec,
        network: NetworkConfig,
        context_length: int,
        change_weight: float,
        stack: int = 1,
    ):
        """`stack`: pictures in the channels of a frame, of which a step paints one; `colours` are
        those of one.
        """
        super().__init__()
        self.spec, self.context_length, self.change_weight = spec, context_length, change_weight
        self.patch, channels = network.patch, spec.frame_shape[2]
        if channels % stack:
            raise ValueError(f"frames of {channels} channels are no stack of {stack} pictures")
        self.colours = channels // stack
        self.grid_shape = spec.patch_grid(self.patch)
        self.head = OutcomeHead(network, self.colours, len(spec.reward_values))
        self.trust_scale: TrustScale | None = None  # of a bundle whose trust was calibrated
        self.register_buffer("reward_values", torch.tensor(spec.reward_values), persistent=False)
        self.register_buffer("final", final_classes(spec), persistent=False)

    @abstractmethod
    def encode(self, x: Tensor, action: Tensor) -> Features:
        """x as `look` returns it, action (B,) -> what all that follows is computed from."""

    def look(self, x: Tensor) -> Tensor:
        """Context frames x (B, K * C, H, W) in [-1, 1] as the network takes them: as they are."""
        return x

    def seen(self, state: Window) -> Tensor:
        """`look` at the frames of a state."""
        return self.look(pixels.stack(state.frames))

    def encode_state(
        self, state: Window, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        """What a step from this state with action (B,) computes everything from.

        Under guidance each leaf has a second half, (2 B, ...), without the action.
        """
        return self.encode(self.seen(state), action)

    @abstractmethod
    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        """A next frame (B, C, H, W) in about [-1, 1]."""

    @abstractmethod
    def frame_loss(
        self, features: Features, target: Tensor, generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses (B,) by name and a predicted frame; target (B, C, H, W)."""

    def init(self, context: Context) -> Window:
        """The state after seeing a context of `context_length` frames.

        Raises ValueError on another shape.
        """
        expected = (self.context_length, *self.spec.frame_shape)
        if tuple(context.frames.shape[1:]) != expected:
            raise ValueError(
                f"a context has frames of shape (B, {expected}), not {tuple(context.frames.shape)}"
            )
        return Window(context.frames)

    def remember(self, state: Window, frame: Tensor, features: Features) -> Window:
        """The state after one more frame (B, H, W, C) uint8, painted from these features."""
        return Window(torch.cat((state.frames[:, 1:], frame[:, None]), 1))

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
        frame = pixels.to_uint8(self.predict(features, noise, options))
        return Transition(
            self.remember(state, frame, features), frame, *self.outcome(features, frame)
        )

    def outcome(self, features: Features, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reward (B,) float32, termination (B,) bool and trust (B,) of a dreamed frame (B, H, W, C)
        uint8.
        """
        own = features.tokens[
            : len(frame)
        ]  # under guidance a second half without the action follows
        reward, termination, trust = self.head(own, pixels.stack(frame[:, None]))
        trust = trust.sigmoid() if self.trust_scale is None else self.trust_scale(trust, own)
        paid, ends = decided(reward, termination, self.final)
        return self.reward_values[paid], ends, trust

    def outcome_probabilities(
        self, state: Window, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the head believes of a dreamed frame: reward classes (B, R) and termination (B,),
        for calibration.
        """
        return self.beliefs(self.encode_state(state, action), frame)

    def beliefs(self, features: Features, frame: Tensor) -> tuple[Tensor, Tensor]:
        """See `outcome_probabilities`; frame (B, H, W, C) uint8."""
        reward, termination, _ = self.head(
            features.tokens[: len(frame)], pixels.stack(frame[:, None])
        )
        return reward.softmax(1), termination.sigmoid()

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Mean losses by name over the valid steps of the clips, each step on the model's own last
        frame.

        The frames' losses are those of the clips as drawn. What a frame pays is learned at the rate
        of the game: a clip that was drawn ten times as often counts a tenth, or a dream would end
        ten times too often when in doubt.
        """
        length, device = self.context_length, self.reward_values.device
        frames = clips.frames[:, :length]
        if self.training:
            frames = damage(frames, augmentation.noise, augmentation.damage, self.patch, generator)
        context = pixels.stack(frames).to(device)
        fair = (1 / clips.sampling_weight) / (1 / clips.sampling_weight).mean()
        sums: dict[str, Tensor] = {}
        for s in range(steps):
            loss = self.step_loss(
                self.clip_step(clips, s, context, augmentation.action_dropout, generator), generator
            )
            for name, value in loss.terms.items():
                weight = clips.valid[:, s] * (fair if name in OUTCOMES else 1.0)
                sums[name] = sums.get(name, 0) + (value * weight.to(device)).sum()
            frame = loss.frame if augmentation.rollout_gradient else loss.frame.detach()
            context = torch.cat((context[:, self.colours :], frame), 1)
        return {name: value / clips.valid[:, :steps].sum() for name, value in sums.items()}

    def clip_step(
        self, clips: Clips, s: int, context: Tensor, dropout: float, generator: torch.Generator
    ) -> Step:
        """Step s of the clips on a context (B, K * C, H, W); in training a share of the actions is
        the null action.
        """
        action, device = clips.actions[:, s], context.device
        if self.training and dropout:
            drop = torch.rand(len(action), generator=generator) < dropout
            action = torch.where(drop, len(self.spec.action_names), action)
        after = clips.frames[:, self.context_length + s]
        step = Step(context, action, after, clips.reward_classes[:, s], clips.terminations[:, s])
        return Step(*(None if part is None else part.to(device) for part in step))

    def step_loss(self, step: Step, generator: torch.Generator) -> StepLoss:
        """Teacher-forced losses of one transition.

        The head sees what a dream would show it: a painted frame.
        """
        features = self.encode(self.look(step.context), step.action)
        target = pixels.stack(step.next_frame[:, None])
        return self.judged(step, features, self.frame_loss(features, target, generator), target)

    def judged(
        self,
        step: Step,
        features: Features,
        learned: tuple[dict[str, Tensor], Tensor],
        target: Tensor,
    ) -> StepLoss:
        """What `frame_loss` learned, and the losses of what the head says of the frame that it
        painted.
        """
        terms, painted = learned
        frame = pixels.stack(pixels.to_uint8(painted.detach())[:, None])
        said = self.head(features.tokens, frame)
        wrong = wrong_frames(painted.detach(), target, self.patch)
        terms |= outcome_losses(said, step.reward_class, step.termination, wrong)
        return StepLoss(terms, frame + painted - painted.detach())

    def change_weights(self, last: Tensor, target: Tensor) -> Tensor:
        """See the function of that name."""
        return change_weights(last, target, self.patch, self.change_weight)


def change_weights(last: Tensor, target: Tensor, patch: int, extra: float) -> Tensor:
    """Weights (B, 1, H, W) that count a patch that changes `1 + extra` times: few do, and they
    matter.
    """
    changed = F.max_pool2d((last - target).abs().amax(1, keepdim=True), patch) > 0.05
    return F.interpolate(1 + extra * changed.float(), scale_factor=patch, mode="nearest")


def wrong_frames(painted: Tensor, target: Tensor, patch: int) -> Tensor:
    """(B,) 1.0 where a patch of the frame painted (B, C, H, W) is far from that of its target, for
    trust; else 0.0.
    """
    error = F.avg_pool2d((painted - target) ** 2, patch).mean(1).amax((1, 2))
    return (error >= WRONG_PATCH).float()


def outcome_losses(
    said: tuple[Tensor, ...], reward: Tensor, termination: Tensor, wrong: Tensor
) -> dict[str, Tensor]:
    """Losses (B,) of what an outcome head said; reward (B,) class, termination (B,) bool, wrong
    (B,) float.

    "wrong" is not a loss (weight 0): the share of frames with a wrong patch.
    """
    binary = F.binary_cross_entropy_with_logits
    return {
        "reward": F.cross_entropy(said[0], reward, reduction="none"),
        "termination": binary(said[1], termination.float(), reduction="none"),
        "trust": binary(said[2], 1 - wrong, reduction="none"),
        "wrong": wrong,
    }


def final_classes(spec: WorldSpec) -> Tensor:
    """(R,) bool: the reward classes after which a game is always over."""
    return torch.tensor([value in spec.final_rewards for value in spec.reward_values])


def decided(reward: Tensor, termination: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest pair of reward class (B,) int64 and end (B,) bool, of those that the game
    knows.

    Logits reward (B, R) and termination (B,), taken to be independent but for `final` (R,) bool: no
    such class without the end. Decided apart, a dream would go on after the coin that ends the
    game, and pay it again.
    """
    ends, goes_on = F.logsigmoid(termination)[:, None], F.logsigmoid(-termination)[:, None]
    paid = (reward.log_softmax(1) + torch.where(final, ends, torch.maximum(ends, goes_on))).argmax(
        1
    )
    return paid, final[paid] | (termination > 0)
