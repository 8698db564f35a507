"""Names and sentences use the words of `docs/glossary.md`; its second table is read here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.source_tree import FILES, ROOT

GLOSSARY = ROOT / "docs/glossary.md"
HEADING = "## Words that are not used"
CODE = [
    *FILES.values(),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "examples").glob("*.py")),
]
# records of what was: they keep the words of their day
RECORDS = {"docs/experiments.md", "docs/glossary.md", "CHANGELOG.md"}
PAPERS = [
    path
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    if path.relative_to(ROOT).as_posix() not in RECORDS
]
PER = (
    r"(frame|second|step|seed|update|batch|row|episode|game|lane|clip|minute|hour|validation"
    r"|process|call|world|round|dream|core|model|token|file|visitor|group|line)\b"
)
COUNTED = (
    r"(frames|steps|games|rows?|calls|lanes|updates|MACs|MMAC|processes|points|pictures|seconds)"
)
SMALL_WORD = r"(?!(is|was|has|in|and|of|over|one|without|with|for|from|to|at|on|by|or|as)\b)"
NUMBER = r"(one|two|three|four|five|eight|ten|\d+)"
A_FOR_PER = re.compile(rf"\b({COUNTED}|{NUMBER} {SMALL_WORD}\w+) an? {PER}")
PHRASES = (r"the head's own word", r"nowhere \(random\)", r"Standing on", r"What is not there yet")


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    heads = ("| term |", "| not |")
    lines = [line for line in lines if not line.startswith(heads)]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


@cache
def banned() -> dict[str, list[str]]:
    """Where ("in a name", "as a name", "in a sentence") -> the words of the glossary."""
    found: dict[str, list[str]] = {}
    for words, where, _ in rows(GLOSSARY.read_text().partition(HEADING)[2]):
        found.setdefault(where, []).extend(re.findall(r"`(\w+)`", words) or [words])
    return found


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that the source gives or uses."""
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield from value.split(".")


def parts(name: str) -> set[str]:
    """ "paintedFrame_of" -> {"painted", "frame", "of"}."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def is_banned(name: str) -> bool:
    """A test's name is a sentence, where a part of a name may be a plain English word."""
    if name.strip("_") in banned()["as a name"]:
        return True
    return not parts(name).isdisjoint(banned()["in a name"]) and not name.startswith("test_")


def offences(path: Path) -> set[str]:
    text = path.read_text()
    return {name for name in names(ast.parse(text)) if is_banned(name)} | {
        part for part in path.relative_to(ROOT).with_suffix("").parts if is_banned(part)
    }


def test_names_are_those_of_the_glossary():
    found = {path.relative_to(ROOT).as_posix(): sorted(offences(path)) for path in CODE}
    wrong = [f"{file}: {', '.join(words)}" for file, words in found.items() if words]
    assert not wrong, "\n".join(wrong)


def test_sentences_say_per_and_the_words_of_the_glossary():
    wrong = []
    this = Path(__file__).resolve()
    for path in [*PAPERS, *(path for path in CODE if path != this)]:
        text = re.sub(r"\s+(#\s+)?", " ", path.read_text())
        for pattern in (A_FOR_PER, *map(re.compile, PHRASES)):
            wrong += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert not wrong, "\n".join(wrong)


def test_the_phrases_are_those_of_the_glossary():
    sentences = ", ".join(banned()["in a sentence"])
    for phrase in PHRASES:
        assert phrase.replace("\\", "") in sentences
    assert A_FOR_PER.search(sentences)


def test_every_banned_word_has_an_entry_that_says_what_to_say_instead():
    terms, _, ban = GLOSSARY.read_text().partition(HEADING)
    entries = {term for term, _, _ in rows(terms)}
    given = {name for path in CODE for name in names(ast.parse(path.read_text()))}
    given |= {path.stem for path in CODE}
    for words, _, instead in rows(ban):
        assert instead, words
        assert set(re.findall(r"\*([^*]+)\*", instead)) <= entries, instead
        assert set(re.findall(r"`(\w+)`", instead)) <= given, instead


def test_the_glossary_defines_thirty_terms_or_more_in_alphabetical_order():
    entries = [term.lower() for term, _, _ in rows(GLOSSARY.read_text().partition(HEADING)[0])]
    assert len(entries) >= 30
    assert entries == sorted(entries)
