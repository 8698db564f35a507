"""From the runs of measurements.py to the figures of evaluation.json. Pure functions; every figure has its `samples`.

N transitions, H horizon. A figure that cannot be had is {"omitted": why} or None, never a made-up number.
"""

import math

import numpy as np
import torch
from torch import Tensor

from world_models import metrics
from world_models.measurements import ClosedLoop, OneStep, Rollouts
from world_models.snake_rules import FOOD, SnakeRules, food_ranks, same_boards

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
    """PSNR and SSIM after each of HORIZONS (up to `last`) and the first step at which copying the start frame is better."""
    curves = {name: {"psnr": [], "ssim": []} for name in ("dream", "copy_last_frame")}
    samples = run.real_running.sum(0).tolist()
    for h in range(1, len(samples) + 1):
        rows = run.real_running[:, h - 1]
        for name, frames in (("dream", run.frames[rows, h]), ("copy_last_frame", run.real_frames[rows, 0])):
            for metric in ("psnr", "ssim"):
                curves[name][metric].append(_mean(getattr(metrics, metric)(frames, run.real_frames[rows, h])) if rows.any() else None)
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


def outcome_figures(run: OneStep, opened: Rollouts, closed: list[ClosedLoop], values: tuple[float, ...]) -> tuple[dict, dict]:
    """(reward, termination): precision, recall and F1 per class. `one_step` against the recording; `rollout` likewise in
    open loop, while both go on; `closed_loop` against what the rules make of the dreamed board."""
    both = opened.running & opened.real_running
    pairs = {
        "one_step": (run.reward, run.real_reward, run.termination, run.real_termination),
        "rollout": tuple(getattr(opened, n)[both] for n in ("rewards", "real_rewards", "terminations", "real_terminations")),
    }
    judged = [c for c in closed if c.legality is not None]
    if judged:
        names = ("rewards", "due_rewards", "terminations", "due_terminations")
        legal = [legal_before(c) for c in judged]
        columns = [[torch.from_numpy(getattr(c, n)[m]) for c, m in zip(judged, legal, strict=True)] for n in names]
        pairs["closed_loop"] = tuple(torch.cat(column) for column in columns)
    rewards = {k: {"classes": metrics.classification(p, r, values), "samples": len(p)} for k, (p, r, _, _) in pairs.items()}
    ends = {k: {**metrics.class_score(p, r)._asdict(), "samples": len(p)} for k, (_, _, p, r) in pairs.items()}
    return rewards, ends


def legal_before(run: ClosedLoop) -> np.ndarray:
    """(T, L) bool: the board from which the step went was legal; fresh contexts are real and so are legal."""
    legal = run.legality.all
    return np.concatenate([np.ones_like(legal[:1]), legal[:-1] | run.terminations[:-1]])


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


def food_figures(run: OneStep, closed: list[ClosedLoop], rules: SnakeRules | None, generator: np.random.Generator) -> dict:
    """Chi-square on where new food appears, over one-step dreams and closed-loop dreams together."""
    if rules is None or rules.apples != 1:
        return {"food_uniformity_p": None}
    placed = (run.real_reward > 0).numpy() & rules.legality(run.boards.dreamed).all
    ranks = [food_ranks(run.boards.dreamed[placed], generator), *(c.food_ranks for c in closed)]
    ranks = torch.from_numpy(np.concatenate(ranks))
    return {"food_uniformity_p": metrics.uniformity_p(ranks), "samples_food": len(ranks)}


def action_figures(run: OneStep, other: OneStep, rules: SnakeRules | None) -> dict:
    """How often the action can be told from (frame, next dreamed frame), and from real next frames; random actions too."""
    if rules is None:
        return NO_RULES
    figures = {}
    for name, source, after in (("dream", run, "dreamed"), ("real", run, "real"), ("dream_random_actions", other, "dreamed")):
        hit, telling = rules.recover_action(source.boards.before, getattr(source.boards, after), source.action.numpy())
        figures[name], figures["samples"] = _mean(hit[telling]), int(telling.sum())
    return figures


def trust_figures(run: OneStep, other: OneStep, rules: SnakeRules | None) -> dict:
    """AUROC of low trust for wrong one-step frames: recorded and random actions together where rules can judge the latter."""
    if rules is None:
        trust, right = run.trust, run.picture["exact"]
    else:
        legal = rules.legality(run.boards.dreamed).all & right_transitions(run)
        outcome = rules.outcome(other.boards.before, other.action.numpy())
        lawful = rules.legality(other.boards.dreamed).all & rules.agrees(outcome, other.boards.dreamed)
        trust = torch.cat([run.trust, other.trust])
        right = torch.from_numpy(np.concatenate([legal, lawful]))
    error = metrics.calibration_error(trust.clamp(0, 1), right)
    return {"auroc": metrics.auroc(1 - trust, ~right), "calibration_error": error, "wrong": int((~right).sum()), "samples": len(right)}


def survival_figures(run: ClosedLoop) -> dict:
    """Shares of valid frames, transitions, dreams (from a context to its end) and lanes of a closed loop."""
    steps, lanes = run.rewards.shape
    figures = {"steps": steps, "lanes": lanes, "samples": steps * lanes, "no_nan": run.finite}
    dreams = lanes + int(run.terminations.sum())
    figures |= {"ended_dreams": dreams - lanes, "reward_per_1000_steps": 1000 * _mean(run.rewards)}
    if run.legality is None:
        return figures
    legal = run.legality.all
    eaten = run.eaten & legal_before(run)
    return {
        **figures,
        "one_head_one_food": _mean(run.legality.one_head & run.legality.one_food),
        "legal_frames": _mean(legal),
        "transition_exact_rate": _mean(run.right),
        "one_food_after_eating": _mean(run.legality.one_food[eaten]),
        "eaten": int(eaten.sum()),
        "legal_throughout": {"lanes": _mean(legal.all(0)), "dreams": _share_of_dreams(legal, run.terminations)},
        "right_throughout": {"lanes": _mean(run.right.all(0)), "dreams": _share_of_dreams(run.right, run.terminations)},
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
