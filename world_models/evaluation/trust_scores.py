"""Signals that a dreamed frame is wrong, beside the trust head,
and the calibration of trust on held-out frames.

B lanes, N transitions. Every signal is a number that is higher where the frame is less
credible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.evaluation import metrics
from world_models.evaluation.evaluator import Evaluator, Runs
from world_models.evaluation.risk_coverage import aurc
from world_models.evaluation.rollouts import OneStep, device_of, to_model
from world_models.evaluation.test_split import SplitReader
from world_models.models.trust_calibration import (
    DrawsCodes,
    MahalanobisDistance,
    TrustScale,
    fitted,
    logits_of,
)
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions, State, WorldModel

OTHER_DRAWS = 0x0DD5EED  # keeps the seeds of further samples apart from those of the dream
BATCH = 128  # contexts in one forward
CONTEXTS = 4_000  # training transitions to which the distance is fitted
MOTION_MARGIN = 6.0  # dB: half the distance of a copy, or less
STILL_PSNR = 40.0  # dB
REPORTED = ("disagreement", "distance", "surprise", "gradient_norm")


@dataclass(frozen=True)
class TrustSignals:
    """The signals of a model; `distance` is None for a model
    that has no features to measure it on.
    """

    model: WorldModel
    distance: MahalanobisDistance | None
    draws: int = 2  # further samples that the dream is compared with
    options: SamplingOptions = DEFAULT_OPTIONS  # how the dream and they are drawn

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        model: WorldModel,
        training: SplitReader,
        generator: np.random.Generator,
        options: SamplingOptions = DEFAULT_OPTIONS,
        contexts: int = CONTEXTS,
    ) -> TrustSignals:
        """With the distance to so many contexts of the training split, where the model has
        features.
        """
        if model.feature_width is None:
            return cls(model, None, options=options)
        places, tokens = training.transitions(contexts, generator), []
        for start in range(0, len(places), BATCH):
            window = training.window(places[start : start + BATCH])
            state = model.init(to_model(window.context, model))
            action = window.actions[:, 0].to(device_of(model))
            tokens.append(model.context_features(state, action, options))
        return cls(model, MahalanobisDistance.of(torch.cat(tokens)), options=options)

    @torch.inference_mode()
    def __call__(
        self, state: State, action: Tensor, frame: Tensor, noise: NoiseStream
    ) -> dict[str, Tensor]:
        """(B,) each, for a dreamed frame (B, H, W, C) uint8 of that state, action and noise."""
        found = (
            {"disagreement": self.disagreement(state, action, frame, noise)} if self.draws else {}
        )
        if self.distance is not None:
            features = self.model.context_features(state, action, self.options)
            found["distance"] = self.distance(features)
        if isinstance(self.model, DrawsCodes):
            features = self.model.encode_state(state, action, self.options)
            found["surprise"] = self.model.decide_codes(features, noise, self.options).surprise
        found |= self.model.trust_signals(state, action, frame)
        return {name: value.float().cpu() for name, value in found.items()}

    def disagreement(
        self, state: State, action: Tensor, frame: Tensor, noise: NoiseStream
    ) -> Tensor:
        """The largest difference, mean square over a patch of [-1, 1],
        to what other noise would have dreamed.
        """
        patch, mine, worst = self.model.patch, pixels.stack(frame[:, None]), []
        for number in range(1, self.draws + 1):
            fresh = noise._replace(seeds=noise.seeds + number * OTHER_DRAWS)
            other = self.model.step(state, action, fresh, self.options).frame
            apart = F.avg_pool2d((pixels.stack(other[:, None]) - mine) ** 2, patch)
            worst.append(apart.mean(1).amax((1, 2)))
        return torch.stack(worst).amax(0)


def with_signal(evaluator: Evaluator, runs: Runs, name: str) -> tuple[Tensor, Tensor]:
    """(signal, correct), (M,) each: `evaluator.correctness` of the runs
    with a signal in the place of trust.
    """
    one, other = (
        run._replace(trust=run.signals[name]) for run in (runs.one_step, runs.random_actions)
    )
    return evaluator.correctness(replace(runs, one_step=one, random_actions=other))


def signal_figures(evaluator: Evaluator, runs: Runs) -> dict:
    """AUROC of every signal that was measured,
    for one-step frames that are wrong: {"auroc_NAME": value}.
    """
    found = {}
    for name in REPORTED:
        if name in runs.one_step.signals:
            signal, correct = with_signal(evaluator, runs, name)
            found[f"auroc_{name}"] = metrics.auroc(signal, ~correct)
    return found


def motion_figures(run: OneStep) -> dict:
    """AUROC of each signal for frames that are wrong by how much there was to get right: {"auroc",
    "auroc_NAME", "wrong", "samples", "margin"}, and "auroc_stillness": what needs no model, for a
    signal says something only beyond it.

    A frame counts as correct where it is `MOTION_MARGIN` dB nearer to the real one than the last
    frame, copied, is; where next to nothing moved, from `STILL_PSNR` on. A frame of a fast scene
    may be far from the real one and still show the motion; a still scene forgives no error.
    """
    least = (run.copy_quality["psnr"] + MOTION_MARGIN).clamp(max=STILL_PSNR)
    wrong = run.quality["psnr"] < least
    # what is decided by how much moved alone: a still scene is wrong more easily
    stillness = metrics.auroc(run.copy_quality["psnr"], wrong)
    signals = {f"auroc_{name}": run.signals[name] for name in REPORTED if name in run.signals}
    return {
        "auroc": metrics.auroc(1 - run.trust, wrong),
        "auroc_stillness": stillness,
        **{name: metrics.auroc(values, wrong) for name, values in signals.items()},
        "wrong": int(wrong.sum()),
        "samples": len(wrong),
        "margin": MOTION_MARGIN,
    }


def calibrated_figures(
    evaluator: Evaluator, runs: Runs, scale: TrustScale | None, learned_from: int
) -> dict:
    """AUROC, AURC and expected calibration error of calibrated trust on the same frames; {} where
    there is no scale.
    """
    if scale is None:
        return {}
    trust, correct = evaluator.correctness(runs)
    believed = scale.cpu().combined(logits_of(trust), *_fitted_signals(evaluator, runs))
    return {
        "auroc_calibrated": metrics.auroc(1 - believed, ~correct),
        "aurc_calibrated": float(aurc(believed.numpy(), ~correct.numpy())),
        "calibration_error_calibrated": metrics.calibration_error(believed, correct),
        "calibration": {
            **dict(zip(scale.names, scale.weights.tolist(), strict=True)),
            "samples": learned_from,
        },
    }


def calibrate(
    evaluator: Evaluator, runs: Runs, features: MahalanobisDistance
) -> tuple[TrustScale, int]:
    """The scale fitted to runs of another split than the one it is reported on,
    and their number of frames.
    """
    trust, correct = evaluator.correctness(runs)
    distance, surprise = _fitted_signals(evaluator, runs)
    weights = fitted(logits_of(trust), distance, correct, surprise)
    return TrustScale(features, weights), len(correct)


def _fitted_signals(evaluator: Evaluator, runs: Runs) -> tuple[Tensor, Tensor | None]:
    """(distance, surprise) of the frames that are scored; None for a model without surprise."""
    distance, _ = with_signal(evaluator, runs, "distance")
    if "surprise" not in runs.one_step.signals:
        return distance, None
    return distance, with_signal(evaluator, runs, "surprise")[0]
