"""The scorecard of the page: a tile per figure, with its interval, samples, target and source."""

from collections.abc import Sequence
from html import escape

from agents.results.figures import Figure, count_text, number_text
from agents.results.goals import OF_TRANSFER, command_of
from agents.results.released import Source
from agents.results.scorecard import Given, Row
from agents.results.summary import ABSENT, UNCERTAIN
from agents.results.tables import Bundle, range_text, why_absent, without_value

GROUPS = (  # title, and the first keys of its figures' paths
    ("The frame and the rules", "one_step rollout rules reward termination survival kid".split()),
    ("Deep dreams", ["hold", "loop_closure"]),
    ("Control", ["control", "action_sensitivity"]),
    ("The game as a whole", ["game"]),
    ("Decisions and rankings", ["decisions", "ranking", "policy_ranking"]),
    ("Learning in it", [*OF_TRANSFER]),
    ("Trust in itself", ["trust"]),
)
REASONS = {  # why a ratio that was measured has no value, by the first key of its path
    "transfer": ", for agents of the game are not clearly above random play there",
    "exploitation": ", for what the agent earns in the game is not clearly above zero",
}


def scorecard(
    rows: Sequence[Row],
    origins: dict[str, str],
    bundle: str,
    world: str,
    sources: Sequence[Given] = (),
) -> str:
    """All figures in groups, what is absent with its command or with the reason, and what the
    sources are.

    `origins` says how each source was made, as HTML.
    """
    parts = []
    for title, keys in GROUPS:
        group = [row for row in rows if row.target.path.split(".")[0] in keys]
        tiles = "".join(_tile(row, row.figure) for row in group if row.figure)
        if tiles:
            parts.append(f'<h3>{escape(title)}</h3><div class="tiles">{tiles}</div>')
    used = dict.fromkeys(row.source for row in rows if row.source)
    notes = [f"<b>{escape(name)}</b>: {origins.get(name, '')}" for name in used]
    named = Bundle(bundle, world, "", [Source(*given, "") for given in sources])
    absences = [*without_ratio(rows, named), *absent(rows, named)]
    lines = "".join(f'<p class="note">{note}</p>' for note in [*absences, *notes])
    return "".join(parts) + lines


def without_ratio(rows: Sequence[Row], bundle: Bundle) -> list[str]:
    """A line per figure that was measured and gave no number, with the reason, as HTML."""
    lines = []
    for row in rows:
        source = without_value(bundle, row)
        if source is not None:
            reason = REASONS.get(row.target.path.split(".")[0], "")
            about = f"{row.target.title}: {UNCERTAIN}{reason} ({source.name})"
            lines.append(f"{escape(about)}.")
    return lines


def absent(rows: Sequence[Row], bundle: Bundle) -> list[str]:
    """A line per command that would measure what no source has, or per reason for which it gave no
    number, as HTML.
    """
    titles: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.figure is None and without_value(bundle, row) is None:
            command = command_of(row.target.path, bundle.name, bundle.world)
            titles.setdefault((why_absent(bundle, row), command), []).append(row.target.title)
    lines = []
    for (why, command), those in titles.items():
        about = f"{why[0].upper()}{why[1:]}: {'; '.join(those)}."
        remedy = f" <code>{escape(command)}</code> measures them." if why == ABSENT else ""
        lines.append(escape(about) + remedy)
    return lines


def _tile(row: Row, figure: Figure) -> str:
    state, sign = {True: ("good", "✓"), False: ("short", "✗"), None: ("plain", "")}[row.passed]
    unit = f"<small>{escape(row.target.unit)}</small>" if row.target.unit else ""
    return (
        f'<div class="tile {state}"><span class="name">{escape(row.target.title)}</span>'
        f'<b>{number_text(figure.value)}{unit}<i aria-hidden="true">{sign}</i></b>'
        f'<span class="target">{_spread(figure)}</span>'
        f'<span class="target">{escape(_bound(row))}</span>'
        f'<span class="target source">{escape(row.source or "")}</span></div>'
    )


def _spread(figure: Figure) -> str:
    """Interval and samples, or that the source has none."""
    if figure.samples is None and figure.interval is None:
        return "no interval, no count"
    spread, pair = "no interval", ""
    if figure.pair is not None:
        pair = "dream {}, game {}; ".format(*map(number_text, figure.pair))
    if figure.interval is not None:
        spread = " to ".join(map(number_text, figure.interval))
    count = ""
    if figure.samples is not None:
        count = f"; {count_text(figure.samples)} sample{'s' * (figure.samples != 1)}"
    return f"{pair}{spread}{count}"


def _bound(row: Row) -> str:
    word = {True: ", met", False: ", missed", None: ""}[row.passed]
    text = range_text(row.target, "at least", "at most")
    return f"target: {text}{word}" if text else "no target"
