"""Imports of lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.history.records import CustomerUpdate, LiveEvent
from propense.ingest.json_lines import LINES_AT_A_TIME, LONGEST_LINE, Import, read_lines
from propense.ingest.mapping import Mapper
from propense.ingest.rules import IngestRules
from propense.ingest.segment import Refusal, TooLargeError
from propense.settings import Clean, Limits, Serve

NOW = 1_709_280_000_000_000
PLAIN = {"user_id": "ann", "action": "Pay", "event_time": "2024-02-01T00:00:00+08:00"}


def importing(**fields: Any) -> Import:
    return Import(Mapper(Serve(source="old"), ("pay",)), Limits(), NOW, **fields)


def read(body: bytes, **fields: Any) -> tuple[list[CustomerUpdate], list[Refusal]]:
    updates: list[CustomerUpdate] = []
    refusals: list[Refusal] = []
    for some, bad, _ in read_lines(body, importing(**fields)):
        updates += some
        refusals += bad
    return updates, refusals


def lines(*rows: Any) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


def test_plain_events_and_messages() -> None:
    plain = {
        **PLAIN, "item_id": 3, "value": "9.90", "count": 2, "source": "shop", "event_id": "e1",
    }  # fmt: skip
    message = {"type": "track", "event": "Seen", "userId": "bob", "messageId": "m",
               "timestamp": "2019-01-01T00:00:00Z"}  # fmt: skip
    updates, refusals = read(lines(plain, b"", message, PLAIN), source="app")
    assert refusals == []
    time = 1_706_716_800_000_000
    assert updates[0] == CustomerUpdate(
        message_id="e1", user_id="ann", received=NOW,
        events=(LiveEvent(time, "pay", "3", 9_900_000, 2.0, "shop"),), kind="event",
        content=updates[0].content,
    )  # fmt: skip
    assert updates[1].events == (LiveEvent(1_546_300_800_000_000, "Seen", None, None, None, "app"),)
    assert updates[2].events == (LiveEvent(time, "pay", None, None, None, "app"),)
    assert read(lines(PLAIN))[0][0].events[0].source == "old"


def test_the_same_line_is_the_same_message() -> None:
    updates, _ = read(lines(PLAIN, PLAIN, {**PLAIN, "user_id": "bob"}), write_key="k")
    assert updates[0].message_id == updates[1].message_id != updates[2].message_id
    assert read(lines(PLAIN))[0][0].message_id != updates[0].message_id


def test_a_clock_is_not_set_right_in_an_import() -> None:
    message = {"type": "track", "event": "Seen", "userId": "bob",
               "timestamp": "2024-01-01T00:00:00Z", "sentAt": "2024-01-01T00:00:10Z"}  # fmt: skip
    (update,), _ = read(lines(message))
    assert update.events[0].event_time == 1_704_067_200_000_000


def test_bad_lines_are_refused_by_number_and_the_rest_kept() -> None:
    bad = [
        b"{", b"\xff", [], {"type": "x", "userId": "a"}, {**PLAIN, "usr": 1},
        {**PLAIN, "user_id": None}, {**PLAIN, "action": ""}, {**PLAIN, "event_time": None},
        {**PLAIN, "event_time": 17}, {**PLAIN, "event_time": "1900-01-01"},
        {**PLAIN, "value": "x"}, {**PLAIN, "count": 0}, {**PLAIN, "user_id": "verify:1"},
        b'{"user_id":"a","user_id":"b"}', {"type": "track", "userId": "a"},
        b'"' + b"x" * LONGEST_LINE + b'"', {"user_id": {}},
        b'{"a":' * 20 + b"1" + b"}" * 20,
    ]  # fmt: skip
    updates, refusals = read(lines(*[row for one in bad for row in (PLAIN, one)]))
    assert len(updates) == len(refusals) == len(bad)
    assert [refusal.pointer.split("/")[1] for refusal in refusals] == [
        str(2 * index + 2) for index in range(len(bad))
    ]
    assert refusals[4].reason == "unknown field 'usr'; did you mean 'user_id'?"
    assert refusals[5].pointer == "/12/user_id"


def test_the_future_is_clamped_and_counted() -> None:
    options = importing()
    ((updates, _, _),) = read_lines(lines({**PLAIN, "event_time": "2031-01-01"}), options)
    assert updates[0].events[0].event_time == NOW
    assert options.mapper.n_clamped == 1


def test_lines_come_some_at_a_time() -> None:
    rows = [{**PLAIN, "event_id": str(i)} for i in range(2 * LINES_AT_A_TIME + 1)]
    sizes = [len(updates) for updates, _, _ in read_lines(lines(*rows), importing())]
    assert sizes == [LINES_AT_A_TIME, LINES_AT_A_TIME, 1]


def test_an_import_is_bounded() -> None:
    options = importing()._replace(limits=Limits(import_bytes=10))
    with pytest.raises(TooLargeError, match="more than 10 bytes"):
        read_lines(b"x" * 11, options)


@given(st.lists(st.binary(max_size=30) | st.dictionaries(
    st.sampled_from(["user_id", "action", "event_time", "type", "value", "userId"]),
    st.none() | st.text(max_size=4) | st.integers() | st.sampled_from(["track", "2024-01-01"]),
), max_size=5))  # fmt: skip
@settings(max_examples=200)
def test_any_lines_are_accounted_for(rows: list[Any]) -> None:
    body = lines(*rows)
    updates, refusals = read(body)
    assert len(updates) + len(refusals) == sum(bool(line.strip()) for line in body.split(b"\n"))


def test_plain_events_obey_the_rules_of_ids_and_refunds() -> None:
    rules = IngestRules(is_refund=Clean().is_refund)
    options = Import(Mapper(Serve(), rules=rules), Limits(), NOW, ignored=[])
    rows = (
        {**PLAIN, "user_id": " u1 ", "item_id": "undefined", "action": "Refund", "value": 30},
        {**PLAIN, "user_id": "undefined", "item_id": "a"},
        {**PLAIN, "user_id": "u1", "item_id": "\u00a0a", "value": -3},
    )
    ((updates, refusals, _),) = read_lines(lines(*rows), options)
    assert [update.user_id for update in updates] == ["u1", "u1"]
    assert [event.value for update in updates for event in update.events] == [
        -30_000_000, -3_000_000
    ]  # fmt: skip
    assert [event.item_id for update in updates for event in update.events] == [None, "a"]
    assert [refusal.pointer for refusal in refusals] == ["/2/user_id"]
    assert options.ignored == ["placeholder_id"]
