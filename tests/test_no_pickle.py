"""Nothing in propense runs code that stands in a file of data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
MODULES = {
    "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "dbm",
    "jsonpickle", "imp",
}  # fmt: skip
NAMES = {"eval", "exec", "compile", "__import__"}
LOADERS = {
    ("torch", "load"), ("np", "loads"), ("pd", "read_pickle"), ("yaml", "load"),
    ("yaml", "unsafe_load"), ("numpy", "load"),
}  # fmt: skip


def what_runs_code(tree):
    """Each place in a module that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            forbidden = {alias.name.partition(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            forbidden = {(node.module or "").partition(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            forbidden = called(node)
        else:
            continue
        if forbidden:
            yield f"line {node.lineno}: {', '.join(sorted(forbidden))}"


def called(node):
    function, words = node.func, {word.arg: word.value for word in node.keywords}
    pickles = words.get("allow_pickle")
    if pickles is not None and not (isinstance(pickles, ast.Constant) and pickles.value is False):
        return {"allow_pickle"}
    if isinstance(function, ast.Name):
        return {function.id} & NAMES
    if not isinstance(function, ast.Attribute):
        return set()
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if (owner, function.attr) in LOADERS:
        return {f"{owner}.{function.attr}"}
    if (owner, function.attr) == ("np", "load") and pickles is None:
        return {"np.load without allow_pickle=False"}
    return set()


@pytest.mark.parametrize(
    "file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE))
)
def test_no_module_can_run_what_it_reads(file):
    assert list(what_runs_code(ast.parse(file.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from pickle import loads", "import torch\ntorch.load('x')", "eval('1')",
     "np.load('x')", "np.load('x', allow_pickle=True)", "f(allow_pickle=flag)", "import joblib",
     "def f():\n    import marshal", "from shelve import open", "exec(compile('1', '', 'exec'))"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(code):
    assert list(what_runs_code(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["model.eval()", "np.load('x', allow_pickle=False)", "re.compile('x')"]
)
def test_the_search_lets_the_rest_pass(code):
    assert not list(what_runs_code(ast.parse(code)))
