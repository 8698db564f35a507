"""A student that makes a frame in one or two steps, taught by a model that takes more.

Progressive distillation (Salimans & Ho 2022, arXiv:2202.00512, algorithm 2) with all halvings at
once, which for a teacher of few steps is what Luhman & Luhman 2021 (arXiv:2101.02388, eq. 6) do:
from the same noise, context and action the teacher walks its levels, and a step of the student is
to end where the teacher's steps between the same two levels end. Both walks are deterministic, so
the student learns a function, and its frames are as sharp as the teacher's.

B lanes, C colors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models.diffusion.objectives.base import Path, spread
from world_models.diffusion.samplers import Euler, ddim
from world_models.models.chance_variables import Chosen
from world_models.models.diffusion import DiffusionModel
from world_models.models.next_frame import Step
from world_models.noise import channels_last
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Features,
    LoadModel,
    ModelConfig,
    WorldModel,
    WorldSpec,
)


@dataclass(frozen=True)
class DistilledConfig(ModelConfig):
    """What is taught by whom.

    The student has the teacher's network, objective and weights to begin with.
    """

    teacher: str = setting(
        "worldmap-diffusion", "released name or directory of the diffusion bundle that teaches"
    )
    teacher_steps: int = setting(0, "of the teacher, on its levels; 0: as many as it dreams with")
    steps: int = setting(1, "of the student; its levels must be among the teacher's")


class TrainingExample(NamedTuple):
    """What a step of the student is to do, for B lanes."""

    x: Tensor  # (B, C, H, W) where it begins
    level: Tensor  # (B,) of x
    target: Tensor  # (B, C, H, W): the estimate of x0 with which it ends where the teacher does
    preview: Tensor  # (B, C, H, W): the teacher's prediction from the slightly noised next frame


class DistilledModel(DiffusionModel):
    """The student in training.

    Its bundle is that of an ordinary diffusion model of few steps and needs no teacher.
    """

    config_class = DistilledConfig

    def __init__(self, spec: WorldSpec, config: DistilledConfig, teacher: WorldModel):
        """Raises ValueError where the teacher is of another game, or cannot be learned from."""
        taught = check_teacher(teacher, spec, config.teacher)
        super().__init__(spec, replace(taught.config, sampler=Euler(config.steps), guidance=1.0))
        self.load_state_dict(taught.state_dict())
        steps = config.teacher_steps or taught.sampler.steps
        assert isinstance(self.objective, Path)  # as its teacher's is
        self.path = self.objective
        self._teacher = (taught,)  # in a tuple, so that it is no part of what is trained and saved
        self._levels, self._marks = shared_levels(self.path, steps, config.steps)

    @classmethod
    def build(cls, spec: WorldSpec, config: DistilledConfig, load: LoadModel) -> Self:
        return cls(spec, config, load(config.teacher))

    @property
    def teacher(self) -> DiffusionModel:
        """Where the student is; it never changes."""
        return self._teacher[0].to(self.reward_values.device)

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See `NextFrameModel`; outcomes are learned on the teacher's prediction of the real next
        frame.
        """
        chosen, terms = None, {}
        if self.chance is not None:
            chosen, terms, _ = self.chance.sample_posterior(features.tokens, step.target, generator)
            features = features._replace(tokens=self.chance.condition_on(chosen, features.tokens))
        example = self.example(step, chosen, generator)
        answer = self.objective.denoise(self.network, example.x, example.level, features)
        error = (answer - example.target) ** 2
        terms["frame"] = self.frame_error(error, features.last, step.target)
        return terms, example.preview

    @torch.no_grad()
    def example(
        self, step: Step, chosen: Chosen | None, generator: torch.Generator
    ) -> TrainingExample:
        """The teacher's walk from fresh noise, and for every lane one stretch
        of it that the student spans.
        """
        teacher, path, target = self.teacher, self.path, step.target
        guided = teacher.guided(DEFAULT_OPTIONS)
        features = guided.encode(step.context, step.action)
        if teacher.chance is not None and chosen is not None:
            tokens = teacher.chance.condition_on(chosen, features.tokens)
            features = features._replace(tokens=tokens)
        noise, grain = (
            channels_last(torch.randn(target.shape, generator=generator).to(target))
            for _ in range(2)
        )
        levels, marks = self._levels.to(target), self._marks.to(target.device)
        states = [path.sigma(levels[0]) * noise]
        for now, after in zip(levels[:-1], levels[1:], strict=True):
            x0 = path.denoise(guided, states[-1], now.expand(len(target)), features)
            states.append(ddim(path, states[-1], x0, now, after))
        stretch = torch.randint(len(marks) - 1, (len(target),), generator=generator).to(
            target.device
        )
        lane = torch.arange(len(target), device=target.device)
        begin = marks[stretch]
        end = marks[stretch + 1]
        walk = torch.stack(states)  # (teacher's steps + 1, B, C, H, W)
        aim = landing(path, walk[begin, lane], walk[end, lane], levels[begin], levels[end])
        t = torch.full_like(levels[begin], path.preview_t)
        preview = path.denoise(guided, path.noised(target, t, grain), t, features)
        return TrainingExample(channels_last(walk[begin, lane]), levels[begin], aim, preview)


def landing(path: Path, x: Tensor, ahead: Tensor, now: Tensor, after: Tensor) -> Tensor:
    """The estimate of x0 with which one step from x (B, ...) at level `now` (B,) ends
    in `ahead` at level `after`.

    The inverse of `samplers.ddim` in x0; the paper's equation for the target in appendix G.
    """
    kept = path.sigma(after) / path.sigma(now)
    gained = path.alpha(after) - kept * path.alpha(now)
    return (ahead - spread(kept, x) * x) / spread(gained, x)


def shared_levels(path: Path, teacher_steps: int, steps: int) -> tuple[Tensor, Tensor]:
    """The teacher's levels (n + 1,) and which of them are the student's, (steps + 1,) int64.

    Raises ValueError where the student would step on a level that the teacher passes over.
    """
    if not 1 <= steps <= teacher_steps:
        raise ValueError(
            f"model.steps is 1 to {teacher_steps}, as many as the teacher takes, not {steps}"
        )
    theirs, own = path.levels(teacher_steps), path.levels(steps)
    apart = (theirs[None] - own[:, None]).abs()  # (steps + 1, n + 1)
    if (apart.amin(1) > 1e-4 * theirs[0]).any():
        raise ValueError(
            f"{steps} steps do not fall on the levels of a teacher of {teacher_steps}: set "
            "model.teacher_steps to "
            f"{2 * steps - 1} or {2 * steps}, or model.steps to 1"
        )
    return theirs, apart.argmin(1)


def check_teacher(teacher: WorldModel, spec: WorldSpec, name: str) -> DiffusionModel:
    """The teacher.

    Raises ValueError where it is of another game, or its walk cannot be learned.
    """
    if type(teacher) is not DiffusionModel or not isinstance(teacher.objective, Path):
        raise ValueError(
            f"model.teacher: {name} is of kind {teacher.kind}, but a teacher is of kind diffusion"
        )
    if type(teacher.sampler) is not Euler:
        raise ValueError(
            f"model.teacher: {name} is sampled by {type(teacher.sampler).__name__}; only Euler's "
            "walk, which is the same for the same noise, can be learned"
        )
    for part in ("world", "frame_shape", "action_names", "actions", "reward_values"):
        theirs, ours = getattr(teacher.spec, part), getattr(spec, part)
        if theirs != ours:
            raise ValueError(f"model.teacher: its {part} is {theirs}, the dataset's {ours}")
    return teacher
