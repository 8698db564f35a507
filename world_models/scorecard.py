"""From the runs of measurements.py to the figures of evaluation.json. Pure functions; every figure has its `samples`.

N transitions, H horizon. A figure that cannot be had is {"omitted": why} or None, never a made-up number.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models import metrics
from world_models.measurements import ClosedLoop, OneStep, Rollouts
from world_models.snake_rules import FOOD, Legality, SnakeRules, food_ranks, same_boards

HORIZONS = (1, 5, 10, 20, 32, 64)
NO_RULES = {"omitted": "no rules are written for this world"}


def one_step_figures(run: OneStep) -> dict:
    """Pictures of all transitions, of those with an event (a reward or an end) and of the others, beside copying."""
    event = (run.real_reward != 0) | run.real_termination
    groups = {"events": event, "others": ~event}
    return {**_pictures(run, torch.ones_like(event)), **{name: _pictures(run, mask) for name, mask in groups.items()}}


def _pictures(run: OneStep, mask: Tensor) -> dict:
    def means(columns: dict[str, Tensor]) -> dict:
        names = {"psnr": "psnr", "ssim": "ssim", "exact": "exact_frame_rate"}
        return {names[key]: _mean(values[mask]) for key, values in columns.items()}

    return {**means(run.picture), "copy_last_frame": means(run.copied), "samples": int(mask.sum())}


def rollout_figures(run: Rollouts, last: int) -> dict:
    """PSNR and SSIM after each of HORIZONS up to `last`, and the first step where copying the start frame is better."""
    curves = {name: {"psnr": [], "ssim": []} for name in ("dream", "copy_last_frame")}
    samples = run.real_running.sum(0).tolist()
    for h in range(1, len(samples) + 1):
        rows = run.real_running[:, h - 1]
        real = run.real_frames[rows, h]
        for name, frames in (("dream", run.frames[rows, h]), ("copy_last_frame", run.real_frames[rows, 0])):
            curves[name]["psnr"].append(_mean(metrics.psnr(frames, real)))
            curves[name]["ssim"].append(_mean(metrics.ssim(frames, real)))
    shown = [h for h in HORIZONS if h <= last]
    pick = {name: {m: {str(h): c[m][h - 1] for h in shown} for m in c} for name, c in curves.items()}
    pairs = zip(curves["dream"]["psnr"], curves["copy_last_frame"]["psnr"], strict=True)
    broken = [h for h, (dream, copy) in enumerate(pairs, 1) if dream is not None and copy > dream]
    return {
        **pick["dream"],
        "copy_last_frame": pick["copy_last_frame"],
        "break_even_horizon": broken[0] if broken else None,
        "samples": {str(h): samples[h - 1] for h in shown},
        "curves": curves,
    }


def kid_figures(run: Rollouts, depth: int, count: int) -> dict:
    """KID of frames `depth` steps deep, and of the start frames, to the real frames at that depth."""
    rows = run.real_running[:, depth - 1].nonzero()[:count, 0]
    others = {"value": run.frames[rows, depth], "copy_start_frame": run.real_frames[rows, 0]}
    return {**metrics.kid(run.real_frames[rows, depth], others), "depth": depth}


class Judged(NamedTuple):
    """What the rules say of closed-loop dreams, (T, L) each. Only `playable` boards have a due outcome."""

    legality: Legality
    playable: np.ndarray  # the board before was legal and its snake alive
    right: np.ndarray  # playable, and the dreamed board is what the move leads to
    eaten: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray


def judge(run: ClosedLoop, rules: SnakeRules) -> Judged:
    """Holds every dreamed transition against the rules."""
    steps, lanes, size, _ = run.before.shape
    before, after = (boards.reshape(steps * lanes, size, size) for boards in (run.before, run.after))
    rows = []
    for part in np.array_split(np.arange(len(before)), math.ceil(len(before) / 16384)):
        outcome, playable = rules.outcome(before[part], run.actions.reshape(-1)[part]), rules.playable(before[part])
        right = playable & rules.agrees(outcome, after[part])
        eaten = outcome.eaten & playable
        rows.append((*rules.legality(after[part]), playable, right, eaten, outcome.reward, outcome.termination))
    columns = [np.concatenate(column).reshape(steps, lanes) for column in zip(*rows, strict=True)]
    return Judged(Legality(*columns[:3]), *columns[3:])


def outcome_figures(
    run: OneStep, opened: Rollouts, closed: list[tuple], values: tuple[float, ...]
) -> tuple[dict, dict]:
    """(reward, termination): precision, recall and F1 per class. `one_step` and `rollout` (open loop, while both go on)
    against the recording; `closed_loop`, of (ClosedLoop, Judged) pairs, against what the rules make of the dream.
    """
    both = opened.running & opened.real_running
    names = ("rewards", "real_rewards", "terminations", "real_terminations")
    pairs = {
        "one_step": (run.reward, run.real_reward, run.termination, run.real_termination),
        "rollout": tuple(getattr(opened, name)[both] for name in names),
    }
    if closed:
        columns = [(c.rewards, j.rewards, c.terminations, j.terminations) for c, j in closed]
        masks = [j.playable for _, j in closed]
        pairs["closed_loop"] = tuple(
            torch.cat([torch.from_numpy(values[mask]) for values, mask in zip(column, masks, strict=True)])
            for column in zip(*columns, strict=True)
        )
    reward = {name: _reward_scores(p, r, values) for name, (p, r, _, _) in pairs.items()}
    ends = {name: {**metrics.class_score(p, r)._asdict(), "samples": len(p)} for name, (_, _, p, r) in pairs.items()}
    reward["calibration_error"] = _calibration(run.reward_confidence, (run.reward - run.real_reward).abs() < 1e-4)
    ends["calibration_error"] = _calibration(run.termination_confidence, run.termination == run.real_termination)
    return reward, ends


def _reward_scores(predicted: Tensor, actual: Tensor, values: tuple[float, ...]) -> dict:
    return {"classes": metrics.classification(predicted, actual, values), "samples": len(predicted)}


def _calibration(confidence: Tensor | None, correct: Tensor) -> float | dict:
    if confidence is None:
        return {"omitted": "the model tells no probabilities (outcome_probabilities)"}
    return metrics.calibration_error(confidence, correct)


def rule_figures(run: OneStep, other: OneStep, rules: SnakeRules | None) -> dict:
    """What one-step dreams do to the rules, with the recorded actions and with random ones (`other`)."""
    if rules is None:
        return NO_RULES
    b, legality = run.boards, rules.legality(run.boards.dreamed)
    ate = (run.real_reward > 0).numpy()
    right = right_transitions(run)
    foods = (b.dreamed[ate] == FOOD).sum((1, 2))
    random = rules.agrees(rules.outcome(other.boards.before, other.action.numpy()), other.boards.dreamed)
    return {
        "one_head": _mean(legality.one_head),
        "one_food": _mean(legality.one_food),
        "connected": _mean(legality.connected),
        "one_food_after_eating": _mean(foods == rules.apples),
        "transition_exact_rate": _mean(right),
        "transition_exact_rate_not_eating": _mean(right[~ate]),
        "transition_exact_rate_random_actions": _mean(random),
        "samples": len(right),
        "samples_eating": int(ate.sum()),
        "samples_random_actions": len(random),
    }


def right_transitions(run: OneStep) -> np.ndarray:
    """(N,) bool: every cell as in the recording, but for the place of new food."""
    return same_boards(run.boards.real, run.boards.dreamed, (run.real_reward > 0).numpy())


def food_figures(run: OneStep, closed: list[tuple], rules: SnakeRules | None, generator: np.random.Generator) -> dict:
    """Chi-square on where new food appears, over one-step dreams and (ClosedLoop, Judged) pairs together."""
    if rules is None or rules.apples != 1:
        return {"food_uniformity_p": None}
    boards = [(run.boards.dreamed, (run.real_reward > 0).numpy() & rules.legality(run.boards.dreamed).all)]
    boards += [(c.after, j.eaten & j.right & j.legality.all) for c, j in closed]
    ranks = np.concatenate([food_ranks(codes[placed], generator) for codes, placed in boards])
    return {"food_uniformity_p": metrics.uniformity_p(torch.from_numpy(ranks)), "samples_food": len(ranks)}


def action_figures(run: OneStep, other: OneStep, rules: SnakeRules | None) -> dict:
    """How often the action can be told from (frame, next dreamed frame), and from real next frames."""
    if rules is None:
        return NO_RULES
    figures, b, o = {}, run.boards, other.boards
    sources = {
        "dream": (b.before, b.dreamed, run.action),
        "real": (b.before, b.real, run.action),
        "dream_random_actions": (o.before, o.dreamed, other.action),
    }
    for name, (before, after, action) in sources.items():
        credit, telling = rules.recover_action(before, after, action.numpy())
        figures[name], figures[f"samples_{name}"] = _mean(credit[telling]), int(telling.sum())
    return figures


def trust_figures(run: OneStep, other: OneStep, rules: SnakeRules | None) -> dict:
    """AUROC of low trust for wrong one-step frames; where rules can judge them, of those with random actions too."""
    if rules is None:
        trust, right = run.trust, run.picture["exact"]
    else:
        legal = rules.legality(run.boards.dreamed).all & right_transitions(run)
        outcome = rules.outcome(other.boards.before, other.action.numpy())
        lawful = rules.legality(other.boards.dreamed).all & rules.agrees(outcome, other.boards.dreamed)
        trust = torch.cat([run.trust, other.trust])
        right = torch.from_numpy(np.concatenate([legal, lawful]))
    error = metrics.calibration_error(trust.clamp(0, 1), right)
    wrong = int((~right).sum())
    return {
        "auroc": metrics.auroc(1 - trust, ~right),
        "calibration_error": error,
        "wrong": wrong,
        "samples": len(right),
    }


def survival_figures(run: ClosedLoop, judged: Judged | None) -> dict:
    """Shares of valid frames, transitions, dreams (from a context to its end) and lanes of a closed loop."""
    steps, lanes = run.rewards.shape
    figures = {
        "steps": steps,
        "lanes": lanes,
        "samples": steps * lanes,
        "no_nan": run.finite,
        "ended_dreams": int(run.terminations.sum()),
        "reward_per_1000_steps": 1000 * _mean(run.rewards),
    }
    if judged is None:
        return figures
    legal, right = judged.legality.all, judged.right
    return {
        **figures,
        "one_head_one_food": _mean(judged.legality.one_head & judged.legality.one_food),
        "legal_frames": _mean(legal),
        "transition_exact_rate": _mean(right),
        "one_food_after_eating": _mean(judged.legality.one_food[judged.eaten]),
        "eaten": int(judged.eaten.sum()),
        "legal_throughout": {"lanes": _mean(legal.all(0)), "dreams": _share_of_dreams(legal, run.terminations)},
        "right_throughout": {"lanes": _mean(right.all(0)), "dreams": _share_of_dreams(right, run.terminations)},
    }


def _share_of_dreams(good: np.ndarray, ended: np.ndarray) -> float:
    """Share of dreams, cut where `ended` (T, L), whose every step is good (T, L)."""
    number = np.cumsum(ended, 0) - ended  # the dream of its lane that a step belongs to
    number = number + np.arange(ended.shape[1]) * (len(ended) + 1)
    return 1 - len(np.unique(number[~good])) / len(np.unique(number))


def _mean(values) -> float | None:
    values = values.double() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    mean = float(values.mean()) if len(values) else math.nan
    return None if math.isnan(mean) else mean
