"""The settings of the token model."""

from __future__ import annotations

from dataclasses import dataclass, field

from collectors.settings.parse import check_settings, setting
from world_models.networks.grid import GridConfig, OutcomeHead
from world_models.networks.masked_tokens import CodeOutcomeHead, MaskedTokensConfig
from world_models.networks.tokenizer import TokenizerConfig
from world_models.protocols import ModelConfig, WorldSpec


@dataclass(frozen=True)
class TokensConfig(ModelConfig):
    """Settings of the token model. Raises ValueError where they make none."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    network: MaskedTokensConfig = field(default_factory=MaskedTokensConfig)
    context_length: int = setting(4, "frames the model sees, and the actions between them", least=1)
    passes: int = setting(1, "of the decoder per step: the sampler's steps", least=1)
    temperature: float = setting(0.0, "of the draws; 0 takes the likeliest codes", least=0)
    new_temperature: float | None = setting(
        None, "of what comes into sight: by the move where it scrolls, else at new_edge", least=0.01
    )
    new_edge: int = setting(
        0, "where it does not scroll: places along the frame's edge that are new", least=0
    )
    move_temperature: float | None = setting(
        None, "where it scrolls: of the move; none: temperature", least=0
    )
    choice_temperature: float = setting(
        0.0, "of the order in which places are decided; 0: the surest draws first", least=0
    )
    spread_order: bool = setting(
        False, "unsure places are decided evenly spread, in place of by choice_temperature"
    )
    sure_copy: float = setting(
        1.0, "a copy that is more probable is taken without a draw; 1: none", least=0, most=1
    )
    least_share: float = setting(
        0.0, "choices less likely than this share of the likeliest are not drawn", least=0, most=1
    )
    draw_ends: bool = setting(
        False,
        "ends are drawn as probable as they are; else one comes where it is likelier than not",
    )
    copy_pixels: bool = setting(
        False, "what is copied keeps its pixels: for games that move by whole patches"
    )
    pixel_features: int = setting(
        0, "of single pixels of the frame, to tell outcomes by; 0: by its codes", least=0
    )
    outcomes_by_frame: bool = setting(
        False, "reward and end follow from the pixels of the next frame alone"
    )
    rare: float = setting(
        0.0, "how much more patches of rare colors weigh in the loss; 0: all alike", least=0
    )
    guidance: float = setting(1.0, "on the action; 1 is off", least=0)
    tokenizer_share: float = setting(
        0.25, "of the training, the tokenizer's; 0: init_from brings one", least=0, most=1
    )
    all_masked: float = setting(
        0.3, "share of samples in which nothing of the next frame is shown", least=0, most=1
    )
    new_only: float = setting(
        0.5,
        "share of samples that show all that could be copied, as later passes do",
        least=0,
        most=1,
    )
    corruption: float = setting(
        0.1, "largest share of context codes that training replaces", least=0, most=1
    )
    corrupted: float = setting(0.7, "share of samples in which some are", least=0, most=1)
    own_moves: float = setting(
        0.0,
        "where it scrolls: share of samples in which a step of a rollout makes the move that the "
        "model draws",
        least=0,
        most=1,
    )
    erased: float = setting(
        0.0, "share of samples from whose context a small box of codes is erased", least=0, most=1
    )
    assumed_corruption: float = setting(
        0.02, "share of wrong codes that a dream assumes in its own context", least=0, most=1
    )

    def __post_init__(self):
        check_settings(self)
        if self.copy_pixels and not self.network.copy:
            raise ValueError(
                "model.copy_pixels needs codes that are copied: model.network.copy=[0]"
            )
        if self.outcomes_by_frame and not self.pixel_features:
            raise ValueError("model.outcomes_by_frame needs pixel_features=8, or so many")
        if self.network.scroll and (self.copy_pixels or self.context_length < 2):
            raise ValueError(
                "model.network.scroll needs context_length=2 or more, and copy_pixels=false"
            )
        if self.new_edge and (self.network.scroll or self.new_temperature is None):
            raise ValueError(
                "model.new_edge needs new_temperature, and network.scroll=[], which finds what is "
                "new by itself"
            )

    def check_run(self, weights: str) -> None:
        if self.tokenizer.kind != "patches" and not (self.tokenizer_share or weights):
            raise ValueError(
                "a token model needs its tokenizer: train it in the same run "
                "(model.tokenizer_share=0.25), or give a bundle that has one "
                "(init_from=runs/coinrun/bundle)"
            )


def outcome_head(config: TokensConfig, spec: WorldSpec) -> CodeOutcomeHead | OutcomeHead:
    """What tells outcomes: by pixels where a game counts them, else by codes."""
    width, rewards = config.network.width, len(spec.reward_values)
    if not config.pixel_features:
        return CodeOutcomeHead(config.network, rewards)
    patch, places = config.tokenizer.patch, 0
    if config.outcomes_by_frame:
        rows, columns = spec.patch_grid(patch)
        places = rows * columns
    sizes = GridConfig(width, patch, pixel_features=config.pixel_features)
    return OutcomeHead(sizes, spec.frame_shape[2], rewards, places)
