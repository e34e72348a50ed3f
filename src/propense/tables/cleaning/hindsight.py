"""Whose history was not yet what it is now, and when: ids joined later, and bots."""

from __future__ import annotations

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from propense.columns import USER_ID
from propense.tables.engine.engine import TableEngine


def find_hindsight(
    rows: Table, read: Table, bots: Table | None, stated: pa.Table | None, joined: bool,
    engine: TableEngine,
) -> Table | None:  # fmt: skip
    """Stretches of time as user_id, `_begin`, `_end` (microseconds; no end: it never ends).

    `rows` are the events that are kept. Those of another id (`_was`) belong to the customer from
    the first row on that has both ids (`_linked`), be it kept or not: `read` are all rows of
    possible times; `stated` (_id, _since) are ids that are
    joined without such rows: since when, or always where it is null. An id that was seen with
    several customers joins nobody, but until the second came it was the first one's. What a bot
    did from its day on is not there. `joined` is whether any row has `_was` or
    `_linked`.
    """
    parts = []
    if bots is not None:
        parts.append(bots.select(USER_ID, _begin=bots["_from"], _end=ibis.null("int64")))
    if joined:
        shown = read.filter(read["_linked"].notnull())
        pairs = shown.group_by("_linked", USER_ID).agg(_first=shown["_t"].min())
        pairs = engine.keep(pairs, "shown_links")
        parts += [_later_links(rows, pairs, stated, engine), *_shared(rows, pairs, engine)]
    if not parts:
        return None
    stretches = parts[0] if len(parts) == 1 else ibis.union(*parts)
    rows = engine.keep(stretches, "hindsight")
    return rows if int(rows.count().execute()) else None


def _later_links(rows: Table, pairs: Table, stated: pa.Table | None, engine: TableEngine) -> Table:
    """From the first event of another id to the first row that shows whose it is."""
    others = rows.filter(rows["_was"].notnull())
    others = others.group_by(USER_ID, "_was").agg(_begin=others["_t"].min())
    shown = pairs.group_by(_id=pairs["_linked"]).agg(_shown=pairs["_first"].min())
    spans = others.left_join(shown, others["_was"] == shown["_id"]).drop("_id").view()
    end = spans["_shown"]
    if stated is not None and len(stated):
        links = engine.table_of(stated, "stated_links")
        spans = spans.left_join(links, spans["_was"] == links["_id"]).view()
        spans = spans.filter(spans["_id"].isnull() | spans["_since"].notnull()).view()
        since, end = spans["_since"], spans["_shown"]
        end = ibis.ifelse(end.isnull() | (since < end), since.fill_null(end), end)
    spans = spans.select(USER_ID, "_begin", _end=end).view()
    return spans.filter(spans["_end"].isnull() | (spans["_begin"] <= spans["_end"]))


def _shared(rows: Table, pairs: Table, engine: TableEngine) -> list[Table]:
    """An id of several customers, and the first of them: until the second was seen."""
    rank = ibis.row_number().over(group_by=pairs["_linked"], order_by=[pairs["_first"], USER_ID])
    ranked = pairs.mutate(_rank=rank).view()
    first = ranked.filter(ranked["_rank"] == 0).select("_linked", _user=ranked[USER_ID])
    second = ranked.filter(ranked["_rank"] == 1).select(_id=ranked["_linked"], _end="_first")
    shared = engine.keep(
        first.inner_join(second, first["_linked"] == second["_id"]).drop("_id"), "shared_ids"
    )
    own = rows.semi_join(shared, rows[USER_ID] == shared["_linked"])
    own = own.group_by(USER_ID).agg(_begin=own["_t"].min())
    spans = own.inner_join(shared, own[USER_ID] == shared["_linked"]).view()
    spans = engine.keep(spans.filter(spans["_begin"] <= spans["_end"]), "shared_spans")
    return [
        spans.select(USER_ID, "_begin", "_end"),
        spans.select(**{USER_ID: spans["_user"]}, _begin=spans["_begin"], _end=spans["_end"]),
    ]  # fmt: skip
