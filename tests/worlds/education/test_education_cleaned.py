"""Cleaning the education world leaves exactly the true rows, each dirty row under its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.schemas import RunFolder
from propense.settings import read_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import connect
from propense.tables.sources.reading import read
from propense.worlds.education import dirt
from support.education_world import World


@pytest.mark.slow
def test_cleaning_finds_every_dirty_row_and_no_other(world: World, tmp_path: Path) -> None:
    settings = read_settings(world.folder / "propense.toml")
    engine = connect("duckdb", tmp_path / "scratch")
    accounts = clean(read(settings, engine), settings, engine, RunFolder(tmp_path / "run"))
    events = next(account for account in accounts if account.table == "events")
    counts = {
        kind: sum(world.dirt[source].get(kind, 0) for source in ("app", "web", "shop"))
        for kind in world.dirt["app"]
    }
    assert events.n_in == counts["written"]
    before_limit = counts["bot"] // dirt.BOT_EVENTS * dirt.MAX_EVENTS_PER_DAY
    assert events.n_out == counts["clean"] + counts["retired_item"] + before_limit
    dropped = {rule.name: rule.dropped for rule in events.rules if rule.dropped}
    assert dropped == {
        "broken row": counts["broken_line"],
        "no user id": counts["missing_user"],
        "unreadable time": counts["unreadable_time"],
        "after until": counts["future"],
        "duplicate": counts["exact_duplicate"],
        "near duplicate": counts["retry"],
        "impossible value": counts["impossible_value"],
        "bot": counts["bot"] - before_limit,
    }
