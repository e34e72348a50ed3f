"""The service's side of a messy log: the same rows as updates of a live store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from propense.encoding.dataset import Dataset
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import StoreOptions
from propense.runtime.customer_state import history_of_customer
from support.shops.messy import START, MessyLog, Outcome

_LOOKS: Final = 6
"""Times at which live customers are looked at."""


def live_differences(
    logs: Sequence[MessyLog], full: Outcome, folder: Path, joins: bool = True
) -> list[str]:
    """Whose features differ between a run on the whole logs and the service, which has seen no
    more than the rows before a time, and joins ids when it hears of them (`joins`). The logs are
    plain ones."""
    dataset = Dataset.open(full.run)
    names = {str(name): number for number, name in enumerate(dataset.histories.user_ids)}
    mine = {row["user"] for log in logs for row in log.rows}
    asked = sorted({as_of for user, as_of in full.labels if user in mine})
    rows = sorted((row for log in logs for row in log.rows), key=lambda row: int(row["time"]))
    options = StoreOptions("process", _hash, 10**9)
    faults, sent = [], 0
    with closing(open_store("sqlite", folder, options)) as store:
        for as_of in asked[:: max(1, len(asked) // _LOOKS)]:
            first = sent
            while sent < len(rows) and rows[sent]["time"] < (as_of - START) * 1000:
                sent += 1
            store.append(
                [update_of(row, n, joins) for n, row in enumerate(rows[first:sent], first)]
            )
            for user in sorted(user for user, at in full.labels if at == as_of and user in mine):
                customer = store.read(user)
                assert customer is not None
                live = history_of_customer(customer, dataset.encoder)
                at = np.array([as_of])
                blank = dataset.encoder.profiles_of([{}])
                then = dataset.encoder.features(live, blank, np.zeros(1, np.int32), at)
                now = dataset.encoder.features(
                    dataset.histories, dataset.profiles, np.array([names[user]], np.int32), at
                )
                same = np.array_equal(then.numeric, now.numeric, equal_nan=True)
                if not same or not np.array_equal(then.categorical, now.categorical):
                    day = datetime.fromtimestamp(as_of, UTC)
                    faults.append(f"{user} {day:%Y-%m-%d}: the live customer has other features")
    return faults


def update_of(row: dict[str, Any], number: int, joins: bool) -> CustomerUpdate:
    """One row as the service hears of it: a login joins the id of a device to the customer's."""
    time = (START * 1000 + row["time"]) * 1000
    back = row["count"] < 0
    value = None if row["price"] is None else round(row["price"] * row["count"] * 10**6)
    event = LiveEvent(
        time, "refund" if back else row["action"], row["item"], value, abs(float(row["count"])),
        "log",
    )  # fmt: skip
    both = bool(joins and row["user"] and row["device"])
    return CustomerUpdate(
        message_id=str(number), user_id=row["user"] or row["device"], received=time,
        events=(event,), previous_id=row["device"] if both else None,
    )  # fmt: skip


def _hash(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode(), digest_size=16).digest()
