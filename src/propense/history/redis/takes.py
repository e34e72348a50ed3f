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
    until = int(until or 0)
    customers, visitors = Counter[Cell](), Counter[Cell]()
    # Customers by their last change: whoever changes meanwhile moves to the end.
    last, seen = str(question.after), set[bytes]()
    while page := client.zrange(
        f"{prefix}ids", f"({last}", "+inf", byscore=True, offset=0, num=_PAGE, withscores=True
    ):
        last = f"{page[-1][1]:.0f}"
        fresh = [name for name, _ in page if name not in seen]
        seen.update(fresh)
        pipeline = client.pipeline(transaction=False)
        for name in fresh:
            pipeline.hget(prefix.encode() + b"v:" + name, "k")
        kinds = dict(zip(fresh, pipeline.execute(), strict=True))
        for record in records([name.decode() for name in fresh]) if fresh else ():
            customer = read_customer(record)
            if may_train(customer.user_id, customer.consent, required == b"1"):
                events = [
                    TakeEvent(seq, event.event_time, event.action, event.item_id)
                    for _, seq, event in map(read_event, record[7])
                ]
                is_visitor = kinds.get(record[0]) == b"%d" % VISITOR
                cells = first_takes(events, question, until)
                (visitors if is_visitor else customers).update(cells)
    return Takes(until, customers, visitors)
