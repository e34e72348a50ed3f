"""Hostile bytes of every kind that the service parses, of any size."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, cast

import uvicorn
from uvicorn.server import ServerState

from propense.ids import tidy_id
from propense.inference.artifact.hints import hint
from propense.ingest.json_lines import Import, read_lines
from propense.ingest.mapping import Mapper
from propense.ingest.rules import IngestRules
from propense.ingest.segment import decode, find_write_keys, unpack
from propense.ingest.strict_json import read_strictly
from propense.ingest.updates import make_updates
from propense.serving.messages.recommend import RecommendQuery
from propense.settings import EventMapping, Limits, Serve
from propense.web.connections import Connection
from propense.web.request import Request, parse_query

LARGEST: Final = 512_000
"""Bytes of the largest body that is read."""
FUZZ_MS: Final = 250.0
"""Of the processor, for one input of the fuzzer with its instruments; they have 8 kB at most."""
FUZZ_COUNTS: Final = "counts.json"
"""File in which the fuzzer counts."""
LIMITS: Final = Limits()
NOW: Final = 1_900_000_000_000_000


class Family(NamedTuple):
    """Hostile input of one kind."""

    parser: str
    make: Callable[[int], Any]
    """Input of about so many bytes."""
    parse: Callable[[Any], Any]
    keyless: bool = False
    """Whether it is parsed before a key is known."""


def fill(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    """Bodies of any size that repeat a unit."""
    return lambda size: (
        before + unit * max(1, (size - len(before) - len(after)) // len(unit)) + after
    )


def deep(size: int) -> bytes:
    """Lists within lists, as deep as they are wide: paths of nodes would cost the square."""
    depth = min(900, size // 16)
    wide = b"[]," * ((size - 2 * depth) // 3)
    return b'{"a":"\\u003a","b":' + b"[" * depth + wide + b"0" + b"]" * depth + b"}"


def updates(body: bytes) -> Any:
    """What a batch becomes."""
    rules = IngestRules(currency="EUR", exchange_rates={"USD": 0.9})
    events = {"paid": EventMapping(action="paid", products="properties.products")}
    call = decode(body, "batch", LIMITS)
    return make_updates(call, Mapper(Serve(events=events), rules=rules), NOW, None)


def lines(body: bytes) -> Any:
    """What an import becomes, piece by piece."""
    options = Import(Mapper(Serve()), LIMITS, NOW, ignored=[])
    return sum(len(some.updates) for some in read_lines(body, options))


def batch_of(message: dict[str, Any], **more: Any) -> Callable[[int], bytes]:
    """Batches of one message again and again."""
    unit = json.dumps(message).encode()
    after = b"".join(f',"{name}":{json.dumps(value)}'.encode() for name, value in more.items())
    return lambda size: (
        b'{"batch":['
        + b",".join([unit] * min(2_500, size // (len(unit) + 1)))
        + b"]"
        + after
        + b"}"
    )


def stretched(message: dict[str, Any], *path: str) -> Callable[[int], bytes]:
    """A batch of one message in which one text grows."""

    def make(size: int) -> bytes:
        grown = json.loads(json.dumps(message))
        inner = grown
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] *= max(1, size // max(1, len(inner[path[-1]])))
        return json.dumps({"batch": [grown]}).encode()

    return make


def shared_context(size: int) -> bytes:
    """Half of it messages, half of it the context that they share."""
    flags = {f"c{number}": True for number in range(size // 32)}
    context = {"consent": {"categoryPreferences": flags}, "page": "x" * (size // 8)}
    return batch_of({"type": "page", "userId": "a"}, context=context)(size // 2)


def query(text: bytes) -> Any:
    """A question of a query string."""
    request: Request[Any] = Request(cast("Any", None), b"", {}, parse_query(text), {}, "-", 0)
    return request.read_query(RecommendQuery)


class Discard:
    """A transport that goes nowhere."""

    closing = False

    def get_extra_info(self, name: str) -> Any:
        return ("203.0.113.7", 1) if name == "peername" else None

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def __getattr__(self, name: str) -> Any:
        return lambda *words: None


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def heads(data: bytes) -> None:
    """A connection that gets the bytes as the event loop would hand them over."""

    async def run() -> None:
        config = uvicorn.Config(cast("Any", answer), ws="none", log_config=None, lifespan="off")
        config.load()
        one = Connection(config=config, server_state=ServerState(), app_state={}, most=16)
        transport = Discard()
        one.connection_made(cast("Any", transport))
        for start in range(0, len(data), 65_536):
            if transport.closing:
                break
            one.data_received(data[start : start + 65_536])
        one.connection_lost(None)

    asyncio.run(run())


packed_keys = partial(find_write_keys, encoding="gzip")
plain_keys = partial(find_write_keys, encoding=None)
gunzip = partial(unpack, encoding="gzip", limit=LARGEST)
PAID = {"type": "track", "userId": "a", "event": "paid", "properties": {"products": [{"price": 1}]}}
PLAIN = b'{"user_id":"a","action":"b","event_time":"2025-01-01T00:00:00Z"}\n'
HEAD = b"GET / HTTP/1.1\r\nhost: a\r\n"
FAMILIES: dict[str, Family] = {
    "headers: one long": Family("headers", fill(b"y", HEAD + b"x: "), heads, True),
    "headers: many": Family("headers", fill(b"a:b\r\n", HEAD), heads, True),
    "headers: a long line": Family("headers", fill(b"a", b"GET /"), heads, True),
    "headers: requests ahead": Family("headers", fill(HEAD + b"\r\n"), heads, True),
    "headers: trailers": Family(
        "headers",
        fill(b"a:b\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"),
        heads,
        True,
    ),
    "key: gzip members": Family("key", fill(gzip.compress(b"")), packed_keys, True),
    "key: a bomb": Family("key", lambda n: gzip.compress(bytes(n * 200)), packed_keys, True),
    "key: words like it": Family("key", fill(b'"writeKey":"'), plain_keys, True),
    "key: blanks": Family("key", fill(b'"writeKey" '), plain_keys, True),
    "gzip: members": Family("gzip", fill(gzip.compress(b"")), gunzip),
    "gzip: a bomb": Family("gzip", lambda n: gzip.compress(bytes(n)), gunzip),
    "gzip: empty blocks": Family(
        "gzip", lambda n: gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * (n // 5), gunzip
    ),
    "json: deep and wide": Family("json", deep, read_strictly),
    "json: depth": Family("json", fill(b'{"a":'), read_strictly),
    "json: lists": Family("json", fill(b"[],", b'{"a":"\\u003a","b":[', b"0]}"), read_strictly),
    "json: objects": Family(
        "json", fill(b'{"a":1},', b'{"a":"\\u003a","b":[', b"0]}"), read_strictly
    ),
    "json: ten bytes a value": Family(
        "json", fill(b'"abcdefgh",', b'{"a":"\\u003a","b":[', b"0]}"), read_strictly
    ),
    "json: texts": Family("json", fill(b'"",', b'{"a":"\\u0000","b":[', b"0]}"), read_strictly),
    "json: twins": Family("json", fill(b'{"a":1,"a":2},', b'{"batch":[', b"0]}"), read_strictly),
    "json: escapes": Family("json", fill(b"\\\\", b'{"a":"\\u003a', b'"}'), read_strictly),
    "json: half pairs": Family("json", fill(b"\\ud800", b'{"a":"', b'"}'), read_strictly),
    "json: digits": Family("json", fill(b"1", b'{"a":', b"}"), read_strictly),
    "json: fractions": Family("json", fill(b"1", b'{"a":0.', b"}"), read_strictly),
    "json: long numbers": Family(
        "json", fill(b"1" * 3_999 + b",", b'{"a":"\\u003a","b":[', b"0]}"), read_strictly
    ),
    "batch: messages": Family("batch", batch_of({"type": "page", "userId": "a"}), updates),
    "batch: aliases": Family(
        "batch", batch_of({"type": "alias", "userId": "a", "previousId": "b"}), updates
    ),
    "batch: kinds": Family("batch", batch_of({"type": "trackidentify", "userId": "a"}), updates),
    "batch: a shared context": Family("batch", shared_context, updates),
    "batch: a long id": Family(
        "batch", stretched({"type": "page", "userId": "a@" + "." * 99}, "userId"), updates
    ),
    "batch: composed letters": Family(
        "batch", stretched({"type": "page", "userId": "\u0315\u0300"}, "userId"), updates
    ),
    "batch: ids": Family(
        "batch", batch_of({"type": "page", "userId": "a@" + "." * 150 + "@"}), updates
    ),
    "batch: a time": Family(
        "batch", stretched({"type": "page", "userId": "a", "timestamp": " "}, "timestamp"), updates
    ),
    "baskets: products": Family("baskets", stretched(PAID, "properties", "products"), updates),
    "baskets: many": Family(
        "baskets", batch_of({**PAID, "properties": {"products": [{}] * 99}}), updates
    ),
    "baskets: a currency": Family(
        "baskets",
        lambda n: json.dumps(
            {
                "batch": [
                    {
                        **PAID,
                        "properties": {
                            "currency": "x" * (n // 2),
                            "products": [{"price": 1}] * min(1_000, n // 32),
                        },
                    }
                ]
            }
        ).encode(),
        updates,
    ),
    "lines: plain": Family("lines", fill(PLAIN), lines),
    "lines: blank": Family("lines", fill(b"\n"), lines),
    "lines: of no kind": Family("lines", fill(b'{"type":"trackidentify"}\n'), lines),
    "lines: unknown fields": Family("lines", fill(b'{"user_idx":"a"}\n'), lines),
    "query: fields": Family("query", fill(b"a=1&"), query, True),
    "query: escapes": Family("query", fill(b"%41", b"user_id=a&exclude="), query, True),
    "query: items": Family("query", fill(b"x,", b"user_id=a&exclude="), query, True),
    "ids: dots": Family("ids", lambda n: "a@" + "." * n + "@", tidy_id, True),
    "ids: brackets": Family("ids", lambda n: "<a@" + ".b" * (n // 2) + "@", tidy_id, True),
    "filters: words": Family(
        "filters", lambda n: sorted(f"word {i}" for i in range(n // 2)), partial(hint, "wrod 77")
    ),
    "filters: long words": Family(
        "filters", lambda n: ["a" * (n // 100)] * 100, partial(hint, "a" * 256)
    ),
}
