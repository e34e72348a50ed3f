"""The test part's customers as messages: what the service would have been sent of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding.dataset import Dataset
from propense.history.records import VERIFY_PREFIX

LINES: Final = 5_000
"""Messages in one import."""


def name_of(token: str, user_id: str, end: int | None = None) -> str:
    """The id under which a customer is sent. Where the data has no times there is one for each
    moment asked about, with the events before it alone."""
    return f"{VERIFY_PREFIX}{token}:{user_id}" + ("" if end is None else f"#{end}")


def import_lines(
    dataset: Dataset, token: str, users: Sequence[str], cuts: dict[str, list[int]] | None
) -> Iterator[tuple[int, bytes]]:
    """(number of lines, lines) of the events and traits of `users`.

    `cuts` (data without times) has how many events each further copy of a customer gets.
    """
    wanted = pa.array(sorted(set(users)), pa.string())
    lines: list[bytes] = []
    for record in _records(dataset, wanted, token, cuts):
        lines.append(msgspec.json.encode(record))
        if len(lines) >= LINES:
            yield len(lines), b"\n".join(lines)
            lines = []
    if lines:
        yield len(lines), b"\n".join(lines)


def _records(
    dataset: Dataset, wanted: Any, token: str, cuts: dict[str, list[int]] | None
) -> Iterator[dict[str, Any]]:
    parts = dataset.run.parts
    yield from _traits(dataset, parts / "users.parquet", wanted, token, cuts)
    for shard in sorted((parts / "shards").glob("shard-*.parquet")):
        table = pq.read_table(shard, columns=[columns.USER_ID, "events"])
        table = table.filter(pc.is_in(table[columns.USER_ID], value_set=wanted))
        for row in table.to_batches(max_chunksize=256):
            for user_id, events in zip(
                row[columns.USER_ID].to_pylist(), row["events"].to_pylist(), strict=True
            ):
                for name, n_events in _copies(token, user_id, len(events), cuts):
                    for number, event in enumerate(events[:n_events]):
                        yield _event(name, number, event)


def _copies(
    token: str, user_id: str, n_events: int, cuts: dict[str, list[int]] | None
) -> Iterator[tuple[str, int]]:
    yield name_of(token, user_id), n_events
    for cut in sorted(set((cuts or {}).get(user_id, []))):
        yield name_of(token, user_id, cut), cut


def _event(name: str, number: int, event: dict[str, Any]) -> dict[str, Any]:
    value = event[columns.VALUE]
    record = {
        "user_id": name,
        "event_id": f"{name}:{number}",
        "action": event[columns.ACTION],
        "event_time": _text(event[columns.EVENT_TIME]),
        "item_id": event[columns.ITEM_ID],
        "value": None if value is None else value / columns.MICRO_UNITS,
        "count": event[columns.COUNT],
        "source": event[columns.SOURCE],
    }
    return {key: value for key, value in record.items() if value is not None}


def _traits(
    dataset: Dataset, file: Path, wanted: Any, token: str, cuts: dict[str, list[int]] | None
) -> Iterator[dict[str, Any]]:
    profile = dataset.encoder.profile
    names = [column.name for column in profile.columns]
    names += [name for name in (profile.valid_from, *profile.sensitive) if name is not None]
    names = list(dict.fromkeys(names))
    table = pq.read_table(file, columns=[columns.USER_ID, *names])
    table = table.filter(pc.is_in(table[columns.USER_ID], value_set=wanted))
    for row in table.to_pylist():
        traits = {
            key: _text(value) if isinstance(value, datetime) else value
            for key, value in row.items()
            if key != columns.USER_ID and value is not None and value == value
        }
        for name, _ in _copies(token, row[columns.USER_ID], 0, cuts):
            yield {
                "type": "identify", "userId": name, "traits": traits, "messageId": f"{name}:traits",
            }  # fmt: skip


def _text(time: datetime | None) -> str | None:
    """ISO 8601 in UTC; tables' times have no zone and are UTC."""
    if time is None:
        return None
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return utc.isoformat()
