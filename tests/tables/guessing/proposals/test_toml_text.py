"""The proposed text is TOML whatever the names are, and what is commented out is TOML too."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from propense.tables.guessing.proposals.toml_text import Proposal

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(name=NAMES, other=NAMES.filter(bool), reason=NAMES)
def test_any_name_is_read_back(name: str, other: str, reason: str) -> None:
    out = Proposal()
    out.comment(name)
    out.set("time_zone", name, reason)
    out.open_table("sources", other)
    out.set("columns", {"user_id": name, other + "_": other})
    out.set("events", [name, other], reason)
    out.comment_set("columns.item_id", name, reason)
    out.open_table("goals", other)
    assert tomllib.loads(out.text) == {
        "time_zone": name,
        "sources": {other: {
            "columns": {"user_id": name, other + "_": other}, "events": [name, other],
        }},
        "goals": {other: {}},
    }  # fmt: skip


def test_reasons_stand_beside_their_settings_in_order() -> None:
    out = Proposal()
    out.set("currency", "USD")
    out.open_table("sources", "app")
    out.comment("Events: a log.")
    out.set("events", "log.csv", "1 file")
    out.open_table("sources", "my shop")
    out.set("columns", {"user_id": "uid"})
    out.comment_table("goals", "left early")
    out.comment_set("positive", "Yes")
    out.open_table("split")
    out.set("by", "time")
    assert (
        out.text
        == """\
currency = "USD"

[sources.app]
# Events: a log.
events = "log.csv"   # 1 file

[sources."my shop"]
columns = { user_id = "uid" }

# [goals."left early"]
# positive = "Yes"

[split]
by = "time"
"""
    )


@given(name=NAMES)
def test_a_commented_setting_is_toml_without_its_sign(name: str) -> None:
    out = Proposal()
    out.comment_set("columns.user_id", name, "another choice")
    assert tomllib.loads(out.text.removeprefix("# ")) == {"columns": {"user_id": name}}
