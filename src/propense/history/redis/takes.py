"""Counts what was taken of late in a Redis store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from propense.history.redis.entries import read_customer, read_event
from propense.history.sql.identity import VISITOR
from propense.history.takes import Cell, TakeEvent, Takes, TakesQuestion, first_takes
from propense.history.training_views import may_train

_PAGE: Final = 200


def count_takes(
    client: Any,
    records: Callable[[Sequence[str]], list[list[Any]]],
    prefix: str,
    question: TakesQuestion,
) -> Takes:
    """See LiveStore.count_takes; `records` reads customers, see `entries.read_customer`."""
    until, required = client.hmget(f"{prefix}state", "seq", "consent_required")
    until = int(until or 0) if question.until is None else min(int(until or 0), question.until)
    customers, visitors = Counter[Cell](), Counter[Cell]()

    def add(records: list[list[Any]]) -> None:
        for record in records:
            customer = read_customer(record)
            every = question.user_id is not None
            if every or may_train(customer.user_id, customer.consent, required == b"1"):
                events = [
                    TakeEvent(seq, event.event_time, event.action, event.item_id)
                    for _, seq, event in map(read_event, record[7])
                ]
                kind = client.hget(prefix.encode() + b"v:" + record[0], "k")
                cells = first_takes(events, question, until)
                (visitors if kind == b"%d" % VISITOR else customers).update(cells)

    if question.user_id is not None:
        add(records([question.user_id]))
        return Takes(until, customers, visitors)
    # Customers by their last change: whoever changes meanwhile moves to the end.
    last, seen = str(question.after), set[bytes]()
    while page := client.zrange(
        f"{prefix}ids", f"({last}", "+inf", byscore=True, offset=0, num=_PAGE, withscores=True
    ):
        last = f"{page[-1][1]:.0f}"
        fresh = [name for name, _ in page if name not in seen]
        seen.update(fresh)
        add(records([name.decode() for name in fresh]) if fresh else [])
    return Takes(until, customers, visitors)
