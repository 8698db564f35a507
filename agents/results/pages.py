"""README.md, docs/results.md and docs/envs: what stands between two marks is made from files of
figures, and a page per world from its docstring and the cards of its bundles.
"""

from collections.abc import Mapping
from pathlib import Path

from agents.envs import bundle_spec, weights_fingerprint
from agents.results import environment_pages
from agents.results.exploitation_table import exploitation_table
from agents.results.families_table import families_tables
from agents.results.games_table import games_tables
from agents.results.released import FOLDER, Source, read_results
from agents.results.speed_table import speed_table
from agents.results.strips import strip_path
from agents.results.summary import summary
from agents.results.tables import Bundle, Numbering, absent, goals_met, table
from collectors.files import write_atomically
from collectors.worlds.table import WORLDS

MARK = "<!-- {}: written by `make results` -->"
END = "<!-- end of {} -->"
PAGES = ("README.md", "docs/results.md", "docs/envs/index.md", "docs/speed.md", "docs/any_game.md")
ROOT = Path(__file__).resolve().parents[2]


def bundles(results: Mapping[str, list[Source]]) -> list[Bundle]:
    """The default bundle of each world, measured or not, then the other measured ones."""
    names = [*WORLDS, *(name for name in results if name not in WORLDS)]
    return [
        Bundle(
            name, bundle_spec(name)["world"], weights_fingerprint("", name), results.get(name, [])
        )
        for name in names
    ]


def parts(folder: Path = FOLDER) -> dict[str, str]:
    """The parts of both pages by name. Raises ValueError for a file that cannot be used."""
    found = bundles(read_results(folder))
    return {
        "summary": summary([bundle for bundle in found if bundle.name in WORLDS]),
        "results": _goals(found),
        "goals met": "\n".join(goals_met(found)) + "\n",
        "exploitation": exploitation_table([bundle for bundle in found if bundle.name in WORLDS]),
        "families": families_tables(folder / "families"),
        "all results": _everything(found),
        "arguments of every dream": environment_pages.dream_arguments() + "\n",
        "speed of backends": speed_table(folder / "bench.json"),
        "public games": games_tables(folder / "games", ROOT / "docs"),
    }


def written(page: str, text: Mapping[str, str]) -> str:
    """A page with its parts put between their marks."""
    for name, part in text.items():
        begin, end = MARK.format(name), END.format(name)
        if begin in page:
            before, rest = page.split(begin)
            page = f"{before}{begin}\n\n{part}\n{end}{rest.partition(end)[2]}"
    return page


def write(root: Path = ROOT, folder: Path = FOLDER) -> list[str]:
    """Write the pages; returns those that changed."""
    text = parts(folder)
    made = {name: written((root / name).read_text(), text) for name in PAGES}
    made |= environment_pages.pages()
    changed = [name for name, after in made.items() if after != _text(root / name)]
    for name in changed:
        write_atomically(root / name, made[name])
    return changed


def _text(page: Path) -> str:
    return page.read_text() if page.is_file() else ""


def _goals(found: list[Bundle]) -> str:
    """What has a target, of the default bundles, in one table."""
    numbers, chosen = Numbering(), [bundle for bundle in found if bundle.name in WORLDS]
    lines = table(chosen, numbers, goals_only=True)
    return "\n".join([*lines, "", *numbers.lines()]) + "\n"


def _everything(found: list[Bundle]) -> str:
    """A table and a strip per bundle, and what no file holds."""
    numbers, lines = Numbering(), []
    for bundle in found:
        lines += [f"### {bundle.name}", ""]
        lines += [*table([bundle], numbers), ""] if bundle.sources else []
        if (ROOT / "docs" / strip_path(bundle.name)).is_file():
            lines += [f"![Steps of a dream above the game]({strip_path(bundle.name)})", ""]
        lines += [f"* {line}" for line in absent(bundle)] + [""]
    return "\n".join([*lines, "### Where the figures come from", "", *numbers.lines()]) + "\n"
