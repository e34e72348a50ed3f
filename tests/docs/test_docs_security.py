"""Every promise of the page on security names a test or proof that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from propense.ingest.consent import PURPOSES
from propense.security.keys import SCOPES
from propense.serving.routes import ROUTES
from propense.settings import Limits, Serve

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
PROOFS = sorted(set(re.findall(r"`(benchmarks/[\w/]+\.py)`", PAGE)))


def functions(file):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file, name):
    assert (ROOT / file).is_file(), file
    assert name in functions(file), f"{file} has no {name}"


@pytest.mark.parametrize("file", PROOFS)
def test_a_named_proof_exists(file):
    assert "prove" in functions(file)


def test_every_promise_is_held_by_something():
    for table in re.findall(r"^\| promise \| held by \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.M):
        for row in table.splitlines():
            assert re.search(r"\| `(tests|benchmarks)/.*` \|$", row), row
    assert len(NAMED) > 40 and len(PROOFS) > 4


def test_words_of_the_page_are_words_of_the_code():
    for purpose in PURPOSES:
        assert f"| `{purpose}` |" in PAGE
    for scope in SCOPES:
        assert f"`{scope}`" in PAGE
    for key in ("consent", "origins", "pseudonyms", "remember_messages"):
        assert f"`{key}`" in PAGE and hasattr(Serve(), key)
    assert hasattr(Limits(), "new_customers_per_hour")


def test_the_defaults_are_as_open_as_the_page_says():
    serve = Serve()
    assert (serve.origins, serve.consent, serve.pseudonyms) == (("*",), False, False)


def test_the_threat_model_has_every_route_and_its_scopes():
    page = (ROOT / "docs/threat_model.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+|no key) \| (`[A-Z]+ /.*) \|$", page, re.M)
    named = {
        route: set(re.findall(r"`(\w+)`", scopes))
        for scopes, routes in rows
        for route in re.findall(r"`([A-Z]+ /[^`]+)`", routes)
    }
    assert named == {f"{route.method} {route.path}": set(route.scopes) for route in ROUTES}
