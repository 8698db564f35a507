"""Tables in Markdown, every number of which is read from a file of figures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.results.figures import Figure, count_text, find_figure, number_text
from agents.results.goals import OF_TRANSFER, SPEEDS, command_of, in_summary
from agents.results.released import SPREAD, Source
from agents.results.scorecard import Row, given, rows
from collectors.progress import counted
from world_models.evaluation.evaluator import Target

COLUMNS = ("figure", "measured", "95 %", "samples", "target", "from")
OLDER_NOTE = "† of weights or a sampler from before"
OLDER = "†"  # behind the number of a source that measured other weights than the released ones


class Bundle(NamedTuple):
    """A released bundle with the files that there are of it."""

    name: str
    world: str
    weights: str
    sources: Sequence[Source]


class Numbering:
    """The numbers that stand for the sources of a page, in the order of their use."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.older = False

    def of(self, source: Source, weights: str) -> str:
        """The mark of a source, with a dagger where it measured other weights."""
        self.sources.setdefault(source.name, source)
        number = list(self.sources).index(source.name) + 1
        self.older |= not source.is_of(weights)
        return f"[{number}]" + ("" if source.is_of(weights) else OLDER)

    def lines(self) -> list[str]:
        """What each number stands for: command, data, date, commit, machine."""
        found = [
            f"{n}. {origin_text(source.figures)}{name_of_then(source)}"
            for n, source in enumerate(self.sources.values(), 1)
        ]
        older = f"{OLDER_NOTE}; the present ones are not measured."
        return [*found, "", older] if self.older else found


def name_of_then(source: Source) -> str:
    """Words for a bundle that had another name when it was measured; "" for all others."""
    name, bundle = source.name.split("/")[0], source.figures.get("bundle")
    return f"; `{bundle}` is now called `{name}`" if bundle not in (None, name) else ""


def origin_text(figures: Mapping) -> str:
    """How a file was made, in one line; of a transfer, on which cards its agents learned."""
    made, machine = figures["made"], figures["made"]["machine"]
    commit = str(made["commit"])
    data = figures.get("data", {}).get("fingerprint", "")
    parts = [
        f"`{made['command']}`",
        f"data {data[:8]}" if data else "",
        f"commit {commit[:7]}" + (" with changes" if "+" in commit else ""),
        str(made["date"]),
        f"{machine['processor']} {machine['vectors']}, {counted(machine['cores'], 'core')}, "
        f"{counted(machine['threads'], 'thread')}",
        f"trained on {' and '.join(cards)}" if (cards := figures.get("trained_on")) else "",
    ]
    return ", ".join(part for part in parts if part)


def table(bundles: Sequence[Bundle], numbers: Numbering, goals_only: bool = False) -> list[str]:
    """One table of all bundles; `goals_only` leaves out what has no target."""
    lines = ["| bundle | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for bundle in bundles:
        by_name = {source.name: source for source in bundle.sources}
        for row in all_rows(bundle):
            if row.figure is None or row.source is None:
                continue
            shown = bounded(row.target) and in_summary(row.target.path, bundle.world)
            if goals_only and not shown:
                continue
            mark = numbers.of(by_name[row.source], bundle.weights)
            lines.append(
                f"| `{bundle.name}` | " + " | ".join([*cells(row, row.figure), mark]) + " |"
            )
    return lines


def all_rows(bundle: Bundle) -> list[Row]:
    """The scorecard and the speeds of a bundle."""
    return [*rows(bundle.world, given(bundle.sources)), *_speeds(bundle)]


def cells(row: Row, figure: Figure) -> list[str]:
    """Title, number, interval, samples and target of a row."""
    interval = "" if figure.interval is None else " to ".join(map(number_text, figure.interval))
    samples = "" if figure.samples is None else count_text(figure.samples)
    unit = f" {row.target.unit}" if row.target.unit else ""
    value = f"{number_text(figure.value)}{unit}"
    if figure.pair is not None:
        value += " ({} / {})".format(*map(number_text, figure.pair))
    if figure.beside:
        others = (f"{name} {number_text(other)}" for name, other in figure.beside.items())
        value += f" ({', '.join(others)})"
    return [row.target.title, value, interval, samples, goal(row)]


def goal(row: Row) -> str:
    """The range of a target, and whether it is reached."""
    sign = {True: " ✓", False: " ✗", None: ""}[row.passed]
    return f"{range_text(row.target, '≥', '≤')}{sign}"


def range_text(target: Target, at_least: str, at_most: str) -> str:
    """A target's range, with these words where it has one end; "" where it has none."""
    least, most = target.least, target.most
    if least is not None and most is not None:
        return f"{least:g} to {most:g}"
    if least is not None:
        return f"{at_least} {least:g}"
    return f"{at_most} {most:g}" if most is not None else ""


def absent(bundle: Bundle) -> list[str]:
    """One line per command that would measure what no file holds, or that found no value for it,
    as for a ratio of returns that lie too far apart.
    """
    titles: dict[tuple[str, str], list[str]] = {}
    for row in all_rows(bundle):
        if row.figure is None:
            command = command_of(row.target.path, bundle.name, bundle.world)
            word = "without a value" if without_value(bundle, row) else why_absent(bundle, row)
            titles.setdefault((word, command), []).append(row.target.title)
    return [
        f"`{bundle.name}`, {word} (`{command}`): {'; '.join(those)}."
        for (word, command), those in titles.items()
    ]


def why_absent(bundle: Bundle, row: Row) -> str:
    """Why there is no figure: what an evaluation said of leaving it out, or that none was asked."""
    for source in bundle.sources if row.target.path.split(".")[0] != SPREAD else ():
        here: object = source.figures
        for key in row.target.path.split("."):
            if isinstance(here, Mapping) and key in here and here[key] is None:
                return "without a value"
            here = here.get(key) if isinstance(here, Mapping) else None
            if isinstance(here, Mapping) and "omitted" in here:
                return f"left out, as {here['omitted']}"
            if isinstance(here, Mapping) and here.get("value", 0) is None:
                return "without a value"
    return "not measured"


def without_value(bundle: Bundle, row: Row) -> Source | None:
    """The transfer that was measured and gave no number for this row, if one did."""
    first = row.target.path.split(".")[0]
    if row.figure is not None or first not in OF_TRANSFER or first == SPREAD:
        return None
    parts = ["transfer"] if first in ("dream", "real", "random") else ["transfer", first]
    return next((s for s in bundle.sources if all(_was_measured(s, part) for part in parts)), None)


def _was_measured(source: Source, part: str) -> bool:
    """A ratio is none also where it was; all else is none where nobody asked for it."""
    return part in source.figures and (part == "transfer" or source.figures[part] is not None)


def goals_met(bundles: Sequence[Bundle]) -> list[str]:
    """How many goals each bundle meets, and by name those that it misses or has no value for."""
    lines = ["| bundle | goals met | missed | without a value |", "|---|---|---|---|"]
    named = []
    for bundle in bundles:
        found = all_rows(bundle)
        missed = [row.target.title for row in found if row.passed is False]
        open_ = [row.target.title for row in found if row.figure is None and bounded(row.target)]
        counts = (sum(bool(row.passed) for row in found), len(missed), len(open_))
        lines.append(f"| `{bundle.name}` | " + " | ".join(map(str, counts)) + " |")
        for word, titles in (("misses", missed), ("has no value for", open_)):
            if titles:
                named.append(f"* `{bundle.name}` {word}: {_grouped(titles)}.")
    return [*lines, "", *named]


def _grouped(titles: Sequence[str]) -> str:
    """Titles that begin alike, as "KID to the game: 32 steps deep", share their beginning."""
    groups: dict[str, list[str]] = {}
    for title in titles:
        begin, _, rest = title.partition(": ")
        groups.setdefault(begin, []).extend([rest] if rest else [])
    return "; ".join(
        f"{begin} ({', '.join(cases)})" if cases else begin for begin, cases in groups.items()
    )


def bounded(target: Target) -> bool:
    """Whether a target is a goal: a figure without a bound is only shown."""
    return target.least is not None or target.most is not None


def _speeds(bundle: Bundle) -> list[Row]:
    """Frames per second, and beside the DIAMOND-sized model in the same run."""
    found = []
    for source in bundle.sources:
        for path, target in SPEEDS.get(bundle.world, {}).items():
            place = path.format(bundle=bundle.name)
            figure = find_figure(source.figures, place)
            if figure is not None:
                shown = Figure(figure.value, None, source.figures.get("rounds"))
                passed = None if target.least is None else figure.value >= target.least
                found.append(Row(target._replace(path=place), shown, source.name, passed))
    return found
