"""From the runs of rollouts.py to the figures of evaluation.json.

Pure functions; every figure has its `samples`.

N transitions, H horizon. A figure that cannot be computed is {"omitted": why} or None, never a
made-up number.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation import metrics
from world_models.evaluation.changes import change_figures
from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.evaluator import Evaluator, ExpectedOutcomes, mean
from world_models.evaluation.rollouts import OneStep, Rollouts

HORIZONS = (1, 5, 10, 20, 32, 64)


def one_step_figures(run: OneStep, event: Tensor) -> dict:
    """Quality of the frames of all transitions, of those with an event, (N,) bool,
    and of the others, beside copying.
    """
    groups = {"events": event, "others": ~event}
    return {
        **_quality(run, torch.ones_like(event)),
        **{name: _quality(run, mask) for name, mask in groups.items()},
    }


def _quality(run: OneStep, mask: Tensor) -> dict:
    def means(columns: dict[str, Tensor]) -> dict:
        names = {"psnr": "psnr", "ssim": "ssim", "exact": "exact_frame_rate"}
        return {names[key]: mean(values[mask]) for key, values in columns.items()}

    return {
        **means(run.quality),
        **{f"{name}_ci": metrics.interval(run.quality[name][mask]) for name in ("psnr", "ssim")},
        "copy_last_frame": means(run.copy_quality),
        "samples": int(mask.sum()),
    }


def rollout_figures(run: Rollouts, last: int) -> dict:
    """PSNR, SSIM and changed pixels after each of HORIZONS up to `last`,
    and the first step where copying the start frame is better.
    """
    curves = {name: {"psnr": [], "ssim": []} for name in ("dream", "copy_last_frame")}
    samples, intervals = run.real_running.sum(0).tolist(), {}
    for h in range(1, len(samples) + 1):
        rows = run.real_running[:, h - 1]
        real = run.real_frames[rows, h]
        for name, frames in (
            ("dream", run.frames[rows, h]),
            ("copy_last_frame", run.real_frames[rows, 0]),
        ):
            psnr = metrics.psnr(frames, real)
            curves[name]["psnr"].append(mean(psnr))
            if name == "dream":
                intervals[h] = metrics.interval(psnr)
            curves[name]["ssim"].append(mean(metrics.ssim(frames, real)))
    shown = [h for h in HORIZONS if h <= last]
    pick = {
        name: {m: {str(h): c[m][h - 1] for h in shown} for m in c} for name, c in curves.items()
    }
    pairs = zip(curves["dream"]["psnr"], curves["copy_last_frame"]["psnr"], strict=True)
    broken = [h for h, (dream, copy) in enumerate(pairs, 1) if dream is not None and copy > dream]
    return {
        **pick["dream"],
        "psnr_ci": {str(h): intervals[h] for h in shown},
        "copy_last_frame": pick["copy_last_frame"],
        "changes": change_figures(run, shown),
        "break_even_horizon": broken[0] if broken else None,
        "samples": {str(h): samples[h - 1] for h in shown},
        "curves": curves,
    }


def kid_figures(run: Rollouts, depth: int, count: int) -> dict:
    """KID of frames `depth` steps deep, and of the start frames,
    to the real frames at that depth.
    """
    if count < 2:
        return {"omitted": "no frames for KID were asked for", "depth": depth}
    rows = run.real_running[:, depth - 1].nonzero()[:count, 0]
    others = {"value": run.frames[rows, depth], "copy_start_frame": run.real_frames[rows, 0]}
    return {**metrics.kid(run.real_frames[rows, depth], others), "depth": depth}


def outcome_figures(
    run: OneStep, opened: Rollouts, closed: list[ExpectedOutcomes], values: tuple[float, ...]
) -> tuple[dict, dict]:
    """(reward, termination): precision, recall and F1 per class. `one_step` and `rollout` (open
    loop, while both go on) against the recording; `closed_loop` against what the rules expect.
    """
    both = opened.running & opened.real_running
    names = ("rewards", "real_rewards", "terminations", "real_terminations")
    pairs = {
        "one_step": (run.reward, run.real_reward, run.termination, run.real_termination),
        "rollout": tuple(getattr(opened, name)[both] for name in names),
    }
    if closed:
        pairs["closed_loop"] = tuple(
            torch.from_numpy(np.concatenate(column)) for column in zip(*closed, strict=True)
        )
    reward: dict[str, Any] = {
        name: _reward_scores(p, r, values) for name, (p, r, _, _) in pairs.items()
    }
    termination: dict[str, Any] = {
        name: {**metrics.class_score(p, r)._asdict(), "samples": len(p)}
        for name, (_, _, p, r) in pairs.items()
    }
    reward["calibration_error"] = _calibration(
        run.reward_confidence, (run.reward - run.real_reward).abs() < 1e-4
    )
    termination["calibration_error"] = _calibration(
        run.termination_confidence, run.termination == run.real_termination
    )
    return reward, termination


def _reward_scores(predicted: Tensor, actual: Tensor, values: tuple[float, ...]) -> dict:
    return {"classes": metrics.classification(predicted, actual, values), "samples": len(predicted)}


def _calibration(confidence: Tensor | None, correct: Tensor) -> float | dict:
    if confidence is None:
        return {"omitted": "the model gives no probabilities (outcome_probabilities)"}
    return metrics.calibration_error(confidence, correct)


def trust_figures(trust: Tensor, correct: Tensor) -> dict:
    """AUROC of low trust for one-step frames that are wrong, (M,) each."""
    error = metrics.calibration_error(trust.clamp(0, 1), correct)
    wrong = int((~correct).sum())
    return {
        "auroc": metrics.auroc(1 - trust, ~correct),
        "calibration_error": error,
        "wrong": wrong,
        "samples": len(correct),
    }


def survival_figures(run: ClosedLoop) -> dict:
    """How long a closed loop was, and its rewards."""
    steps, lanes = run.rewards.shape
    return {
        "steps": steps,
        "lanes": lanes,
        "samples": steps * lanes,
        "no_nan": run.finite,
        "ended_dreams": int(run.terminations.sum()),
        "reward_per_1000_steps": 1000 * float(run.rewards.astype(np.float64).mean()),
    }


def card_scores(figures: dict, evaluator: Evaluator) -> dict:
    """The few figures that a model card shows: those of every world, then the evaluator's own."""
    return {
        **{f"one_step.{k}": figures["one_step"][k] for k in ("psnr", "ssim", "exact_frame_rate")},
        "rollout.break_even_horizon": figures["rollout"]["break_even_horizon"],
        **{
            f"reward.f1[{value}]": score["f1"]
            for value, score in figures["reward"]["one_step"]["classes"].items()
        },
        "termination.f1": figures["termination"]["one_step"]["f1"],
        **{
            f"trust.{name}": value
            for name, value in figures["trust"].items()
            if name.startswith(("auroc", "calibration_"))
        },
        **{
            name: value
            for path in evaluator.card
            for name, value in at_path(figures, path.split(".")).items()
        },
    }


def at_path(figures: Any, path: list[str]) -> dict:
    """{dotted path: figure}; a "*" in the path stands for every key there,
    and a missing figure is None.
    """
    head, *rest = path
    if not isinstance(figures, dict):
        return {".".join(path): None}
    below = {key: figures.get(key) for key in (figures if head == "*" else [head])}
    if not rest:
        return below
    return {
        f"{key}.{tail}": found
        for key, value in below.items()
        for tail, found in at_path(value, rest).items()
    }
