"""Pages made from code are what the code would make now, and leave nothing out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from propense.cli.verbs import STAGES, all_verbs
from propense.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("make_docs", ROOT / "tools/make_docs.py")
make_docs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_docs)


@pytest.mark.parametrize("name", sorted(make_docs.PAGES))
def test_the_committed_page_is_what_the_code_says(name):
    made = make_docs.PAGES[name]()
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == made, "run: make docs"


def keys_of(record, where=""):
    """Every key of a record with its dotted table, records within records included."""
    for field in msgspec.structs.fields(record):
        if where == "" and field.name == "folder":
            continue
        yield where, field.name
        inside = re.findall(r"propense\.settings\.\w+\.(\w+)", str(field.type))
        for name in inside:
            kind = getattr(__import__("propense.settings", fromlist=[name]), name)
            many = ".NAME" if "dict[" in str(field.type) else ""
            yield from keys_of(kind, f"{where}.{field.name}{many}".lstrip("."))


@pytest.mark.parametrize(("table", "key"), sorted(set(keys_of(Settings))))
def test_every_key_is_explained(table, key):
    page = (ROOT / "docs/settings.md").read_text()
    heading = re.escape(f"[{table}]") if table else "Top level"
    section = re.search(rf"^## .*{heading}.*?(?=^## |\Z)", page, re.M | re.S)
    assert section is not None, f"no heading for [{table}]"
    child = f"{table}.{key}".lstrip(".")
    row = re.search(rf"^\| `{key}` \|.*\| (.*) \|$", section[0], re.M)
    if row is None:
        assert re.search(rf"^## .*\[{re.escape(child)}(\.NAME)?\]", page, re.M), child
    else:
        assert row[1].strip(), f"[{table}] {key} has no meaning; write it below the field"


def test_every_verb_has_its_help_on_the_page():
    page = (ROOT / "docs/cli.md").read_text()
    for verb in all_verbs():
        assert f"\n## {verb.name}\n" in page
        assert f"Usage: propense {verb.name}" in page


def test_the_flow_is_told_once_with_the_same_words():
    from propense import pipeline
    from propense.cli.flow import StageName

    stages = [stage.name for stage in pipeline.STAGES]
    assert list(get_args(StageName)) == stages
    assert [(verb.name, verb.sentence) for verb in STAGES] == [
        (stage.name, stage.sentence) for stage in pipeline.STAGES
    ]
    for page in ("README.md", "README.zh.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        stages_shown = re.search(r"^sources -> (.*)$", text, re.M)[1].split(" -> ")
        assert stages_shown[: len(stages)] == stages, page
        rows = re.findall(r"^\| `(\w+)` \|", text, re.M)
        assert rows[: len(stages)] == stages, page
