"""What keeps the code readable: sizes, one way to write a file, members that are declared."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

from tests.source_tree import FILES, ROOT, TREES

TOOLS = re.compile(r"\s*# (noqa|pyright|fmt):.*")  # comments to the tools of the gate
LINES_OF_A_FUNCTION, LINES_OF_A_FILE, ARGUMENTS, WIDTH = 45, 320, 7, 100
LINES_OF_A_TEST_FILE = 400  # a list of sentences, which nobody has to hold in mind at once
PYTHON = [
    *FILES.values(),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "examples").glob("*.py")),
]
# members looked up by name, each for a reason; our own classes declare theirs in a protocol
LOOKED_UP = {
    "sched_getaffinity": "os has it on Linux only",
    "pthread_sigmask": "signal has it on Unix only",
    "register_at_fork": "os has it on Unix only",
    "isatty": "the stderr of a notebook may be any object",
    "_is_amx_tile_supported": "private to torch, so it may go",
    "get_keys_to_action": "Gymnasium's convention for games that can be played by hand",
    "get_action_meanings": "the convention of Atari environments",
    "actions": "the convention of MiniGrid",
    "__neural_envs__": "asks a module of another project that has the same name",
    "value": "an autoreset mode is a member of the enum or its name",
    "path": "a bundle may be made in memory and have none",
    "EVALUATOR": "a module with several evaluators names the one that is meant",
    "_window": "close() also follows a constructor that raised",
    "__name__": "typing's generic aliases have none",
    "mod": "a pygame event has it only where a key was pressed",
}
WRITES = "collectors/files.py"  # the one file that renames what was written


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def environment_constructors(tree: ast.AST) -> set[ast.AST]:
    """Their arguments are the settings of `gymnasium.make`, so they may be many."""
    return {
        item
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Env" in ast.unparse(b) for b in node.bases)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
    }


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len(every) - (bool(every) and every[0].arg in ("self", "cls"))


def test_no_function_is_longer_than_a_screen():
    wrong = {}
    for path in PYTHON:
        for function in functions(ast.parse(path.read_text())):
            length = (function.end_lineno or 0) - function.lineno + 1
            if length > LINES_OF_A_FUNCTION:
                wrong[f"{path.relative_to(ROOT)}:{function.name}"] = length
    assert wrong == {}


def test_no_file_is_too_long_to_hold_in_mind():
    wrong = {}
    for path in PYTHON:
        file, length = path.relative_to(ROOT).as_posix(), len(path.read_text().splitlines())
        if length > (LINES_OF_A_TEST_FILE if file.startswith("tests/") else LINES_OF_A_FILE):
            wrong[file] = length
    assert wrong == {}


def test_no_line_is_wider_than_a_window():
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PYTHON
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(TOOLS.sub("", line)) > WIDTH
    ]
    assert wrong == []


def test_no_function_takes_more_arguments_than_one_can_name():
    wrong = {
        f"{file}:{function.name}": arguments(function)
        for file, tree in TREES.items()
        for function in functions(tree)
        if function not in environment_constructors(tree) and arguments(function) > ARGUMENTS
    }
    assert wrong == {}


def test_members_are_declared_and_not_asked_for_by_name():
    wrong = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
                name = node.args[1]
                if isinstance(name, ast.Constant) and name.value not in LOOKED_UP:
                    wrong.append(f"{file}:{node.lineno} {ast.unparse(node)}")
    assert wrong == []


def renames_a_file(call: ast.Call) -> bool:
    """``os.replace`` and its kin, and `Path.replace` and `Path.rename` with their one argument."""
    name = ast.unparse(call.func)
    if name in ("os.replace", "os.rename", "os.renames", "shutil.move"):
        return True
    one = len(call.args) == 1 and not call.keywords
    return (
        one
        and re.search(r"\.(replace|rename)$", name) is not None
        and name != "dataclasses.replace"
    )


def test_every_file_is_written_by_the_one_function_that_leaves_no_half_file():
    wrong = [
        f"{file}:{node.lineno} {ast.unparse(node)}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and renames_a_file(node) and file != WRITES
    ]
    assert wrong == []


def test_modules_of_tests_outside_packages_have_names_of_their_own():
    """Pytest imports them by their bare names."""
    folders: dict[str, list[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        if not (file.parent / "__init__.py").exists():
            folders.setdefault(file.name, []).append(file.parent.name)
    assert not {name: found for name, found in folders.items() if len(found) > 1}


def test_the_tools_of_the_gate_are_set_up_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["ruff"]["line-length"] == WIDTH
    assert project["tool"]["pyright"]["typeCheckingMode"] == "basic"
    assert set(project["tool"]["pyright"]["include"]) == {file.split("/")[0] for file in FILES}
    dev = project["project"]["optional-dependencies"]["dev"]
    for tool in ("ruff", "codespell", "pyright[nodejs]"):
        assert any(line.startswith(f"{tool}==") for line in dev), tool
    gate = (ROOT / ".ci/run").read_text() + (ROOT / "Makefile").read_text()
    for command in (
        "ruff check .",
        "ruff format --check .",
        "codespell",
        "pyright",
        "make check",
        "make guards",
        "make test",
    ):
        assert command in gate, command
