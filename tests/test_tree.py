"""The shape of the tree: small folders, short files, no circles, tests beside what they test."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "propense"
TESTS = ROOT / "tests"
MOST_FILES = 20
MOST_LINES = 400
ACROSS = ("benchmarks", "conformance", "docs", "examples", "method", "support", "trials")
"""Folders of tests that belong to no room of the source."""
TREES = ("src", "tests", "benchmarks", "tools", "examples")


def python_files(*folders: str) -> list[Path]:
    return sorted(file for name in folders for file in (ROOT / name).rglob("*.py"))


def test_no_folder_has_many_files_side_by_side():
    sizes: dict[Path, int] = {}
    for file in python_files(*TREES):
        if file.name != "__init__.py":
            folder = file.parent.relative_to(ROOT)
            sizes[folder] = sizes.get(folder, 0) + 1
    assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}


def test_files_are_short(record_property):
    lines = {
        file.relative_to(ROOT): len(file.read_text("utf-8").splitlines())
        for file in python_files("src", "tests")
    }
    assert {file: n for file, n in lines.items() if n > MOST_LINES} == {}
    record_property("median_lines", statistics.median(lines.values()))


def imports(file: Path) -> Iterator[str]:
    """Modules that a module imports anywhere, also inside functions; with names of `from`."""
    package = ".".join(file.relative_to(ROOT / "src").parent.parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import in {package}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph() -> dict[str, set[str]]:
    """Module -> modules of the package that it imports."""
    modules = {}
    for file in python_files("src"):
        parts = file.relative_to(ROOT / "src").with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = file
    graph = {}
    for name, file in modules.items():
        targets = (t if t in modules else t.rpartition(".")[0] for t in imports(file))
        graph[name] = {target for target in targets if target in modules} - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle (Tarjan's components above size 1).

    >>> circles({"a": {"b"}, "b": {"a"}, "c": {"a"}})
    [['a', 'b']]
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(groups)


def test_modules_import_each_other_in_no_circle():
    assert circles(import_graph()) == []


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=str(file.relative_to(TESTS)))
        for file in sorted(TESTS.rglob("test_*.py"))
        if file.parent != TESTS and file.relative_to(TESTS).parts[0] not in ACROSS
    ],
)
def test_a_test_lies_where_its_module_does(file: Path):
    """tests/ROOM/test_NAME_more.py tests src/propense/ROOM/NAME.py, or a folder NAME; test_NAME.py
    can also test NAME_a.py and NAME_b.py together."""
    folder = SOURCE / file.parent.relative_to(TESTS)
    names = {module.stem for module in folder.glob("*.py")} | {folder.name}
    names |= {package.name for package in folder.glob("*/")}
    stem = file.stem.removeprefix("test_")
    assert any(
        stem == name or stem.startswith(f"{name}_") or name.startswith(f"{stem}_") for name in names
    ), sorted(names)
