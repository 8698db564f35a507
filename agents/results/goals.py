"""What a world should reach: the targets of its evaluator, and those of the game as a whole.

A `*` in a path stands for every key there: policies, depths. An absent figure names its command.
"""

from collections.abc import Mapping

from agents.evaluation.players import EQUIVALENT
from collectors.worlds.table import WORLDS
from world_models.evaluation.evaluator import Evaluator, Target
from world_models.evaluation.holding import DEPTHS
from world_models.evaluation.worlds.table import find_evaluator, policies_of

# first keys
OF_TRANSFER = ("dream", "real", "random", "transfer", "exploitation", "safe_horizon", "spread")


def _near_one(path: str, title: str, reach: float) -> Target:
    return Target(path, title, 1 - reach, 1 + reach)


def _game(returns: float, events: float) -> tuple[Target, ...]:
    """Dream over real game, per policy: how far from 1 a ratio may be."""
    return (
        _near_one("game.*.return", "return, dream / game: {}", returns),
        _near_one("game.*.length", "length of a game, dream / game: {}", 0.25),
        _near_one("game.*.events_per_1000", "events, dream / game: {}", events),
        _near_one("game.*.events.*", "{1}, dream / game: {0}", events),
        Target("game.*.final_score", "final score, dream / game: {}"),
        Target("game.*.ends_by_the_rules.dream", "games end by the rules: {}", least=0.98),
    )


COMMON = (
    _near_one("hold.*.sharpness", "sharpness, dream / game: {} deep", 0.1),
    Target("hold.*.kid", "KID to the game: {} deep", most=0.10),
    Target("hold.*.counts", "things counted right: {} deep"),
    Target("control.action_f1", "action recovered from the dream, F1"),
    Target("control.action_f1.actions.*.f1", "action recovered from the dream, F1: {}"),
    Target("control.equivalent.same_frame", "keys of one effect: equal frames"),
    Target("control.equivalent.same_outcome", "keys of one effect: equal outcomes"),
    Target("rules.counts.policies.*", "things counted right, all frames: {}"),
    Target("decisions.hit_rate", "best of five plans picked"),
    Target("decisions.regret", "regret of the picked plan", most=0.1),
    Target("ranking.spearman", "policies ranked as in the game, Spearman"),
    Target("ranking.kendall", "policies ranked as in the game, Kendall"),
    Target("ranking.mmrv", "return lost to misrankings, MMRV", most=0.05),
    Target("trust.of_dreams.auroc", "trust finds wrong frames, AUROC", least=0.9),
    Target("trust.by_motion.auroc", "trust by what the motion allows: the head, AUROC"),
    Target("trust.of_dreams.aurc", "area under risk and coverage"),
    Target("trust.min_trust.with.return", "return, dream / game, cut at low trust"),
    Target("trust.min_trust.cuts_per_1000", "cuts at low trust per 1 000 steps"),
    Target("dream.return_mean", "return in the game, learned in the dream"),
    Target("real.return_mean", "return in the game, learned in the game"),
    Target("random.return_mean", "return in the game, random play"),
    Target("exploitation.by_step.-1", "dreamed / real return after training", 0.8, 1.25),
    Target("safe_horizon", "longest dream that agrees with the game", unit="steps"),
    Target("spread.world_models", "spread of returns that is between world models"),
    Target("spread.transfer", "transfer over three world models of the preset"),
)
OF_A_WORLD: Mapping[str, tuple[Target, ...]] = {
    "snake": (
        *_game(0.05, 0.05),
        Target("rules.counts", "one head, one food: all frames", 0.9995),
        Target(
            "survival.equivalent.one_head_one_food", "one head, one food: equivalent keys", 0.9995
        ),
        Target("survival.*.legal_frames", "frames of long dreams that obey all rules: {}", 0.9995),
        Target("survival.*.transition_exact_rate", "right steps of long dreams: {}"),
        Target("survival.*.one_food_after_eating", "food after every meal of a dream: {}", 0.995),
        Target("control.delta_psnr", "PSNR that the true actions gain", unit="dB"),
    ),
    "pong": (
        *_game(0.25, 0.15),
        Target("rules.counts", "one ball, two paddles: all frames", 0.995),
        # at most half a jump: none, to the nearest whole one
        Target("survival.*.ball_jumps_per_10000", "ball jumps per 10 000 frames: {}", most=0.5),
        Target("control.delta_psnr", "PSNR that the true actions gain", unit="dB"),
    ),
    "worldmap": (
        *_game(0.25, 0.25),
        Target("loop_closure.4.in_sight", "4 steps and back, what stayed in sight", 30, unit="dB"),
        Target("loop_closure.*", "there and back, PSNR: {}", unit="dB"),
        Target("control.delta_psnr", "PSNR that the true actions gain", unit="dB"),
    ),
    "coinrun": (
        *_game(0.25, 0.25),
        Target("rules.counts", "one player: all frames", 0.99),
        Target("loop_closure.*", "there and back, PSNR: {}", unit="dB"),
        Target("control.delta_psnr", "PSNR that the true actions gain", 3, unit="dB"),
    ),
}


TRANSFER = {"snake": 0.95, "pong": 0.95, "worldmap": 0.95, "coinrun": 0.8}


def targets_of(world: str) -> list[Target]:
    """The goals of a world: of its rules, of the game, and what every world is measured by."""
    own = [*find_evaluator(world).targets, *OF_A_WORLD.get(world, ()), *COMMON]
    ratio = Target("transfer", "(dream - random) / (game - random)", TRANSFER.get(world))
    found: dict[str, Target] = {}
    for target in (*own, ratio, *Evaluator.targets):
        found.setdefault(target.path, target)
    return list(found.values())


def keys_of(first: str, world: str) -> tuple[str, ...]:
    """What a `*` stands for if all was measured: the players of a world, the depths of a dream."""
    if first == "hold":
        return tuple(map(str, DEPTHS))
    if first != "game" or world not in WORLDS:
        return ()
    best = WORLDS[world].best_policy
    equivalent = (EQUIVALENT,) if WORLDS[world].equivalent_keys else ()
    return ("random", f"{best}+random", *equivalent, best)


BRIEF_GAME = ("return", "events_per_1000", "ends_by_the_rules")
BRIEF_DEPTHS = ("32", "500")


def in_summary(path: str, world: str) -> bool:
    """Whether a goal is in the short table: of whole games the random and the best policy, of
    depths two.
    """
    first, *rest = path.split(".")
    if first == "game" and len(rest) == 2:
        return rest[0] in policies_of(world) and rest[1] in BRIEF_GAME
    return first != "hold" or rest[0] in BRIEF_DEPTHS


def command_of(path: str, bundle: str, world: str) -> str:
    """The command that measures a figure."""
    if path.startswith("spread."):
        return f"neural-envs transfer {world} --world-model-seeds 0,1,2"
    if path.split(".")[0] in OF_TRANSFER:
        chosen = "" if bundle == world else f" --bundle {bundle}"
        return f"neural-envs transfer {world}{chosen}"
    return f"neural-envs evaluate {bundle}"


def _speeds(
    ratios: tuple[float | None, float | None] = (None, None),
    rates: tuple[float | None, float | None] = (None, 1_000),
    eager: tuple[float | None, float | None] = (60, 300),
) -> dict[str, Target]:
    """Paths in bench.json with {bundle}: goals at one lane and at 64 of the backend that `auto`
    takes, beside the DIAMOND-sized model and in frames per second, and of eager torch. The rates
    are goals on two cores with AVX-512; on another machine only ratios mean something.
    """
    rows = (
        ("auto", "ratio_to_diamond", "speed / DIAMOND-sized model", ratios),
        ("auto", "frames_per_second", "frames per second", rates),
        ("eager", "frames_per_second", "frames per second, eager", eager),
    )
    return {
        f"backends.{{bundle}}.{backend}.{lanes}.{key}": Target(
            "", f"{title}, {lanes} lane{'s' * (lanes > 1)}", least
        )
        for backend, key, title, goals in rows
        for lanes, least in zip((1, 64), goals, strict=True)
    }


SPEEDS: Mapping[str, Mapping[str, Target]] = {
    "snake": _speeds((50, 500), (600, 2_500), (None, None)),
    "pong": _speeds((50, 250)),
    "worldmap": _speeds(),
    "coinrun": _speeds(),
}
