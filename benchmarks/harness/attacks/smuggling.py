"""Requests that two readers could understand in two ways."""

from __future__ import annotations

import re
from typing import Final

from benchmarks.harness.attackers import Target
from benchmarks.harness.attacks.attack import Attack, Outcome

HIDDEN: Final = b"GET /v1/hidden HTTP/1.1\r\nhost: a\r\n\r\n"
"""If it were read as a request, there would be an answer 404 that names its path."""
POST: Final = b"POST /v1/track HTTP/1.1\r\nhost: a\r\n"
ENDS: Final = b"0\r\n\r\n"


def _sized(*lines: bytes, body: bytes = HIDDEN) -> bytes:
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


LENGTH: Final = b"content-length: %d" % len(HIDDEN)
AMBIGUOUS: Final[dict[str, bytes]] = {
    "length and chunks": _sized(LENGTH, b"transfer-encoding: chunked", body=ENDS + HIDDEN),
    "chunks and length": _sized(b"transfer-encoding: chunked", LENGTH, body=ENDS + HIDDEN),
    "two lengths": _sized(b"content-length: 0", LENGTH),
    "two equal lengths": _sized(LENGTH, LENGTH),
    "lengths in one line": _sized(b"content-length: 0, %d" % len(HIDDEN)),
    "a signed length": _sized(b"content-length: +0"),
    "a negative length": _sized(b"content-length: -1"),
    "a length in hexadecimal": _sized(b"content-length: 0x0"),
    "a length with a blank": _sized(b"content-length : 0"),
    "a length of 20 digits": _sized(b"content-length: 18446744073709551616"),
    "a length that is none": _sized(b"content-length: abc"),
    "an odd coding": _sized(b"transfer-encoding: xchunked"),
    "a coding with a tab": _sized(b"transfer-encoding:\x0bchunked", body=ENDS + HIDDEN),
    "two codings": _sized(b"transfer-encoding: chunked, identity", body=ENDS + HIDDEN),
    "two lines of codings": _sized(
        b"transfer-encoding: chunked", b"transfer-encoding: x", body=ENDS + HIDDEN
    ),
    "a quoted coding": _sized(b'transfer-encoding: "chunked"', body=ENDS + HIDDEN),
    "a blank before the colon": _sized(b"transfer-encoding : chunked", body=ENDS + HIDDEN),
    "a folded header": _sized(b"x: a", b" transfer-encoding: chunked", b"content-length: 0"),
    "a bare line feed": POST.replace(b"\r\n", b"\n") + b"content-length: 0\n\n" + HIDDEN,
    "a bare carriage return": _sized(b"x: a\rcontent-length: 99"),
    "a header without a colon": _sized(b"content-length"),
    "a NUL in a header": _sized(b"x: a\0b", b"content-length: 0"),
    "a size with a sign": _sized(b"transfer-encoding: chunked", body=b"+0\r\n\r\n" + HIDDEN),
    "a size with a prefix": _sized(b"transfer-encoding: chunked", body=b"0x0\r\n\r\n" + HIDDEN),
    "a negative size": _sized(b"transfer-encoding: chunked", body=b"-1\r\n\r\n" + HIDDEN),
    "a size of 17 digits": _sized(
        b"transfer-encoding: chunked", body=b"10000000000000000\r\n" + HIDDEN
    ),
    "a chunk without its end": _sized(b"transfer-encoding: chunked", body=b"1\r\naX0\r\n" + HIDDEN),
    "a version that is none": b"GET /health/live HTTP/9.9\r\nhost: a\r\n\r\n" + HIDDEN,
    "a method that is none": b"G@T /health/live HTTP/1.1\r\nhost: a\r\n\r\n" + HIDDEN,
    "a line of HTTP/0.9": b"GET /health/live\r\n\r\n" + HIDDEN,
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + HIDDEN,
}
"""Refused, and the connection ends, so that what is behind is no request."""
CLEAR: Final[dict[str, tuple[bytes, int]]] = {
    "a body of a GET": (
        b"GET /health/live HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n" % LENGTH + HIDDEN, 1
    ),
    "an upgrade": (
        b"GET /health/live HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n"
        b"http2-settings: AA\r\ncontent-length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, 1
    ),
    "a body that is expected": (_sized(LENGTH, b"expect: 100-continue"), 1),
    "chunks with extensions": (
        _sized(b"transfer-encoding: chunked", body=b"%x;a=b\r\n%s\r\n" % (len(HIDDEN), HIDDEN)
               + ENDS), 1
    ),
    "a request in trailers": (
        _sized(b"transfer-encoding: chunked",
               body=b"0\r\nx: GET /v1/hidden HTTP/1.1\r\n\r\n"), 1
    ),
    "requests one behind the other": (b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n" * 3, 3),
}  # fmt: skip
"""Read in one way only: the number of answers."""


def ambiguous(target: Target, outcome: Outcome) -> None:
    """Requests whose end or whose headers are unclear."""
    for name, data in AMBIGUOUS.items():
        answered = target.raw(data, 0.3)
        statuses = re.findall(rb"HTTP/1.1 (\d+) ", answered)
        outcome.expect(b"hidden" not in answered, f"{name}: a hidden request was answered")
        outcome.expect(len(statuses) <= 1, f"{name}: {len(statuses)} answers")
        outcome.expect(not statuses or statuses[0][:1] == b"4", f"{name}: {statuses}")
    outcome.show(f"{len(AMBIGUOUS)} requests, none answered twice")


def clear(target: Target, outcome: Outcome) -> None:
    """Requests that carry another one in a part that is no request."""
    for name, (data, n) in CLEAR.items():
        answered = target.raw(data, 0.3)
        n_answers = len(re.findall(rb"HTTP/1.1 [2-5]", answered))
        outcome.expect(b"hidden" not in answered, f"{name}: a hidden request was answered")
        outcome.expect(n_answers == n, f"{name}: {n_answers} answers")
    outcome.show(f"{len(CLEAR)} requests, none hidden")


def pipelined_keys(target: Target, outcome: Outcome) -> None:
    """A request without a key behind one with a key, on one connection."""
    admin = target.keys["admin"]
    data = (
        f"GET /v1/bundles HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {admin}\r\n\r\n"
        "GET /v1/bundles HTTP/1.1\r\nhost: a\r\n\r\n"
        "POST /v1/bundles/rollback HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    )
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", target.raw(data.encode(), 1.0))
    outcome.expect(statuses == [b"200", b"401", b"401"], f"answered with {statuses}")
    many = target.raw(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n" * 500, 1.0)
    n = many.count(b"HTTP/1.1 200")
    outcome.expect(n <= 100, f"{n} requests ahead were answered")
    outcome.show("each request needs its own key")


ATTACKS: Final = (
    Attack("ambiguous requests", "failed", "refused", ambiguous),
    Attack("requests within requests", "failed", "harmless", clear),
    Attack("requests behind another's key", "failed", "refused", pipelined_keys),
)
