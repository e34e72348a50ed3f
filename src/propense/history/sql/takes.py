"""Counts what was taken of late in a store of tables, page by page of customers.

A customer who has no new event costs one look into the index, so nothing has to be kept for
counting while events are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from propense.history.sql.identity import VISITOR
from propense.history.sql.tables import Row, Tables, Transact
from propense.history.sql.views import OWN
from propense.history.takes import Cell, Takes, TakesQuestion
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

_PAGE: Final = 2_000
_LAST: Final = (
    f"SELECT max(key) FROM (SELECT key FROM customers WHERE key > ? ORDER BY key LIMIT {_PAGE}) p"
)
_OF_NAME: Final = "SELECT customer FROM names WHERE name = ?"
_COUNT: Final = f"""
SELECT item_id, number, visits, count(*) FROM (
    SELECT c.key, e.item_id AS item_id, min(e.event_time) / ? AS number,
           (SELECT n.kind FROM names n WHERE n.name = c.user_id) AS visits
    FROM customers c JOIN events e ON e.customer = c.key
    WHERE c.key > ? AND c.key <= ?{{of_user}}
      AND EXISTS (SELECT 1 FROM events n WHERE n.customer = c.key AND n.seq > ?)
      AND e.seq <= ? AND e.event_time >= ? AND e.item_id IS NOT NULL{{actions}}
    GROUP BY c.key, c.user_id, e.item_id, e.event_time / {MICROS_PER_DAY}
    HAVING min(e.seq) > ?
) taken GROUP BY item_id, number, visits
"""


def count_takes(read: Transact, question: TakesQuestion) -> Takes:
    """See LiveStore.count_takes. Each page is a transaction of its own."""
    (until,) = read(lambda tables: _row(tables, "SELECT seq FROM state"))
    until = until if question.until is None else min(until, question.until)
    marks = ", ".join("?" * len(question.actions))
    sql = _COUNT.format(
        actions=f" AND e.action IN ({marks})" if question.actions else "",
        of_user=f" AND {OWN}" if question.user_id is None else "",
    )
    customers, visitors = Counter[Cell](), Counter[Cell]()
    for page in _pages(read, question.user_id) if until > question.after else ():
        values = (
            question.step * MICROS_PER_SECOND, *page, question.after, until, question.oldest,
            *question.actions, question.after,
        )  # fmt: skip
        for item_id, number, kind, n in read(
            lambda tables, values=values: tables.execute(sql, values).fetchall()  # type: ignore[misc]
        ):
            (visitors if kind == VISITOR else customers)[item_id, number] += n
    return Takes(until, customers, visitors)


def _pages(read: Transact, user_id: str | None) -> Iterator[tuple[int, int]]:
    """Spans of customers' keys, the first excluded; of one customer where there is a name."""
    if user_id is not None:
        row = read(lambda tables: _row(tables, _OF_NAME, (user_id,)))
        if row is not None:
            yield row[0] - 1, row[0]
        return
    last = -1
    while True:
        (stop,) = read(lambda tables, last=last: _row(tables, _LAST, (last,)))  # type: ignore[misc]
        if stop is None:
            return
        yield last, stop
        last = stop


def _row(tables: Tables, sql: str, values: Row = ()) -> Row:
    row: Row = tables.execute(sql, values).fetchone()
    return row
