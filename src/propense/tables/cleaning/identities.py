"""The ids of each customer: the connected groups of a list of pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import Column, Table

from propense.columns import ANONYMOUS_ID, SOURCE, USER_ID
from propense.errors import SourceError, nearest
from propense.ids import PLACEHOLDER_IDS
from propense.schemas import Account, Rule
from propense.settings import TableSource
from propense.tables.cells.ids import read_id
from propense.tables.cells.time_formats import survey_times
from propense.tables.cells.times import add_microseconds
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import ALIAS, RawTable, RawTables

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Identities:
    """Id -> the customer's main id, for all other ids."""

    everywhere: Table | None
    """(_id, _main)"""
    by_source: Table | None
    """(_source, _id, _main)"""
    stated: pa.Table | None = None
    """(_id, _since) ids that are joined whatever the rows of events show: since when
    (microseconds), null where always."""


def state_links(links: pa.Table) -> pa.Table:
    """(_id, _since) of both ids of links with `user`, `alias` and perhaps `since`: the earliest
    time, null is always."""
    since = links["since"] if "since" in links.column_names else pa.nulls(len(links), pa.int64())
    table = pa.concat_tables(
        [pa.table({"_id": links[name], "_since": since}) for name in ("user", "alias")]
    )
    each = table.group_by("_id").aggregate(
        [("_since", "min"), ("_since", "count"), ("_id", "count")]
    )
    timed = pc.equal(each["_since_count"], each["_id_count"])
    since = pc.if_else(timed, each["_since_min"], pa.scalar(None, pa.int64()))
    return pa.table({"_id": each["_id"], "_since": since})


def components(left: Ints, right: Ints, n: int) -> Ints:
    """For each of `n` nodes the smallest node of its connected group.

    `left`, `right` (n_pairs,) are the edges. Labels sink along edges and are followed to
    their ends until nothing changes: a few passes over arrays, never over rows.

    >>> components(np.array([0, 3]), np.array([2, 4]), 6).tolist()
    [0, 1, 0, 3, 3, 5]
    """
    label = np.arange(n, dtype=np.int64)
    while True:
        low = np.minimum(label[left], label[right])
        lower = label.copy()
        np.minimum.at(lower, label[left], low)
        np.minimum.at(lower, label[right], low)
        np.minimum.at(lower, left, low)
        np.minimum.at(lower, right, low)
        while True:
            shorter = lower[lower]
            if np.array_equal(shorter, lower):
                break
            lower = shorter
        if np.array_equal(lower, label):
            return label
        label = lower


def anonymous_id(
    column: Column | None, words: tuple[str, ...] = PLACEHOLDER_IDS
) -> Column | None:  # fmt: skip
    """The id of a browser or device as text; None where a source maps none."""
    return None if column is None else read_id(column, words)


def links_of_events(
    raw: RawTables, words: tuple[str, ...] = PLACEHOLDER_IDS
) -> pa.Table | None:  # fmt: skip
    """(user, alias, source) of the rows of all sources that have both ids; None without any.

    An anonymous id that was seen with several customers, as of a shared device, links nobody,
    and neither does one that is somebody's `user_id` elsewhere.
    """
    tables = []
    for source in raw.sources.values():
        anonymous = anonymous_id(source.column(ANONYMOUS_ID), words)
        user = source.column(USER_ID)
        if anonymous is None or user is None:
            continue
        rows = source.rows.select(user=read_id(user, words), alias=anonymous)
        rows = rows.filter(rows["user"].notnull() & rows["alias"].notnull())
        tables.append(rows.distinct().to_pyarrow())
    if not tables:
        return None
    pairs = pa.concat_tables(tables).combine_chunks()
    users = pc.unique(pairs["user"])
    pairs = pairs.group_by("alias").aggregate([("user", "count_distinct"), ("user", "min")])
    alone = pairs.filter(
        pc.and_(
            pc.equal(pairs["user_count_distinct"], 1),
            pc.invert(pc.is_in(pairs["alias"], value_set=users)),
        )
    )
    source_of_all = pa.nulls(len(alone), pa.string()).fill_null("")
    return pa.table({"user": alone["user_min"], "alias": alone["alias"], "source": source_of_all})


def identities_of_events(links: pa.Table, engine: TableEngine) -> Identities:
    """The main ids that follow from rows with both ids alone."""
    return _identities(links, engine)


def read_identities(
    raw: RawTable,
    engine: TableEngine,
    more: pa.Table | None = None,
    words: tuple[str, ...] = PLACEHOLDER_IDS,
    time_zone: str = "UTC",
) -> tuple[Identities, Account]:
    """The main ids of an identities table, and where its rows went.

    `more` (user, alias, source) are links from elsewhere, such as `links_of_events`. The column
    that `valid_from` names says since when a link is known; without it, and in rows without a
    time, it is known always.

    A row says that `alias` (of one source, where `source` is given) is `user_id`. Chains
    join: if b is a and c is b, all three are a. The main id is the smallest in text order
    among the group's `user_id`s that are nobody's alias, or among all its `user_id`s.
    """
    rows, timed = raw.rows, isinstance(raw.settings, TableSource) and raw.settings.valid_from
    if timed:
        if timed not in raw.own:
            raise SourceError(
                f"[identities] valid_from = {timed!r}: there is no such column; "
                f"{nearest(timed, raw.own)}"
            )
        zone = raw.settings.time_zone or time_zone
        survey = survey_times(rows, timed, zone, None, timed in raw.with_zone)
        rows = add_microseconds(rows, timed, "_since", survey.thorough, engine)
    user, alias = rows[raw.columns[USER_ID]], rows[raw.columns[ALIAS]]
    source = rows[raw.columns[SOURCE]] if SOURCE in raw.columns else None
    named = rows.select(
        since=rows["_since"] if timed else ibis.null("int64"),
        user=read_id(user, words),
        alias=read_id(alias, words),
        source=ibis.literal("") if source is None else source.cast("string").strip().fill_null(""),
    )
    n_in = raw.n_rows
    links = named.filter(named["user"].notnull() & named["alias"].notnull())
    n_out = int(links.count().execute())
    distinct = links.distinct().to_pyarrow()
    stated = state_links(distinct)
    if more is not None:
        distinct = pa.concat_tables([distinct.select(more.column_names), more])
    rules = [Rule("no id", dropped=n_in - n_out, note="user_id or alias is missing")]
    n_always = int(links.filter(links["since"].isnull()).count().execute())
    if n_always:
        why = "have no time" if timed else "valid_from = COLUMN would say since when"
        note = f"{n_always:,} links count as known at all times: {why}"
        rules.append(Rule("links without a time", note=note))
    account = Account("identities", n_in, n_out, rules)
    return replace(_identities(distinct, engine), stated=stated), account


def _identities(links: pa.Table, engine: TableEngine) -> Identities:
    """Nodes are ("", id) for an id of every source and (source, id) for one source's own."""
    users = _node(pa.nulls(len(links), pa.string()).fill_null(""), links["user"])
    aliases = _node(links["source"], links["alias"])
    encoded = pa.chunked_array([*users.chunks, *aliases.chunks]).combine_chunks()
    names = pc.unique(encoded)
    names = names.take(pc.array_sort_indices(names))
    node = pc.index_in(encoded, value_set=names).to_numpy().astype(np.int64)
    left, right = node[: len(links)], node[len(links) :]
    label = components(left, right, len(names))
    is_user = np.zeros(len(names), dtype=bool)
    is_user[left] = True
    is_alias = np.zeros(len(names), dtype=bool)
    is_alias[right[left != right]] = True
    rank = np.where(is_user & ~is_alias, 0, np.where(is_user, 1, 2))
    order = np.lexsort((np.arange(len(names)), rank, label))
    first = np.ones(len(order), dtype=bool)
    first[1:] = label[order][1:] != label[order][:-1]
    head = np.empty(len(names), dtype=np.int64)
    head[label[order[first]]] = order[first]
    main = head[label]
    moved = pa.array(np.flatnonzero(main != np.arange(len(names))))
    split = pc.split_pattern(names, "\x1f", max_splits=1)
    sources, ids = pc.list_element(split, 0), pc.list_element(split, 1)
    table = pa.table(
        {
            "_source": sources.take(moved),
            "_id": ids.take(moved),
            "_main": ids.take(pa.array(main[moved.to_numpy()])),
        }
    )
    everywhere = table.filter(pc.equal(table["_source"], "")).drop(["_source"])
    of_source = table.filter(pc.not_equal(table["_source"], ""))
    return Identities(
        engine.table_of(everywhere, "identities") if len(everywhere) else None,
        engine.table_of(of_source, "identities_of_source") if len(of_source) else None,
    )


def _node(source: pa.ChunkedArray | pa.Array, name: pa.ChunkedArray) -> pa.ChunkedArray:
    joined = pc.binary_join_element_wise(source, name, "\x1f")
    return joined if isinstance(joined, pa.ChunkedArray) else pa.chunked_array([joined])


def unify_ids(rows: Table, identities: Identities | None) -> Table:
    """`rows` with `user_id` the customer's main id, and `_was` the id before if it changed.

    A source's own alias takes precedence over an alias of all sources; it needs a column `source`.
    """
    sources_of_id = []
    if identities is not None and identities.by_source is not None and SOURCE in rows.columns:
        own = identities.by_source.rename(_own="_main", _own_id="_id", _own_source="_source")
        rows = rows.left_join(
            own, [rows[USER_ID] == own["_own_id"], rows[SOURCE] == own["_own_source"]]
        ).drop("_own_id", "_own_source")
        sources_of_id.append("_own")
    if identities is not None and identities.everywhere is not None:
        wide = identities.everywhere.rename(_any="_main", _any_id="_id")
        rows = rows.left_join(wide, [rows[USER_ID] == wide["_any_id"]]).drop("_any_id")
        sources_of_id.append("_any")
    if not sources_of_id:
        return rows.mutate(_was=ibis.null("string"))
    main = ibis.coalesce(*[rows[name] for name in sources_of_id], rows[USER_ID])
    was = (main != rows[USER_ID]).ifelse(rows[USER_ID], ibis.null("string"))
    return rows.mutate(_was=was, **{USER_ID: main}).drop(*sources_of_id)
