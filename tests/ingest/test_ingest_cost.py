"""What a hostile body costs: no more than its bytes, whatever is in them."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from propense.ingest.json_lines import EVENTS_AT_A_TIME, Import, read_lines
from propense.ingest.mapping import MOST_PRODUCTS, Mapper
from propense.ingest.rules import IngestRules
from propense.ingest.segment import (
    MOST_MEMBERS,
    IngestError,
    decode,
    find_write_keys,
    unpack,
)
from propense.ingest.strict_json import MOST_NODES, read_strictly
from propense.ingest.updates import make_updates
from propense.settings import EventMapping, Limits, Serve

LIMITS = Limits()
NOW = 1_900_000_000_000_000


def cost(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the processor, of the fastest of three, and megabytes at the peak."""
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        ignore_refusal(work)
        seconds.append(time.thread_time() - began)
    tracemalloc.start()
    ignore_refusal(work)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(seconds), peak / 1e6


def ignore_refusal(work: Callable[[], Any]) -> None:
    try:
        work()
    except (IngestError, ValueError):
        pass


def filled(unit: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """The unit as often as a body has room for it."""
    return before + unit * ((LIMITS.body_bytes - len(before) - len(after)) // len(unit)) + after


DOCUMENTS = {
    "deep and wide": b'{"a":"\\u003a","b":' + b"[" * 900 + b"[]," * 160_000 + b"0" + b"]" * 900
    + b"}",
    "wide": filled(b"[],", b'{"a":"\\u003a","b":[', b"0]}"),
    "objects": filled(b'{"a":1},', b'{"a":"\\u003a","b":[', b"0]}"),
    "combs": filled(b"[" * 17 + b"]" * 17 + b",", b'{"b":[', b"0]}"),
    "deep": filled(b'{"a":'),
    "texts": filled(b'"",', b'{"a":"\\u0000","b":[', b"0]}"),
    "twins": filled(b'"a":1,', b"{", b'"a":1}'),
    "twins in messages": filled(b'{"a":1,"a":2},', b'{"batch":[', b"0]}"),
    "halves": filled(b"\\ud800", b'{"a":"', b'"}'),
    "escapes": filled(b"\\\\", b'{"a":"\\u003a', b'"}'),
    "digits": filled(b"1", b'{"a":', b"}"),
    "big numbers": filled(b"1" * 3_999 + b",", b'{"a":"\\u003a","b":[', b"0]}"),
    "fractions": filled(b"1", b'{"a":0.', b"}"),
    "long keys": filled(b"k", b'{"\\u0000', b'":1}'),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_is_cheap(name: str) -> None:
    """The bounds are wide of those of the proof serving.cost: a busy machine is slower at all."""
    seconds, megabytes = cost(lambda: read_strictly(DOCUMENTS[name]))
    assert seconds < 0.2 and megabytes < 16, (seconds, megabytes)


def test_values_are_counted_before_they_are_built() -> None:
    for text in ("[" + "1," * MOST_NODES + "1]", '["\\\\","' + '",["\\"",","],"' * MOST_NODES):
        with pytest.raises(ValueError, match=f"more than {MOST_NODES:,} values"):
            read_strictly(text.encode())
    commas = {"a": ",[{" * MOST_NODES, 'b\\"': '"' * 9, "c": ["\\"] * 9}
    assert read_strictly(json.dumps(commas).encode()) == (commas, [])


def test_each_message_of_a_batch_has_its_first_fault_alone() -> None:
    body = b'{"a":[1e999,{"b":[1,NaN,NaN]}],"c":{"d":"\\u0000","e":NaN},"f":{"\\u0000":1}}'
    assert [fault.path for fault in read_strictly(body)[1]] == [
        ("a", 0), ("a", 1, "b", 1), ("c", "d"), ("f",)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [MOST_MEMBERS + 1, 24_000])
def test_empty_members_of_gzip_are_bounded(n: int) -> None:
    body = gzip.compress(b"") * n
    began = time.thread_time()
    with pytest.raises(IngestError, match=f"more than {MOST_MEMBERS} members"):
        unpack(body, "gzip", LIMITS.body_bytes)
    assert time.thread_time() - began < 0.1
    assert unpack(gzip.compress(b"x") * MOST_MEMBERS, "gzip", 99) == b"x" * MOST_MEMBERS


def updates_of(messages: list[dict[str, Any]], **more: Any) -> tuple[list[Any], list[Any]]:
    body = json.dumps({"batch": messages, **more}).encode()
    assert len(body) <= LIMITS.body_bytes
    rules = IngestRules(currency="EUR", exchange_rates={"USD": 0.9})
    events = {"paid": EventMapping(action="paid", products="properties.products")}
    mapper = Mapper(Serve(events=events), rules=rules)
    return make_updates(decode(body, "batch", LIMITS), mapper, NOW, None)


BATCHES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "ids": ([{"type": "page", "userId": "a@" + "." * 400_000 + "@"}], {}),
    "many ids": ([{"type": "page", "userId": "a@" + "." * 150 + "@"}] * 2_400, {}),
    "letters that are composed": (
        [{"type": "page", "userId": "a" + "\u0315\u0300" * 30_000}], {}),
    "consent of the batch": (
        [{"type": "page", "userId": "a"}] * 2_500,
        {"context": {"consent": {"categoryPreferences": {f"c{i}": True for i in range(20_000)}}}}),
    "context of the batch": (
        [{"type": "page", "userId": "a"}] * 2_500, {"context": {"page": "x" * 400_000}}),
    "currency of the order": (
        [{"type": "track", "userId": "a", "event": "paid", "properties": {
            "currency": "x" * 400_000, "products": [{"price": 1}] * 1_000}}], {}),
    "kinds": ([{"type": "trackidentifypagescreengroupalias", "userId": "a"}] * 2_500, {}),
    "times": ([{"type": "page", "userId": "a", "timestamp": " " * 400_000}], {}),
    "products": (
        [{"type": "track", "userId": "a", "event": "paid",
          "properties": {"products": [{}] * MOST_PRODUCTS}}] * 10, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_a_hostile_batch_costs_no_more_than_its_bytes(name: str) -> None:
    messages, more = BATCHES[name]
    seconds, _ = cost(lambda: updates_of(messages, **more))
    assert seconds < 0.5


def test_a_basket_is_bounded_before_it_is_built() -> None:
    basket = {"type": "track", "userId": "a", "event": "paid", "properties": {}}
    basket["properties"] = {"products": [{}] * (MOST_PRODUCTS + 1)}
    updates, refusals = updates_of([basket])
    assert not updates and "1,001 products" in refusals[0].reason
    assert refusals[0].pointer == "/batch/0/properties/products"


def test_lines_are_read_in_pieces_of_bounded_events() -> None:
    """However many events their baskets are."""
    line = json.dumps({"type": "track", "userId": "a", "event": "paid", "messageId": "1",
                       "properties": {"products": [{}] * MOST_PRODUCTS}})  # fmt: skip
    events = {"paid": EventMapping(action="paid", products="properties.products")}
    options = Import(Mapper(Serve(events=events)), LIMITS, NOW)
    sizes = [
        sum(len(update.events) for update in lines.updates)
        for lines in read_lines("\n".join([line] * 100).encode(), options)
    ]
    assert sum(sizes) == 100 * MOST_PRODUCTS and max(sizes) < EVENTS_AT_A_TIME + MOST_PRODUCTS


def test_the_key_inside_a_body_is_looked_for_at_its_ends() -> None:
    start = b'{"writeKey" : "pp_first_1", "batch": [' + b" " * 400_000 + b"]}"
    end = b'{"userId": "' + b"a" * 400_000 + b'", "writeKey":"pp_last-2"}'
    assert find_write_keys(start, None) == ["pp_first_1"]
    assert find_write_keys(end, None) == ["pp_last-2"]
    assert find_write_keys(gzip.compress(start), "gzip") == ["pp_first_1"]
    assert find_write_keys(start[:-1] + b', "writeKey": "pp_b"}', None) == ["pp_first_1", "pp_b"]
    middle = b" " * 9_000 + b'"writeKey":"pp_a"' + b" " * 9_000
    assert find_write_keys(middle, None) == find_write_keys(b"", None) == []


def test_a_bomb_without_a_key_is_unpacked_as_far_as_its_key_may_be() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    seconds, megabytes = cost(lambda: find_write_keys(bomb, "gzip"))
    assert seconds < 0.02 and megabytes < 1
    seconds, megabytes = cost(lambda: find_write_keys(filled(b'"writeKey":'), None))
    assert seconds < 0.02 and megabytes < 1
