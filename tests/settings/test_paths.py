"""Paths of settings: any name comes back as it was, also one with dots, quotes or line feeds."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from propense.settings import parse_settings
from propense.settings.paths import setting_names, setting_path

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6) | st.sampled_from(
    ["my.shop", "a.b.c", '"', "'", "a]b", ".", "\\", "\x7f", "店", "my shop"]
)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_names_come_back(names: list[str]) -> None:
    path = setting_path(*names)
    assert setting_names(path) == names
    value: Any = tomllib.loads(f"{path} = 1")
    for name in names:
        value = value[name]
    assert value == 1


@given(NAMES)
def test_the_guess_of_a_source_of_any_name(name: str) -> None:
    key = setting_path("sources", name, "decimal")
    raw: dict[str, Any] = {
        "sources": {name: {"events": "a.csv"}}, "open_questions": [key],
        "guesses": {key: "comma"}, "clean": {"accept_guesses": True},
    }  # fmt: skip
    assert parse_settings(raw).sources[name].decimal == "comma"
    raw["sources"] = {name: {"events": "a.csv", "decimal": "point"}}
    assert parse_settings(raw).open_questions == ()
