"""Which figures of evaluation.json a scorecard shows, and how far each must get.

A table, to be read top to bottom.
"""

import re
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A figure by its dotted path; `least` or `most` is wanted, or nothing; `unit` follows the
    number.
    """

    path: str
    title: str
    least: float | None = None
    most: float | None = None
    unit: str = ""


class Row(NamedTuple):
    """A target and what was found; `value` is None where it was not measured, `passed` None where
    nothing is wanted.
    """

    target: Target
    value: float | None
    passed: bool | None


def _f1(world_rewards: tuple[str, ...], least: float) -> tuple[Target, ...]:
    rewards = tuple(
        Target(f"reward.one_step.classes.{value}.f1", f"reward {value}, F1", least)
        for value in world_rewards
    )
    return (*rewards, Target("termination.one_step.f1", "game over, F1", least))


EVERY_WORLD = (
    Target("one_step.psnr", "next frame, PSNR", unit="dB"),
    Target("rollout.psnr.10", "10 steps deep, PSNR", unit="dB"),
    Target("rollout.psnr.32", "32 steps deep, PSNR", unit="dB"),
    Target("action_sensitivity.dream", "action told from the dreamed frame"),
    Target("trust.auroc", "trust finds wrong frames, AUROC"),
    Target("policy_ranking.spearman", "policies ranked as in the game, Spearman"),
)
WORLDS = {
    "snake": (
        Target("rules.transition_exact_rate", "next frame exact where nothing is random", 0.995),
        Target(
            "rules.transition_exact_rate_random_actions", "the same after a random action", 0.995
        ),
        Target("rules.one_food_after_eating", "exactly one food after eating", 0.99),
        Target("survival.random.one_head_one_food", "one head, one food: random play", 0.999),
        Target("survival.astar.one_head_one_food", "one head, one food: A*", 0.999),
        Target("rules.food_uniformity_p", "food placed uniformly, p", 0.01),
        *_f1(("-1", "1"), 0.99),
    ),
    "pong": (
        Target("rules.rollout.ball_error.1", "ball error after 1 step", unit="px"),
        Target("rules.rollout.ball_error.32", "ball error after 32 steps", most=1, unit="px"),
        Target("rules.score_events.one_step.f1", "points, F1", 0.98),
        Target("rules.score_events.rollout.f1", "points in rollouts, F1", 0.98),
        Target("rules.bounce_accuracy", "bounces right"),
        Target("survival.scripted.ball_and_paddles", "ball and paddles there: scripted play"),
    ),
    "worldmap": (
        Target("rules.rollout.known_psnr.1", "what was in sight, 1 step", 30, unit="dB"),
        Target("rules.rollout.known_psnr.32", "what was in sight, 32 steps", 26, unit="dB"),
        Target("rules.shift_error", "shift error", most=0.5, unit="px"),
        Target("kid.value", "KID 32 steps deep", most=0.10),
        Target("rules.landfall.one_step.f1", "landfall, F1"),
    ),
    "coinrun": (
        Target("one_step.psnr", "next frame, PSNR", 30, unit="dB"),
        Target("rollout.psnr.32", "32 steps deep, PSNR", 22, unit="dB"),
        *_f1(("10",), 0.9),
    ),
}


def rows(world: str, figures: dict, card: dict) -> list[Row]:
    """The scorecard: figures of evaluation.json, else those of the model card under its dotted
    names.
    """
    own = WORLDS.get(world, ())
    shown = [
        *own,
        *(target for target in EVERY_WORLD if target.path not in {mine.path for mine in own}),
    ]
    found = []
    for target in shown:
        value = at(figures, target.path)
        value = _of_card(card, target.path) if value is None else value
        found.append(Row(target, value, _passed(target, value)))
    return found


def at(figures: Any, path: str) -> float | None:
    """The number at a dotted path, None where there is none."""
    for key in path.split("."):
        figures = figures.get(key) if isinstance(figures, dict) else None
    is_number = isinstance(figures, int | float) and not isinstance(figures, bool)
    return float(figures) if is_number else None


def _of_card(card: dict, path: str) -> float | None:
    """A card calls the one-step classes `reward.f1[1]` and `termination.f1`."""
    short = re.sub(r"^reward\.one_step\.classes\.(.+)\.f1$", r"reward.f1[\1]", path)
    value = card.get(short, card.get(path.replace("termination.one_step", "termination")))
    return float(value) if isinstance(value, int | float) else None


def _passed(target: Target, value: float | None) -> bool | None:
    if value is None or (target.least is None and target.most is None):
        return None
    return (target.least is None or value >= target.least) and (
        target.most is None or value <= target.most
    )
