"""The scene model: sprites at places between pixels before a background of patches, and what
becomes of them chosen among what occurs in the data.

A frame is drawn from its state and never read again, and every choice is an entry of a dictionary:
a move, a place, a patch. So nothing fades, drifts or doubles, and what is not chosen to change
stays exactly. The scene is read from the data before the training (`scene_fit`); the dynamics learn
by likelihood what is chosen, given the outcome of the step, which is chosen first, so that frame,
reward and end agree. Draws leave out what is much less likely than the likeliest: what is certain
is never missed, and what is random, as a serve, is drawn.

B lanes, K context frames, S steps of a clip, P sprites, A changing patches, H x W x C a frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from collectors.settings.parse import check_settings, setting
from world_models import frames as pixels
from world_models.models.outcomes import OUTCOMES, final_classes
from world_models.models.scene_losses import NEVER, SceneState, step_losses
from world_models.networks.scene import Scene, SceneSizes
from world_models.networks.scene_dynamics import (
    GONE,
    MOVE,
    PUT,
    SceneDynamics,
    SceneHistory,
    SceneLogits,
)
from world_models.networks.scene_fit import fit_scene
from world_models.noise import NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    LoadModel,
    ModelConfig,
    SamplingOptions,
    TrainingFrames,
    Transition,
    WorldModel,
    WorldSpec,
)

LOCATED_AT_ONCE = 64  # frames
OUTCOME, FATE, MOVES, PLACES, PATCHES = range(1, 6)  # salts of the draws


@dataclass(frozen=True)
class SceneConfig(ModelConfig):
    """Settings of the scene model; sizes that are 0 are found in the data."""

    sprites: int = setting(3, "things that move", least=1)
    sprite_size: int = setting(9, "pixels along their sides", least=2)
    patch: int = setting(4, "pixels along the side of a patch of the background", least=1)
    context_length: int = setting(4, "frames the model sees, and the actions between them", least=2)
    width: int = setting(256, "channels of the dynamics", least=1)
    depth: int = setting(2, "residual blocks before the outcome, and after it", least=1)
    moves: int = setting(0, "entries of a sprite's dictionary of moves along an axis", least=0)
    places: int = setting(0, "entries of its dictionary of places where it is put", least=0)
    patches: int = setting(0, "different patches of the background that change", least=0)
    changing: int = setting(0, "places on the grid where they do", least=0)
    least_share: float = setting(
        0.2, "of the likeliest choice's probability, under which none is drawn", least=0, most=1
    )
    jitter: float = setting(0.01, "pixels of noise on the places that moves are learned from",
                            least=0)  # fmt: skip

    def __post_init__(self):
        check_settings(self)

    @property
    def sizes(self) -> SceneSizes:
        """Those of the scene."""
        found = (self.moves, self.places, self.patches, self.changing)
        return SceneSizes(self.sprites, self.sprite_size, *found)


class SceneModel(WorldModel):
    """See the module."""

    kind = "scene"
    config_class = SceneConfig
    full_precision = "scene."  # places to a thousandth of a pixel
    one_graph = True
    config: SceneConfig
    reward_values: Tensor  # (R,)
    final: Tensor  # (R,) bool

    def __init__(self, spec: WorldSpec, config: SceneConfig):
        super().__init__(spec, config)
        self.context_length, self.patch = config.context_length, config.patch
        spec.patch_grid(config.patch)  # which refuses frames that patches do not fill
        self.register_buffer("reward_values", torch.tensor(spec.reward_values), persistent=False)
        self.register_buffer("final", final_classes(spec), persistent=False)
        self.scene = Scene(config.sizes, config.patch, spec.frame_shape)
        shape = (spec.frame_shape[0], spec.frame_shape[1])
        counts = (config.context_length, spec.action_inputs, 2 * len(spec.reward_values))
        self.dynamics = SceneDynamics(config.sizes, shape, *counts, config.width, config.depth)

    @classmethod
    def build_for_training(
        cls, spec: WorldSpec, config: SceneConfig, load: LoadModel, frames: TrainingFrames
    ) -> Self:
        """The scene is that of the frames."""
        with torch.no_grad():
            scene = fit_scene(frames, spec, config.sprites, config.sprite_size, config.patch)
        sizes = scene.sizes._asdict()
        model = cls(spec, replace(config, **sizes))
        model.scene.load_state_dict(scene.state_dict())
        return model

    # ------------------------------------------------------------------ a dream

    def init(self, context: Context) -> SceneState:
        """The state after a context of `context_length` frames. Raises ValueError on another
        shape.
        """
        expected = (self.context_length, *self.spec.frame_shape)
        if tuple(context.frames.shape[1:]) != expected:
            raise ValueError(
                f"a context has frames of shape (B, {expected}), not {tuple(context.frames.shape)}"
            )
        center, there, codes = self.unpack(self.encode_frames(context.frames))
        return SceneState(center, there, codes[:, -1], context.actions)

    def step(
        self,
        state: SceneState,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One step of every lane; see `protocols.WorldModel`. action (B, *row)."""
        self.resolve_options(options)
        history = self.history(state, action)
        read = self.dynamics.read(history)
        outcome, usual = self.draw(self.outcome_logits(read), noise, OUTCOME)
        logits = self.dynamics(read, outcome, history, self.scene.neighbors)
        center, there, codes, detail = self.decide(logits, state, noise)
        frame = pixels.to_uint8(self.scene.draw(center, there, codes))
        after = SceneState(
            torch.cat((state.center[:, 1:], center[:, None]), 1),
            torch.cat((state.there[:, 1:], there[:, None]), 1),
            codes,
            torch.cat((state.actions, action[:, None]), 1)[:, 1:],
        )
        over, trust = outcome % 2 == 1, (usual + detail).exp()
        return Transition(after, frame, self.reward_values[outcome // 2], over, trust)

    def history(self, state: SceneState, action: Tensor) -> SceneHistory:
        """What the dynamics read of a state and an action (B, *row)."""
        moved = state.center[:, 1:] - state.center[:, :-1]
        both = (state.there[:, 1:] & state.there[:, :-1])[..., None]
        moves = torch.where(both, self.scene.move_codes(moved), self.config.moves)
        last = torch.where(moves[:, -1] < self.config.moves, moved[:, -1], 0.0)
        actions = torch.cat((state.actions, action[:, None]), 1)
        return SceneHistory(state.center[:, -1], last, moves, state.there, actions, state.codes)

    def outcome_logits(self, read: Tensor) -> Tensor:
        """(B, 2 R): every reward class, going on and over. A final one never goes on."""
        logits = self.dynamics.outcome(read)
        never = torch.stack((self.final, torch.zeros_like(self.final)), 1).flatten()
        return logits.masked_fill(never, NEVER)

    def draw(self, logits: Tensor, noise: NoiseStream, salt: int) -> tuple[Tensor, Tensor]:
        """Logits (B, ..., N) -> a choice (B, ...) int64 among those at least `least_share` times as
        likely as the likeliest (cf. Nguyen et al. 2024, "Min-p sampling", arXiv:2407.01082), and
        how much less likely it is than is usual for a draw: at most 0, its log-probability and the
        entropy together (cf. typical sampling, Meister et al. 2022, arXiv:2202.00666, eq. 4).
        """
        likelihood = logits.float().log_softmax(-1)
        least = likelihood.amax(-1, keepdim=True) + math.log(max(self.config.least_share, 1e-30))
        noisy = likelihood + noise.gumbel(tuple(logits.shape[1:]), salt)
        choice = noisy.masked_fill(likelihood < least, -math.inf).argmax(-1, keepdim=True)
        entropy = -(likelihood.exp() * likelihood.clamp(min=NEVER)).sum(-1)
        return choice[..., 0], (likelihood.gather(-1, choice)[..., 0] + entropy).clamp(max=0)

    def decide(
        self, logits: SceneLogits, state: SceneState, noise: NoiseStream
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Centers (B, P, 2), presence (B, P) and codes (B, A) after the step, and how
        unusual all of this is (B,), at most 0; see `draw`.
        """
        (fate, p_fate), (move, p_move), (place, p_place), (patch, p_patch) = (
            self.draw(part, noise, salt)
            for part, salt in zip(logits, (FATE, MOVES, PLACES, PATCHES), strict=True)
        )
        last = state.center[:, -1]
        moved = last + self.scene.moves.expand(len(last), -1, -1, -1).gather(
            3, move[..., None]
        ).squeeze(3)
        put = self.scene.places.expand(len(last), -1, -1, -1).gather(3, place[..., None]).squeeze(3)
        center = torch.where((fate == MOVE)[..., None], moved, last)
        center = torch.where((fate == PUT)[..., None], put, center)
        codes = torch.where(patch == 0, state.codes, patch - 1)
        detail = torch.where(fate == MOVE, p_move.sum(2), 0.0)
        detail = torch.where(fate == PUT, p_place.sum(2), detail)
        return center, fate != GONE, codes, (p_fate + detail).sum(1) + p_patch.sum(1)

    def outcome_probabilities(
        self, state: SceneState, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Probabilities of the reward classes (B, R) and of termination (B,)."""
        read = self.dynamics.read(self.history(state, action))
        joint = self.outcome_logits(read).softmax(1).unflatten(1, (-1, 2))
        return joint.sum(2), joint[..., 1].sum(1)

    # ------------------------------------------------------------------ frames as numbers

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Frames (..., H, W, C) uint8 -> (..., 3 P + A) float32: centers, presence and codes."""
        parts, device = [], self.reward_values.device
        for part in frames.flatten(0, -4).split(LOCATED_AT_ONCE):
            x = pixels.stack(part[:, None].to(device))
            with torch.autocast(device.type, enabled=False):  # places are parts of a pixel
                center, there = self.scene.locate(x)
                codes = self.scene.codes_of(self.scene.without_sprites(x, center, there))
            parts.append(torch.cat((center.flatten(1), there.float(), codes.float()), 1))
        return torch.cat(parts).unflatten(0, frames.shape[:-3])

    def unpack(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inverse of the order in which `encode_frames` packs: centers (..., P, 2), presence
        (..., P) bool, codes (..., A) int64.
        """
        count = self.config.sprites
        center, there, codes = numbers.split((2 * count, count, self.config.changing), -1)
        return center.unflatten(-1, (count, 2)), there > 0.5, codes.long()

    def frame_encoder(self, progress: float) -> nn.Module:
        return self.scene

    # ------------------------------------------------------------------ training

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Negative log-likelihoods of the next frames, each after recorded ones: a state of entries
        is as good as a recorded one, so a step on the model's own frames would teach no more.

        clips.frames are frames or, (B, K + S, 3 P + A), what `encode_frames` makes of them.
        Outcomes count at the rate of the game: see `NextFrameModel.clip_losses`.
        """
        numbers = clips.frames
        if numbers.ndim == 5:
            numbers = self.encode_frames(numbers)
        numbers = numbers[:, : self.context_length + steps].to(self.reward_values.device)
        terms = step_losses(self, numbers, clips, augmentation.action_dropout, generator)
        valid = clips.valid[:, :steps].to(numbers.device).flatten().float()
        importance = (1 / clips.sampling_weight) / (1 / clips.sampling_weight).mean()
        importance = importance.to(valid)[:, None].expand(-1, steps).flatten()
        return {
            name: (value * valid * (importance if name in OUTCOMES else 1)).sum() / valid.sum()
            for name, value in terms.items()
        }
