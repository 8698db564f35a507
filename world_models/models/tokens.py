"""The token model: frames are grids of discrete codes, and the next frame's codes are decided in a
few masked passes.

Whatever the codes, the frame is one that the tokenizer has learned to decode: an error is a wrong
patch, never a blur that grows. It learns in two stages of one run: the tokenizer alone; then, with
it frozen, the dynamics of its codes (MaskGIT's objective, arXiv:2202.04200, on a context as in
Genie, arXiv:2402.15391, section 2.1).

B lanes, K context frames, S steps of a clip, H x W x C a frame, G x G codes per frame, D channels,
R reward classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from world_models import frames as pixels
from world_models.models.masked_decoding import Decided, MaskedDecoding
from world_models.models.outcomes import choose_outcome, final_classes
from world_models.models.token_losses import dynamics_losses, some_frames
from world_models.models.token_scroll import drawn_scroll
from world_models.models.token_windows import (
    PixelWindow,
    ScrollWindow,
    TokenWindow,
    first_window,
    next_window,
)
from world_models.models.tokens_config import TokensConfig, outcome_head
from world_models.networks.masked_tokens import CodeFeatures, CodeOutcomeHead, MaskedTokens
from world_models.networks.patch_counts import count_patches
from world_models.networks.patch_dictionary import PatchDictionary
from world_models.networks.tokenizer import build_tokenizer, digit_values
from world_models.noise import FRAME_SALT, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    LoadModel,
    SamplingOptions,
    TrainingFrames,
    Transition,
    WorldModel,
    WorldSpec,
)

END_SALT = FRAME_SALT - 1
# frames on a card, where a call costs most, and on a processor, whose cache 32 fit into
ENCODED_AT_ONCE = (1024, 32)


class TokensModel(WorldModel):
    """See the module."""

    kind = "tokens"
    config_class = TokensConfig
    full_precision = "tokenizer."  # a frame keeps its codes
    one_graph = True
    config: TokensConfig
    reward_values: Tensor  # (R,)
    final: Tensor  # (R,) bool

    def __init__(self, spec: WorldSpec, config: TokensConfig):
        super().__init__(spec, config)
        self.context_length, self.patch = config.context_length, config.tokenizer.patch
        self.register_buffer("reward_values", torch.tensor(spec.reward_values), persistent=False)
        self.register_buffer("final", final_classes(spec), persistent=False)
        self.null_action = spec.null_action
        grid = spec.patch_grid(self.patch)
        self.tokenizer = build_tokenizer(config.tokenizer, spec.frame_shape[2])
        self.tokenizer.requires_grad_(False)
        shape = (self.context_length, spec.action_inputs, *grid)
        patches = (self.patch, spec.frame_shape[2])
        self.network = MaskedTokens(config.network, self.tokenizer.sizes, shape, patches)
        self.head = outcome_head(config, spec)
        self.code_type = torch.int16 if self.network.mask_code < 2**15 else torch.int32
        learned = not isinstance(self.tokenizer, PatchDictionary)
        self.tokenizer_share = config.tokenizer_share if learned else 0.0
        if learned:
            self.init_embeddings()

    @classmethod
    def build_for_training(
        cls, spec: WorldSpec, config: TokensConfig, load: LoadModel, frames: TrainingFrames
    ) -> Self:
        """Which tokenizer `auto` is, and the patches of a dictionary, are those of the frames."""
        patches = count_patches(config.tokenizer, spec.frame_shape[2], frames)
        kind, count = ("fsq", 0) if patches is None else ("patches", len(patches))
        tokenizer = replace(config.tokenizer, kind=kind, patches=count)
        model = cls(spec, replace(config, tokenizer=tokenizer))
        if patches is not None:
            assert isinstance(model.tokenizer, PatchDictionary)
            model.tokenizer.fill(torch.from_numpy(patches))
            model.init_embeddings()
        return model

    def init_embeddings(self) -> None:
        """Gives codes that look alike embeddings that are alike."""
        self.network.codes.start_from(digit_values(self.tokenizer, self.reward_values.device))

    # ------------------------------------------------------------------ a dream

    @property
    def supported_options(self) -> frozenset[str]:
        return frozenset(SamplingOptions._fields)

    @property
    def default_options(self) -> SamplingOptions:
        return SamplingOptions(self.config.passes, self.config.guidance, self.config.temperature)

    @property
    def samples_from_noise(self) -> bool:
        return True

    def decoding(self, options: SamplingOptions) -> MaskedDecoding:
        """The sampler with the passes, temperature and guidance of the options."""
        steps, guidance, temperature = self.resolve_options(options)
        assert steps is not None and guidance is not None and temperature is not None
        own = (getattr(self.config, name) for name in MaskedDecoding._fields[3:])
        return MaskedDecoding(steps, temperature, guidance, *own)

    def init(self, context: Context) -> TokenWindow:
        """The state after a context of `context_length` frames. Raises ValueError on another
        shape.
        """
        expected = (self.context_length, *self.spec.frame_shape)
        if tuple(context.frames.shape[1:]) != expected:
            raise ValueError(
                f"a context has frames of shape (B, {expected}), not {tuple(context.frames.shape)}"
            )
        codes = self.encode_frames(context.frames)
        return first_window(context, codes, self.network.scroll, self.config.copy_pixels)

    def encode_state(
        self, state: TokenWindow, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> CodeFeatures:
        """What a step with action (B,) is computed from; under guidance a second half, without the
        action, follows.
        """
        codes, past, frame, moves = state.codes, state.actions, None, None
        if isinstance(state, ScrollWindow):
            frame, moves = state.frame, state.moves
        if self.decoding(options).guidance != 1:
            codes, past = codes.repeat(2, 1, 1, 1), torch.cat((past, past))
            action = torch.cat((action, torch.full_like(action, self.null_action)))
            moves = None if moves is None else moves.repeat(2, 1)
        share = torch.full((), self.config.assumed_corruption, device=codes.device)
        level = self.level_of(share).repeat(len(codes))
        return self.network.encode(codes, past, action, level, moves, frame)

    def step(
        self,
        state: TokenWindow,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One step of every lane; see `protocols.WorldModel`. action (B,) int64."""
        features = self.encode_state(state, action, options)
        decided = self.decide_codes(features, noise, options)
        frame, newest = self.show(decided, state), decided.codes.to(self.code_type)
        codes = torch.cat((state.codes[:, 1:], newest[:, None]), 1)
        past = torch.cat((state.actions, action[:, None]), 1)[:, 1:]
        after = next_window(state, codes, past, frame, decided.moved)
        return Transition(after, frame, *self.outcome(features, decided, frame, noise))

    def decide_codes(
        self, features: CodeFeatures, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Decided:
        """The codes of a next frame, and how probable each was."""
        decoding = self.decoding(options)
        features = drawn_scroll(self, decoding, features, noise)
        return self.known(decoding(self.network, features, noise))

    def known(self, decided: Decided) -> Decided:
        """With codes that the tokenizer has: digits can write more, and a mask."""
        return decided._replace(codes=decided.codes.clamp(max=self.tokenizer.codes - 1))

    def show(self, decided: Decided, state: TokenWindow) -> Tensor:
        """The frame (B, H, W, C) uint8 of decided codes, after a state."""
        frame, copy = self.decode_codes(decided.codes), self.network.copy
        if copy is None or not isinstance(state, (PixelWindow, ScrollWindow)):
            return frame
        if decided.moved is not None:
            frame = copy.moved_pixels(decided.source, frame, decided.moved.frame, self.patch)
        return copy.copied_pixels(decided.source, frame, state.frame, self.patch)

    def denoising(
        self,
        state: TokenWindow,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> list[Tensor]:
        """The frame (B, H, W, C) uint8 before the first pass and after each; what is not decided
        yet is gray.
        """
        frames, decoding = [], self.decoding(options)
        features = self.encode_state(state, action, options)
        features = drawn_scroll(self, decoding, features, noise)
        for decided in decoding.pass_by_pass(self.network, features, noise):
            frame = self.show(self.known(decided), state)
            masked = decided.codes == self.network.mask_code
            hidden = masked.repeat_interleave(self.patch, 1).repeat_interleave(self.patch, 2)
            frames.append(frame.masked_fill(hidden[..., None], 128))
        return frames

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes (B, G, G) int64 -> frames (B, H, W, C) uint8."""
        return pixels.to_uint8(self.tokenizer.decode(codes).float())

    def reconstruct(self, frames: Tensor) -> Tensor:
        return self.decode_codes(self.encode_frames(frames).long())

    def outcome(
        self, features: CodeFeatures, decided: Decided, frame: Tensor, noise: NoiseStream
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reward (B,) float32, termination (B,) bool and trust (B,) of decided codes, shown as a
        frame (B, H, W, C) uint8.
        """
        own = features.tokens[: len(decided.codes)]  # the half with the action
        reward, termination, trust = self.outcome_logits(own, decided.codes, frame)
        scale = self.trust_scale
        trust = trust.sigmoid() if scale is None else scale(trust, own, decided.surprise)
        draws = noise.uniform((), END_SALT) if self.config.draw_ends else None
        chosen, over = choose_outcome(reward.float(), termination.float(), self.final, draws)
        return self.reward_values[chosen], over, trust.float()

    def outcome_probabilities(
        self, state: TokenWindow, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The head's probabilities for a dreamed frame: rewards (B, R), termination (B,)."""
        features = self.context_features(state, action)
        reward, termination, _ = self.outcome_logits(features, self.encode_frames(frame), frame)
        return reward.softmax(1), termination.sigmoid()

    def outcome_logits(
        self, tokens: Tensor, codes: Tensor, frame: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of reward (B, R), termination (B,) and trust (B,) of codes (B, G, G) and the frame
        (B, H, W, C) uint8 that they are shown as; None: as the tokenizer decodes them.
        """
        if isinstance(self.head, CodeOutcomeHead):
            return self.head(tokens, self.network.codes(codes).detach())
        if frame is not None:
            return self.head(tokens, pixels.stack(frame[:, None]))
        with torch.no_grad():
            decoded = self.tokenizer.decode(codes).clamp(-1, 1)
        return self.head(tokens, decoded)

    @property
    def feature_width(self) -> int:
        return self.config.network.width

    def context_features(
        self, state: TokenWindow, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        """Without the half that guidance adds."""
        return self.encode_state(state, action, options).tokens[: len(action)]

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Frames (..., H, W, C) uint8 -> codes (..., G, G), in the type of a state."""
        device, codes = self.reward_values.device, []
        at_once = ENCODED_AT_ONCE[device.type == "cpu"]
        # a frame has the same codes in training and in a dream
        with torch.autocast(device.type, enabled=False):
            for part in frames.flatten(0, -4).split(at_once):
                codes.append(self.tokenizer.encode(pixels.stack(part[:, None].to(device))))
        return torch.cat(codes).to(self.code_type).unflatten(0, frames.shape[:-3])

    def level_of(self, share: Tensor) -> Tensor:
        """A share of corrupted context codes as the network is conditioned on it, in [0, 1]."""
        return share / max(self.config.corruption, 1e-6)

    # ------------------------------------------------------------------ training

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """In the first part of the training the tokenizer's losses only; then those of the
        dynamics, each step on the codes that the model itself decided. Validation reports both.

        clips.frames are frames or, (B, K + S, G, G), their codes. Outcomes count at the rate of the
        game: see `NextFrameModel.clip_losses`.
        """
        learns = augmentation.progress < self.tokenizer_share
        own = {}
        if clips.frames.ndim == 5 and (learns or not self.training):
            chosen = some_frames(clips.frames, generator).to(self.reward_values.device)
            own = self.tokenizer.losses(chosen)
        if learns:
            return own
        dropout = augmentation.action_dropout
        return {**dynamics_losses(self, clips, dropout, steps, generator), **own}

    def begin_update(self, average: Self, last_progress: float, progress: float) -> None:
        """Freezes the tokenizer, when its share of the run is over, with its averaged weights."""
        self.tokenizer.requires_grad_(progress < self.tokenizer_share)
        if last_progress < self.tokenizer_share <= progress:
            self.tokenizer.load_state_dict(average.tokenizer.state_dict())

    def frame_encoder(self, progress: float) -> nn.Module | None:
        return self.tokenizer if progress >= self.tokenizer_share else None

    @property
    def given_weights(self) -> str:
        """The tokenizer's, where this run does not learn them and it is not made from data."""
        learned = isinstance(self.tokenizer, PatchDictionary) or self.tokenizer_share
        return "" if learned else "tokenizer."
