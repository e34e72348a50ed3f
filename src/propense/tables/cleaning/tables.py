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
from propense.tables.cleaning.duplicates import labelled
from propense.tables.cleaning.identities import Identities, unify_ids
from propense.tables.cleaning.typed_columns import TypedColumns, type_columns
from propense.tables.engine.engine import BROKEN, FILE_SHIFT, ROW, TableEngine
from propense.tables.sources.reading import RawTable

LIVE_VALUES: Final = "merged live row"
"""Rule of live rows whose values replace those of the files."""
RULES: Final = ("broken row", "no id", "duplicate", LIVE_VALUES)
"""In the order in which they take a row."""


def clean_table(
    name: str, raw: RawTable, settings: Settings, identities: Identities | None,
    engine: TableEngine, folder: Path,
) -> Account:  # fmt: skip
    """Clean `users`, `items`, `exposures` or `impressions` into `folder/NAME.parquet`.

    Of several rows of one user or item the one with the most values stays, of equals the
    last; of equal exposures and impressions the first. What the service knows of a user
    replaces the values of the row that stays, one by one. Users without an id column are
    numbered from 1 in the order of their file.
    """
    key = {"users": USER_ID, "items": ITEM_ID}.get(name)
    typed = type_columns(raw, settings, key is None, engine)
    rows = typed.rows
    if name == "users" and USER_ID not in raw.columns:
        count = ibis.row_number().over(order_by=rows[ROW]) + 1
        rows = rows.mutate(**{USER_ID: count.cast("string")})
        rows = rows.select(USER_ID, *[column for column in rows.columns if column != USER_ID])
    rows = unify_ids(rows, identities if USER_ID in rows.columns and name != "items" else None)
    rows = engine.keep(_flag_broken(rows, raw).view(), f"typed_{name}")
    own = [column for column in rows.columns if column not in (ROW, "_was", "_broken")]
    no_id = rows[key or USER_ID].isnull()
    parts = [
        labelled(rows.filter(rows["_broken"]), "broken row"),
        labelled(rows.filter(~rows["_broken"] & no_id), "no id"),
    ]
    whole = rows.filter(~rows["_broken"] & ~no_id)
    live_values = None
    if raw.live and key is not None:
        whole = whole.mutate(_live=_is_live(whole, raw)).view()
        live_values = _latest(whole.filter(whole["_live"]), own, key)
        parts += _replaced(whole, own, key)
    else:
        parts.append(labelled(_repeated(whole, own, key), "duplicate"))
    dropped = engine.keep(ibis.union(*parts), f"taken_{name}")
    n_unified = int(rows["_was"].count().execute())
    out = folder / f"{name}.parquet"
    clean = rows.anti_join(dropped, ROW).select(*own)
    if live_values is not None and key is not None:
        clean = _with_live_values(clean, live_values, own, key)
    engine.write_parquet(clean, out)
    write_set_aside([as_read(raw, dropped)], folder / "set_aside" / f"{name}.parquet", engine)
    return checked(
        Account(name, raw.n_rows, rows_in(out), _rules(typed, dropped, n_unified, raw, key))
    )


def _flag_broken(rows: Table, raw: RawTable) -> Table:
    """`rows` with `_broken`: whether the row could not be taken apart."""
    if BROKEN not in raw.rows.columns:
        return rows.mutate(_broken=ibis.literal(False))
    broken = raw.rows.select(ROW, _broken=raw.rows[BROKEN].notnull())
    return rows.left_join(broken, ROW).drop(f"{ROW}_right")


def _repeated(rows: Table, own: list[str], key: str | None) -> Table:
    """All rows of one user or item but the fullest; all equal rows but the first."""
    if key is None:
        rank = ibis.row_number().over(group_by=[rows[name] for name in own], order_by=rows[ROW])
    else:
        full = sum(
            (rows[name].notnull().cast("int64") for name in own),
            start=ibis.literal(0, type="int64"),
        )
        rows = rows.mutate(_full=full).view()
        rank = ibis.row_number().over(
            group_by=rows[key], order_by=[ibis.desc(rows["_full"]), ibis.desc(rows[ROW])]
        )
    ranked = rows.mutate(_rank=rank).select(ROW, "_rank")
    return ranked.filter(ranked["_rank"] > 0)


def _is_live(rows: Table, raw: RawTable) -> BooleanValue:
    return (rows[ROW] >> FILE_SHIFT).isin(sorted(raw.live))


def _replaced(rows: Table, own: list[str], key: str) -> list[Table]:
    """Rows that give way: repeated rows of the files, and live rows whose values move to the row
    that stays, which is the last live one where the files have none."""
    filed = rows.filter(~rows["_live"]).view()
    live = rows.filter(rows["_live"]).view()
    rank = ibis.row_number().over(group_by=live[key], order_by=ibis.desc(live[ROW]))
    ranked = live.mutate(_rank=rank).view()
    users = filed.select(_filed=filed[key]).distinct()
    joined = ranked.left_join(users, ranked[key] == users["_filed"])
    moved = joined.filter(joined["_filed"].notnull() | (joined["_rank"] > 0))
    return [labelled(_repeated(filed, own, key), "duplicate"), labelled(moved, LIVE_VALUES)]


def _latest(live: Table, own: list[str], key: str) -> Table:
    """The last value of each user in every column, as `_live_INDEX`."""
    values = {
        f"_live_{index}": live[name].argmax(live[ROW], where=live[name].notnull())
        for index, name in enumerate(own) if name != key
    }  # fmt: skip
    return live.group_by(_key=live[key]).agg(**values).view()


def _with_live_values(clean: Table, live_values: Table, own: list[str], key: str) -> Table:
    joined = clean.left_join(live_values, clean[key] == live_values["_key"])
    return joined.select(
        **{
            name: joined[name] if name == key
            else ibis.coalesce(joined[f"_live_{index}"], joined[name])
            for index, name in enumerate(own)
        }
    )  # fmt: skip


def _rules(
    typed: TypedColumns, set_aside: Table, n_unified: int, raw: RawTable, key: str | None
) -> list[Rule]:
    counts = set_aside.group_by("_rule").agg(n=set_aside.count()).to_pyarrow().to_pylist()
    dropped = {row["_rule"]: row["n"] for row in counts}
    stays = "of equal rows the first stays"
    if key:
        stays = "of rows of one id the one with the most values stays, of equals the last"
    notes = {"duplicate": stays, LIVE_VALUES: "values of the service replace those of the files"}
    rules = [
        Rule(name, dropped=dropped.get(name, 0), note=notes.get(name, ""))
        for name in RULES if name != LIVE_VALUES or raw.live
    ]  # fmt: skip
    return [
        *rules,
        Rule("ids written as decimals", mended=typed.decimals),
        Rule("invisible characters in ids", mended=typed.tidied),
        Rule("identities", mended=n_unified),
        Rule("spelling", mended=typed.respelt),
        Rule("unreadable cells", mended=typed.unread, note="; ".join(typed.notes)),
    ]
