"""What unmodified libraries send, as benchmarks/clients/capture.py wrote it down, is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from propense.history.records import CustomerUpdate
from propense.ingest.mapping import Mapper
from propense.ingest.segment import KINDS, decode
from propense.ingest.updates import make_updates
from propense.security.keys import basic_user
from propense.settings import EventMapping, Limits, Serve

SENT: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "sent.json").read_text()
)
PREFIXES = {
    "python": "python", "python gzip": "zipped", "node": "node", "browser": "page",
    "browser batches": "batches",
}  # fmt: skip
NOW = 1_900_000_000_000_000
MAPPER = Mapper(
    Serve(
        events={
            "Course Viewed": EventMapping(action="view", item=("properties.course_id",)),
            "Course Paid": EventMapping(action="pay", item=("properties.course_id",)),
        }
    )
)
VIEWED_IN_2024 = 1_709_280_000_000_000


def updates_of(library: str) -> list[CustomerUpdate]:
    made = []
    for request in SENT[library]:
        start, _, word = request["path"].rpartition("/")
        assert start == "/v1"
        call = decode(request["body"].encode(), KINDS[word], Limits())
        assert call.write_key == "the-write-key"
        assert basic_user(request["headers"]["authorization"]) == "the-write-key"
        assert call.sent_at is not None
        updates, refusals = make_updates(call, MAPPER, NOW, library)
        assert refusals == []
        made += updates
    return made


@pytest.mark.parametrize("library", sorted(SENT))
def test_everything_a_library_sends_is_understood(library: str) -> None:
    updates = updates_of(library)
    prefix = PREFIXES[library]
    events = [(event.action, event.item_id, event.value) for d in updates for event in d.events]
    assert sorted(events, key=str) == sorted(
        [("view", "c1", None), ("pay", "c1", 129_900_000), ("view", "c2", None),
         ("page", None, None), ("screen", None, None)],
        key=str,
    )  # fmt: skip
    assert len({update.message_id for update in updates}) == len(updates) == 8
    assert {update.user_id for update in updates} <= {f"{prefix}-user", f"{prefix}-anonymous"}
    traits: dict[str, Any] = {}
    for update in updates:
        traits |= update.traits
    assert traits == {"age": 31, "city": "Delft", "group_id": "school-7", "group_name": "TU"}
    previous = {update.previous_id for update in updates} - {None}
    assert previous == {f"{prefix}-anonymous", f"{prefix}-old"}


@pytest.mark.parametrize("library", ["python", "python gzip", "node"])
def test_history_keeps_its_moment(library: str) -> None:
    """Clocks were right and messages under way for seconds: 2024 stays 2024."""
    (sent,) = SENT[library]
    call = decode(sent["body"].encode(), "batch", Limits())
    assert call.sent_at is not None
    updates, _ = make_updates(call, MAPPER, call.sent_at + 50_000, None)
    times = sorted(event.event_time for update in updates for event in update.events)
    assert times[0] == VIEWED_IN_2024 + 50_000
    assert 0 <= call.sent_at + 50_000 - times[1] < 60_000_000


def test_before_identify_a_browser_is_anonymous() -> None:
    assert {update.user_id for update in updates_of("browser")} == {"page-anonymous", "page-user"}
