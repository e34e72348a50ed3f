"""The catalogue of texts: two languages with the same keys and slots, and nothing unused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import propense
from propense.words import LANGUAGES, Text, format_text, texts

CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
SLOT = re.compile(r"{(\w+)}")
NAMES = ("model.", "metric.", "minus", "goal_metric", "verdict.the_rivals")
"""Keys of names and signs, which can be the same in both languages."""
READERS = {"format_text", "words_html"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package that reads the catalogue, with its file and line."""
    for file in sorted(Path(propense.__file__).parent.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in READERS:
                    yield f"{file.name}:{node.lineno}", node


def constants() -> set[str]:
    """Every text constant of the package, the beginnings of formatted texts with a star."""
    values = set()
    for file in Path(propense.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                values.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                values.add(f"{node.values[0].value}*")
    return values


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    first, *others = (list(texts(language)) for language in LANGUAGES)
    assert others == [first] * len(others)


@pytest.mark.parametrize("key", texts("en"))
def test_a_text_has_the_same_slots_in_both_languages(key: str) -> None:
    en, zh = texts("en")[key], texts("zh")[key]
    assert en and zh
    assert set(SLOT.findall(en)) == set(SLOT.findall(zh))
    assert not CHINESE.search(en)
    assert CHINESE.search(zh) or key.startswith(NAMES)


def test_every_key_that_is_read_exists_and_every_slot_is_filled() -> None:
    checked = 0
    for where, call in calls():
        key = call.args[0]
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            continue
        assert key.value in texts("en"), where
        filled = {keyword.arg for keyword in call.keywords}
        assert filled == set(SLOT.findall(texts("en")[key.value])), where
        checked += 1
    assert checked > 100


def test_every_key_is_read() -> None:
    values = constants()
    starts = tuple(text[:-1] for text in values if text.endswith(("_*", "model.*", "metric.*")))
    unread = [key for key in texts("en") if key not in values and not key.startswith(starts)]
    assert unread == []


def test_a_text_fills_each_language_with_its_own() -> None:
    rival = Text("a rival", "对手")
    assert format_text("verdict.outcome_level", rival=rival) == Text(
        "Level: a rival serves. It is simpler, and the network is not shown to be worth more.",
        "持平：上线的是对手。它更简单，而网络并未显出更高的价值。",
    )
    with pytest.raises(KeyError):
        format_text("no such key")
    with pytest.raises(KeyError):
        format_text("verdict.outcome_level", other="x")


def test_braces_of_the_data_stay_as_they_are() -> None:
    assert (
        format_text("positives_of", name="{0.__class__} {name}").en
        == "Positives: {0.__class__} {name}"
    )
