"""The tables of public games in docs/any_game.md: what `make games` measured, a row per game.

A figure has its 95 % interval in brackets. A game without a file has no row; what failed is shown
by its sentence.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.experiments.transfer_report import only_seeds_differ
from agents.results.figures import as_number, count_text, find_figure, number_text
from agents.results.public_games import GAMES, read_games
from collectors.dataset.dataset import dataset_name
from collectors.progress import counted

NONE = "Not measured yet: `make games`.\n"
ABSENT = "-"
HORIZONS = ("1", "32")  # steps of a rollout
CHANGED = ("1", "10")
DREAMS = (
    "game",
    "frames, minutes, model",
    *(f"PSNR at {steps}, dB" for steps in HORIZONS),
    *(f"F1 of changed pixels at {steps}" for steps in CHANGED),
    "ΔPSNR of actions, dB",
    "F1 of rewards",
    "F1 of ends",
    "how it looks deep in",
)
RETURNS = (
    "game",
    "random",
    "learned in the dream",
    "learned in the game",
    "transfer",
    "steps, seeds",
)
PLAYERS = ("random", "dream", "real")
NO_RATIO = {True: "none: too uncertain", False: "none: the game taught nothing"}
Figures = Mapping[str, Any]


def games_tables(folder: Path = GAMES, docs: Path | None = None) -> str:
    """Two tables, the images in `docs`, and where the figures come from; a sentence where no file
    is. Raises ValueError for a file that cannot be used.
    """
    games = read_games(folder)
    if not games:
        return NONE
    lines = _table(DREAMS, [_row(DREAMS, row, "evaluation", _dream) for row in games.values()])
    lines += ["", "Returns in the real game, in the rewards that the dream has:", ""]
    lines += _table(RETURNS, [_row(RETURNS, row, "transfer", _returns) for row in games.values()])
    lines += ["", *(_images(games, docs) if docs else ())]
    return "\n".join([*lines, *(_source(row) for row in games.values())]) + "\n"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    ruler = "|---" * len(head) + "|"
    return [f"| {' | '.join(head)} |", ruler, *(f"| {' | '.join(row)} |" for row in rows)]


def _row(head: tuple[str, ...], game: Figures, part: str, cells: Any) -> list[str]:
    """The cells of a game; the sentence of what failed where this part was not reached."""
    name = f"`{game['id']}`"
    if part in game:
        return [name, *cells(game)]
    reason = f"failed: {game['failed']}" if "failed" in game else ABSENT
    return [name, reason.replace("|", "/"), *[""] * (len(head) - 2)]


def _dream(game: Figures) -> list[str]:
    found = game["evaluation"]
    made = f"{count_text(game['frames'])}, {game['minutes']:.0f}, `{game['family']}`"
    return [
        made,
        *(_beside_copying(found, steps) for steps in HORIZONS),
        *(_cell(found, f"rollout.changes.f1.{steps}") for steps in CHANGED),
        _cell(found, "control.delta_psnr"),
        _rewards(found),
        _cell(found, "termination.one_step.f1"),
        _hold(found["hold"]),
    ]


def _beside_copying(found: Figures, steps: str) -> str:
    copied = find_figure(found, f"rollout.copy_last_frame.psnr.{steps}")
    beside = "" if copied is None else f"; copied {number_text(copied.value)}"
    return f"{_cell(found, f'rollout.psnr.{steps}')}{beside}"


def _cell(found: Figures, path: str) -> str:
    """A figure with its interval."""
    figure = find_figure(found, path)
    if figure is None:
        return ABSENT
    return number_text(figure.value) + _span(figure.interval)


def _span(bounds: Any) -> str:
    return "" if bounds is None else " ({} to {})".format(*map(number_text, bounds))


def _rewards(found: Figures) -> str:
    """The F1 of every reward but the usual one."""
    path = "reward.one_step.classes"
    classes = found["reward"]["one_step"]["classes"]
    usual = max(classes, key=lambda name: classes[name]["support"], default=None)
    cells = [
        f"{name}: {_cell(found, f'{path}.{name}.f1')}"
        for name, row in classes.items()
        if name != usual and row["support"]
    ]
    return "; ".join(cells) or ABSENT


def _hold(hold: Figures) -> str:
    """Sharpness and KID at the deepest step up to 500 that enough games reached."""
    measured = [int(depth) for depth, row in hold.items() if depth.isdigit() and "sharpness" in row]
    if not measured:
        return ABSENT
    depth = max([steps for steps in measured if steps <= 500] or measured)
    row = hold[str(depth)]
    kid = as_number(row["kid"].get("value"))
    text = f"{depth} steps: sharpness {_cell(row, 'sharpness')}"
    return text if kid is None else f"{text}, KID {number_text(kid)}"


def _returns(game: Figures) -> list[str]:
    found = game["transfer"]
    means = [number_text(found[name]["return_mean"]) + _interval(found[name]) for name in PLAYERS]
    ratio = as_number(found["transfer"])
    why_none = NO_RATIO[only_seeds_differ(found["real"], found["random"])]
    share = why_none if ratio is None else number_text(ratio)
    size = f"{count_text(found['budget_steps'])}, {len(found['seeds'])}"
    return [*means, share + _span(found["transfer_ci"]), size]


def _interval(player: Figures) -> str:
    """Over runs; of a single one over its games, which says less."""
    over_runs = _span(player["return_ci"])
    return over_runs or f"{_span(player['return_games_ci'])}, one run"


def _images(games: Figures, docs: Path) -> list[str]:
    """Strip and film of every game that has them."""
    lines = []
    for name in games:
        for path, words in image_paths(name).items():
            if (docs / path).is_file():
                lines += [f"![{name}: {words}]({path})", ""]
    return lines


def image_paths(game: str) -> dict[str, str]:
    """The images of a game, relative to docs, and what each shows."""
    name = dataset_name(game)
    return {
        f"strips/games/{name}.png": "steps of a dream above the game",
        f"gallery/games/{name}.gif": "a dream beside the game",
    }


def _source(game: Figures) -> str:
    """How the figures of a game came about, in one line."""
    made = game["made"]
    commands = [made["command"]]
    commands += [
        game[part]["made"]["command"] for part in ("evaluation", "transfer") if part in game
    ]
    commit, machine = str(made["commit"]), _machine(made["machine"])
    trained = game.get("trained_on")
    elsewhere = "" if trained is None or _machine(trained) == machine else _machine(trained)
    return (
        f"* `{game['id']}`: {', '.join(f'`{command}`' for command in commands)}; commit "
        f"{commit[:7]}{' with changes' if '+' in commit else ''}, {made['date']}, "
        f"{machine}{elsewhere and f'; trained on {elsewhere}'}"
    )


def _machine(machine: Figures) -> str:
    card = machine.get("cuda")
    cores = f"{machine['processor']} {machine['vectors']}, {counted(machine['cores'], 'core')}"
    return f"{card}, {cores}" if card else cores
