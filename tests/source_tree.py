"""The four packages as source: their files, their syntax trees and who imports whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("collectors", "world_models", "neural_envs", "agents")  # each sees those to its left
FILES = {
    path.relative_to(ROOT).as_posix(): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
MODULE_OF = {
    name: name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in FILES
}
FILE_OF = {module: file for file, module in MODULE_OF.items()}
MODULES = list(FILE_OF)
DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+(:[\w.]+)?")


def within(name: str, modules: tuple[str, ...]) -> bool:
    """Whether the dotted name is one of the modules or lies in one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def names_of(node: ast.AST, file: str) -> Iterator[str]:
    """The modules that one import statement names; nothing for any other node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = file.split("/")[:-1]
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        submodules = [f"{base}.{alias.name}" for alias in node.names]
        submodules = [name for name in submodules if name in FILE_OF]
        yield from submodules if len(submodules) == len(node.names) else [base, *submodules]


def imports(file: str) -> Iterator[str]:
    """The dotted name of every module that the file imports anywhere, inside functions too."""
    for node in ast.walk(TREES[file]):
        yield from names_of(node, file)


def import_strings(file: str) -> Iterator[str]:
    """The modules of ours that string literals name, as "package.module:attribute" or dotted."""
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if DOTTED.fullmatch(node.value) and (module := nearest_module(name)):
                yield module


def nearest_module(name: str) -> str:
    """The longest leading part of a dotted name that is a module of ours; "" for none."""
    parts = name.split(".")
    heads = (".".join(parts[:count]) for count in range(len(parts), 1, -1))
    return next((head for head in heads if head in FILE_OF), "")


def imports_on_loading(file: str) -> Iterator[str]:
    """What importing the file imports: outside of functions and of ``if TYPE_CHECKING``."""
    nodes: list[ast.AST] = [TREES[file]]
    while nodes:
        node = nodes.pop()
        yield from names_of(node, file)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        else:
            nodes += ast.iter_child_nodes(node)


def closure(modules: tuple[str, ...], edges: dict[str, set[str]]) -> dict[str, str]:
    """Every module that can be reached from the given ones, with the one that it is reached by."""
    reached = dict.fromkeys(modules, "")
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for name in sorted(edges.get(module, ())):
            if name not in reached:
                reached[name] = module
                waiting.append(name)
    return reached


def graph(reader) -> dict[str, set[str]]:
    """Module -> modules of ours that `reader` (one of the functions above) finds in its file."""
    return {
        module: {name for found in reader(file) if (name := nearest_module_or_package(found))}
        - {module}
        for module, file in FILE_OF.items()
    }


def nearest_module_or_package(name: str) -> str:
    return name if name in FILE_OF else nearest_module(name)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan, 1972)."""
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for name in sorted(edges.get(module, ())):
            if name not in order:
                visit(name)
            if name in stack:
                lowest[module] = min(lowest[module], lowest[name])
        if lowest[module] == order[module]:
            at = stack.index(module)
            component, stack[at:] = stack[at:], []
            if len(component) > 1:
                found.append(sorted(component))

    for module in edges:
        if module not in order:
            visit(module)
    return found
