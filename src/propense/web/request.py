"""One HTTP request as a handler reads it, and an answer that is not a JSON message."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from propense.errors import nearest, plain_reason
from propense.schemas import Id
from propense.security.key_ring import KeyRing
from propense.security.keys import KeyRecord, Scope, basic_user
from propense.web.problems import Problem
from propense.web.rate_limits import Limiter

JSON: Final = b"application/json"
MOST_QUERY: Final = 65_536
MOST_QUERY_FIELDS: Final = 64
MOST_PATIENCE: Final = 1.0
"""Seconds after which a request that waits for its key's limit asks again."""
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`")


class Gate(Protocol):
    """What lets a request in: the keys and their limits."""

    keys: KeyRing
    limiter: Limiter


T = TypeVar("T")
H = TypeVar("H", bound=Gate, covariant=True)


@dataclass(frozen=True)
class Response:
    """An answer in bytes; handlers return one where the answer is not a JSON message."""

    body: bytes
    content_type: bytes = JSON
    """Empty: no header."""
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class Request(Generic[H]):
    """One request that has passed its route's checks. `host` is the service that answers it."""

    host: H
    body: bytes
    headers: Mapping[bytes, bytes]
    query: list[tuple[str, str]]
    path: dict[str, str]
    """Parameter of the route's path -> its text."""
    address: str
    now: int
    """Microseconds UTC."""
    key: KeyRecord | None = None
    for_pages: bool = False
    """Whether it is of a route that page keys open. There the key may also be the user of Basic
    authorization, as existing SDKs send it."""

    @property
    def actor(self) -> str:
        """Who asks, as the audit log names them: the prefix of the key."""
        return "" if self.key is None else self.key.prefix

    def read_body(self, kind: type[T]) -> T:
        """The JSON body as a message. Raises Problem with a pointer to what does not fit.

        With a Bearer key the content type does not matter: no browser sends that header to another
        site unasked. Without one it must be JSON, which no form of another site can send.
        """
        content = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content != JSON and not self.is_bearer:
            shown = content.decode("latin-1")[:100]
            raise Problem(
                415,
                f"content-type is {shown!r}; send {JSON.decode()!r}, or the key as "
                f"'Authorization: Bearer KEY'",
            )
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise _invalid(error, kind) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"the body is not JSON: {error}") from error

    def read_query(self, kind: type[T]) -> T:
        """The query string as a message. Raises Problem with a pointer to the field."""
        fields = dict(self.query)
        if len(fields) < len(self.query):
            names = [name for name, _ in self.query]
            twice = next(name for name in names if names.count(name) > 1)
            raise Problem(422, f"query parameter {twice[:40]!a} is given twice; send it once")
        try:
            return msgspec.convert(fields, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid(error, kind) from error

    def path_id(self, name: str) -> str:
        """The id in the path. Raises Problem where it is not a valid id."""
        try:
            return msgspec.convert(self.path[name], Id)
        except msgspec.ValidationError as error:
            raise _invalid(error, pointer=f"/{name}") from error

    @property
    def is_bearer(self) -> bool:
        """Whether the key is in an Authorization header of the scheme Bearer."""
        header = self.headers.get(b"authorization", b"")
        return header.partition(b" ")[0].lower() == b"bearer"

    def presented_key(self) -> str | None:
        """The key in the Authorization header.

        Raises Problem where Basic cannot be decoded, and where it is not taken: browsers remember
        such a key and add it to what other sites make them send.
        """
        header = self.headers.get(b"authorization")
        if header is None:
            return None
        text = header.decode("latin-1")
        scheme, _, value = text.partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
        if not self.for_pages:
            raise Problem(401, "send the key as 'Authorization: Bearer KEY'; Basic authorization "
                          "is for sending events alone")  # fmt: skip
        try:
            return basic_user(text)
        except ValueError as error:
            raise Problem(401, str(error)) from error

    def authorize(self, presented: str | None, scopes: Sequence[Scope]) -> KeyRecord:
        """Take the key that was presented, if it has one of `scopes`. Raises Problem."""
        if not presented:
            raise Problem(
                401, "no key was sent; send it as 'Authorization: Bearer KEY'; make one with: "
                "propense keys create"
            )  # fmt: skip
        key = self.host.keys.check(presented, self.now)
        if key is None:
            raise Problem(401, "the key is unknown, expired or revoked; make one with: "
                          "propense keys create")  # fmt: skip
        if not any(key.may(scope) for scope in scopes):
            raise Problem(403, f"the key {key.prefix} lacks the scope {' or '.join(scopes)}")
        if key.is_page:
            self._check_page(key)
        self.key = key
        self.charge(1)
        return key

    def _check_page(self, key: KeyRecord) -> None:
        """Raises Problem (403) where everybody's key is used for more than pages send, or by a page
        of another origin than it is bound to."""
        if not self.for_pages:
            raise Problem(
                403,
                f"the key {key.prefix} is a page key, which sends what visitors do and nothing "
                "else; make another with: propense keys create NAME --kind server",
            )
        origin = self.headers.get(b"origin")
        shown = None if origin is None else origin.decode("latin-1")
        if not key.allows_origin(shown) and not self._is_of_own_page(key):
            raise Problem(
                403,
                f"the key {key.prefix} is bound to the pages of {' and '.join(key.origins)}, and "
                + (
                    "this request names none"
                    if shown is None
                    else f"this one is of {shown[:100]!a}"
                ),
            )

    def _is_of_own_page(self, key: KeyRecord) -> bool:
        """Whether the key is bound to the service's own origin and the browser says that the page
        is of it: of reading it names no origin."""
        if self.headers.get(b"sec-fetch-site") != b"same-origin" or b"origin" in self.headers:
            return False
        own = self.headers.get(b"host", b"").decode("latin-1").lower()
        return any(origin.partition("://")[2] == own for origin in key.origins)

    def charge(self, n: int) -> None:
        """Count `n` messages or questions against the key's limit. Raises Problem (429).

        Keys of scope verify have no limit.
        """
        if self.key is None or n <= 0 or self.key.may("verify"):
            return
        wait = self.host.limiter.take_key(self.key.prefix, time.monotonic(), float(n))
        if wait:
            raise Problem(429, "this key sends too many requests; slow down", retry_after=wait)

    async def charge_patiently(self, n: int) -> None:
        """The same, but wait for the limit instead of refusing: half of a large request has been
        done already, and would be sent again."""
        while True:
            try:
                return self.charge(n)
            except Problem as problem:
                await asyncio.sleep(min(problem.retry_after or 0.0, MOST_PATIENCE))


def parse_query(text: bytes) -> list[tuple[str, str]]:
    """Names and values of a query string, in order. Raises Problem (400)."""
    if not text:
        return []
    if len(text) > MOST_QUERY:
        raise Problem(400, f"the query string has more than {MOST_QUERY:,} bytes; send a POST")
    try:
        return parse_qsl(
            text.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS
        )
    except ValueError as error:
        raise Problem(400, f"the query string cannot be read: {error}") from error


def _invalid(error: msgspec.ValidationError, kind: object = None, *, pointer: str = "") -> Problem:
    """The problem of a message that is not of `kind`, with the nearest name of a field."""
    message, _, path = str(error).partition(" - at `$")
    reason = plain_reason(message)
    unknown = _UNKNOWN.fullmatch(message)
    if unknown is not None and not path and isinstance(kind, type):
        fields = [field.encode_name for field in msgspec.structs.fields(kind)]
        reason = f"{reason}; {nearest(unknown[1][:40], fields)}"
    return Problem(422, reason, pointer=pointer or _pointer(path.rstrip("`")))


def _pointer(path: str) -> str:
    """The JSON Pointer of a path as msgspec writes it, up to an object whose key it does not name.

    >>> _pointer(".batch[3].user_id"), _pointer(".only[...][0]")
    ('/batch/3/user_id', '/only')
    """
    path = path.partition("[...]")[0]
    return path.replace("[", "/").replace("]", "").replace(".", "/")
