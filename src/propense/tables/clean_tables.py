"""Cleaning users, items, exposures and impressions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ibis
from ibis.expr.types import Table

from propense.columns import ITEM_ID, USER_ID
from propense.schemas import Account, Rule
from propense.settings import Settings
from propense.tables.account import as_read, checked, rows_in, write_set_aside
from propense.tables.columns_typed import TypedColumns, type_columns
from propense.tables.engine import BROKEN, ROW, Engine
from propense.tables.identities import Persons, add_persons
from propense.tables.sources import RawTable

RULES: Final = ("broken row", "no id", "duplicate")
"""In the order in which they take a row."""


def clean_table(
    name: str, raw: RawTable, settings: Settings, persons: Persons | None, engine: Engine,
    folder: Path,
) -> Account:  # fmt: skip
    """Clean `users`, `items`, `exposures` or `impressions` into `folder/NAME.parquet`.

    Of several rows of one user or item the one with the most values stays, of equals the
    last; of equal exposures and impressions the first. Users without an id column are
    numbered from 1 in the order of their file.
    """
    key = {"users": USER_ID, "items": ITEM_ID}.get(name)
    numbered = name == "users" and USER_ID not in raw.columns
    typed = type_columns(raw, settings, key is None, engine)
    rows = typed.rows
    broken = raw.rows.select(ROW, _broken=raw.rows[BROKEN].notnull()) if (
        BROKEN in raw.rows.columns
    ) else None  # fmt: skip
    if numbered:
        place = ibis.row_number().over(order_by=rows[ROW]) + 1
        rows = rows.mutate(**{USER_ID: place.cast("string")})
        rows = rows.select(USER_ID, *[column for column in rows.columns if column != USER_ID])
    needs = key or USER_ID
    rows = add_persons(rows, persons if USER_ID in rows.columns and name != "items" else None)
    if broken is not None:
        rows = rows.left_join(broken, ROW).drop(f"{ROW}_right")
    rows = engine.keep(rows.view(), f"typed_{name}")
    own = [column for column in rows.columns if column not in (ROW, "_was", "_broken")]
    first = rows["_broken"].ifelse(0, 1) if broken is not None else ibis.literal(1)
    code = ibis.cases((first == 0, 0), (rows[needs].isnull(), 1), else_=ibis.null("int64"))
    rows = rows.mutate(_code=code.cast("int64")).view()
    double = _second(rows.filter(rows["_code"].isnull()), own, key)
    taken = ibis.union(
        rows.filter(rows["_code"].notnull()).select(ROW, "_code"),
        double.select(ROW, _code=ibis.literal(2, type="int64")),
    )
    taken = engine.keep(taken, f"taken_{name}")
    mended_persons = int(rows["_was"].count().execute())
    out = folder / f"{name}.parquet"
    engine.write_parquet(rows.anti_join(taken, ROW).select(*own), out)
    aside = as_read(raw, taken, RULES)
    write_set_aside([aside], folder / "set_aside" / f"{name}.parquet", engine)
    return checked(
        Account(name, raw.n_rows, rows_in(out), _rules(typed, taken, mended_persons, key))
    )


def _second(rows: Table, own: list[str], key: str | None) -> Table:
    """All rows of one user or item but the fullest; all equal rows but the first."""
    if key is None:
        place = ibis.row_number().over(group_by=[rows[name] for name in own], order_by=rows[ROW])
    else:
        full = sum(
            (rows[name].notnull().cast("int64") for name in own),
            start=ibis.literal(0, type="int64"),
        )
        rows = rows.mutate(_full=full).view()
        place = ibis.row_number().over(
            group_by=rows[key], order_by=[ibis.desc(rows["_full"]), ibis.desc(rows[ROW])]
        )
    ranked = rows.mutate(_place=place).select(ROW, "_place")
    return ranked.filter(ranked["_place"] > 0)


def _rules(typed: TypedColumns, taken: Table, persons: int, key: str | None) -> list[Rule]:
    counts = taken.group_by("_code").agg(n=taken.count()).to_pyarrow().to_pylist()
    dropped = {row["_code"]: row["n"] for row in counts}
    kept = "of one id the fullest row stays, else the last" if key else "of equal rows one stays"
    notes = {"duplicate": kept}
    rules = [
        Rule(name, dropped=dropped.get(place, 0), note=notes.get(name, ""))
        for place, name in enumerate(RULES)
    ]
    return [
        *rules,
        Rule("ids written as decimals", mended=typed.decimals),
        Rule("identities", mended=persons),
        Rule("spelling", mended=typed.respelt),
        Rule("unreadable cells", mended=typed.unread, note="; ".join(typed.notes)),
    ]
