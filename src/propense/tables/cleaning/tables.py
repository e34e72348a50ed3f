"""Cleaning users, items, exposures and impressions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Table

from propense.columns import ITEM_ID, USER_ID
from propense.schemas import Account, Rule
from propense.settings import Settings
from propense.tables.cleaning.accounts import as_read, checked, rows_in, write_set_aside
from propense.tables.cleaning.identities import Persons, add_persons
from propense.tables.cleaning.typed_columns import TypedColumns, type_columns
from propense.tables.engine.engine import BROKEN, FILE_SHIFT, ROW, TableEngine
from propense.tables.sources.reading import RawTable

RULES: Final = ("broken row", "no id", "duplicate", "laid over")
"""In the order in which they take a row; the last one of live rows alone."""


def clean_table(
    name: str, raw: RawTable, settings: Settings, persons: Persons | None, engine: TableEngine,
    folder: Path,
) -> Account:  # fmt: skip
    """Clean `users`, `items`, `exposures` or `impressions` into `folder/NAME.parquet`.

    Of several rows of one user or item the one with the most values stays, of equals the
    last; of equal exposures and impressions the first. What the service knows of a user is
    laid over the row that stays, value by value. Users without an id column are
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
    whole = rows.filter(rows["_code"].isnull())
    known = None
    if raw.live and key is not None:
        whole = whole.mutate(_live=_is_live(whole, raw)).view()
        known = _latest(whole.filter(whole["_live"]), own, key)
        double = _laid_over(whole, own, key)
    else:
        double = _second(whole, own, key).mutate(_code=ibis.literal(2, type="int64"))
    taken = ibis.union(
        rows.filter(rows["_code"].notnull()).select(ROW, "_code"), double.select(ROW, "_code")
    )
    taken = engine.keep(taken, f"taken_{name}")
    mended_persons = int(rows["_was"].count().execute())
    out = folder / f"{name}.parquet"
    kept = rows.anti_join(taken, ROW).select(*own)
    if known is not None and key is not None:
        kept = _lay_over(kept, known, own, key)
    engine.write_parquet(kept, out)
    aside = as_read(raw, taken, RULES)
    write_set_aside([aside], folder / "set_aside" / f"{name}.parquet", engine)
    return checked(
        Account(name, raw.n_rows, rows_in(out), _rules(typed, taken, mended_persons, raw, key))
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


def _is_live(rows: Table, raw: RawTable) -> BooleanValue:
    return (rows[ROW] >> FILE_SHIFT).isin(sorted(raw.live))


def _laid_over(rows: Table, own: list[str], key: str) -> Table:
    """Rows that give way, with the rule's code: among files as ever, live rows to the row they
    are laid over, which is the last live one where the files have none."""
    filed = rows.filter(~rows["_live"]).view()
    double = _second(filed, own, key).mutate(_code=ibis.literal(2, type="int64"))
    live = rows.filter(rows["_live"]).view()
    place = ibis.row_number().over(group_by=live[key], order_by=ibis.desc(live[ROW]))
    ranked = live.mutate(_place=place).view()
    users = filed.select(_filed=filed[key]).distinct()
    joined = ranked.left_join(users, ranked[key] == users["_filed"])
    over = joined.filter(joined["_filed"].notnull() | (joined["_place"] > 0))
    return ibis.union(
        double.select(ROW, "_code"), over.select(ROW, _code=ibis.literal(3, type="int64"))
    )


def _latest(live: Table, own: list[str], key: str) -> Table:
    """Of each user the last value known in every column, as `_live_PLACE`."""
    values = {
        f"_live_{place}": live[name].argmax(live[ROW], where=live[name].notnull())
        for place, name in enumerate(own) if name != key
    }  # fmt: skip
    return live.group_by(_known=live[key]).agg(**values).view()


def _lay_over(kept: Table, known: Table, own: list[str], key: str) -> Table:
    joined = kept.left_join(known, kept[key] == known["_known"])
    return joined.select(
        **{
            name: joined[name] if name == key
            else ibis.coalesce(joined[f"_live_{place}"], joined[name])
            for place, name in enumerate(own)
        }
    )  # fmt: skip


def _rules(
    typed: TypedColumns, taken: Table, persons: int, raw: RawTable, key: str | None
) -> list[Rule]:
    counts = taken.group_by("_code").agg(n=taken.count()).to_pyarrow().to_pylist()
    dropped = {row["_code"]: row["n"] for row in counts}
    kept = "of one id the fullest row stays, else the last" if key else "of equal rows one stays"
    notes = {"duplicate": kept, "laid over": "what the service knows goes before the files"}
    rules = [
        Rule(name, dropped=dropped.get(place, 0), note=notes.get(name, ""))
        for place, name in enumerate(RULES) if name != "laid over" or raw.live
    ]  # fmt: skip
    return [
        *rules,
        Rule("ids written as decimals", mended=typed.decimals),
        Rule("identities", mended=persons),
        Rule("spelling", mended=typed.respelt),
        Rule("unreadable cells", mended=typed.unread, note="; ".join(typed.notes)),
    ]
