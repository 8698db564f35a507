"""The documentation site: `make docs` builds it into build/docs, and every warning is an error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from neural_envs import __version__  # noqa: E402  of this checkout

project, author = "neural-envs", "neural-envs contributors"
copyright = "neural-envs contributors, MIT license"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["strips/*", "gallery/*"]
myst_enable_extensions = ["colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
highlight_language = "text"
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True

html_theme, html_title = "furo", "neural-envs"
html_static_path = ["assets"]
html_css_files = ["site.css"]
DREAM = (
    ROOT / "build" / "embedded"
)  # `make docs` exports dreams into it; without them the page goes without
if (DREAM / "dream" / "site.json").exists():
    html_extra_path = [str(DREAM)]
html_copy_source = html_show_sourcelink = False

# docstrings are written in Markdown's plain part: `code`, paragraphs, lists
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": False}
autodoc_mock_imports = ["ray"]
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
OUTSIDE = {  # pages that lie beside docs/ -> what includes them here
    "../SECURITY.md": "security_policy.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../README.md": "index.md",
}
UNLISTED = ("experiments",)  # a diary: found by links, not in the navigation
ARGUMENT = re.compile(r" {4}(\w+): (.*)")
NOT_MARKUP = re.compile(r"(`[^`]*`)|([*|\\]|_(?=\W|$))")


def escape_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Stars, bars and trailing underscores outside of `code` stand for themselves; what stands
    indented under "Arguments:" becomes a list.
    """
    made: list[str] = []
    listing = False
    for line in lines:
        line = NOT_MARKUP.sub(lambda m: m[1] or f"\\{m[2]}", line)
        listing = line == "Arguments:" or (listing and line[:1] in ("", " "))
        argument = ARGUMENT.match(line) if listing else None
        if argument:
            line = f"* `{argument[1]}`: {argument[2]}"
        elif listing:
            line = line.removeprefix("      ")
        made += [line, ""] if line == "Arguments:" else [line]
    lines[:] = made


def link_inside(app, docname: str, source: list[str]) -> None:
    """Links of docs/*.md to pages beside docs/ lead to the pages that include them."""
    for path, page in OUTSIDE.items():
        source[0] = source[0].replace(f"]({path}", f"]({page}")


def mark_unlisted(app, doctree) -> None:
    """Pages that no table of contents names on purpose."""
    if app.env.docname in UNLISTED:
        app.env.metadata[app.env.docname]["orphan"] = "1"


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", escape_docstring)
    app.connect("source-read", link_inside)
    app.connect("doctree-read", mark_unlisted)
    if (DREAM / "dream" / "site.json").exists():
        app.tags.add("dream")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
