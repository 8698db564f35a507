"""The list of modules in `docs/architecture.md`, from the first sentence of each docstring.

`make rooms` runs this file and writes the list anew.
"""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from tests.source_tree import FILES, ROOT, TREES

PAGE = ROOT / "docs/architecture.md"
WIDTH = 140  # of a line in the list
BEGIN, END = "<!-- rooms: written by `make rooms` -->", "<!-- end of rooms -->"


def first_sentence(file: str) -> str:
    """Of the module's docstring, on one line; without what follows a colon where it is long."""
    text = " ".join((ast.get_docstring(TREES[file]) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z0-9)`*])[.](?= |$)", text)[0]
    if len(sentence) > WIDTH:
        sentence = re.split(r"[:;] ", sentence)[0]
    return sentence


def room_list() -> str:
    """A heading per folder, a line per module; an `__init__` describes its folder."""
    lines: list[str] = []
    for file in sorted(FILES, key=lambda name: (PurePosixPath(name).parts[:-1], name)):
        path = PurePosixPath(file)
        if path.name == "__init__.py":
            about = first_sentence(file)
            lines += ["", f"**{path.parent}/**" + (f": {about}" if about else ""), ""]
        else:
            lines.append(f"* `{path.name}`: {first_sentence(file)}")
    return "\n".join(lines).strip() + "\n"


def written() -> str:
    """The list as the page has it."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip() + "\n"


def write() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{room_list()}\n{END}{after}")


if __name__ == "__main__":
    write()
