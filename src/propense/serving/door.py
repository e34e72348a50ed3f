"""What every request passes: size, key, limits, the handler, and the answer or the problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from propense.errors import RefusedError, ServeError, StoreError
from propense.ingest.segment import IngestError, basic_user
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.integration_tests import token_of
from propense.security.keys import KeyRecord, Scope
from propense.serving.messages import Id
from propense.serving.service import Service
from propense.web.problems import Problem

T = TypeVar("T")
Scope_ = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = b"application/json"
STORE_RETRY: Final = 2.0
"""Seconds after which to try again where the store is not there."""
SHED_RETRY: Final = 1.0
BODIES: Final = 8
"""Bodies of the largest size that a route has in memory at once, in bytes of them all."""
BODY_SECONDS: Final = 10.0
"""A body has so long to come,"""
SLOWEST: Final = 50_000
"""and a second more for so many bytes that came: else a few slow senders hold every place."""


@dataclass
class Call:
    """One request, read and let in."""

    service: Service
    body: bytes
    headers: Mapping[bytes, bytes]
    query: list[tuple[str, str]]
    path: dict[str, str]
    address: str
    now: int
    """Microseconds UTC."""
    key: KeyRecord | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    """What the metrics are told of it."""

    def read(self, kind: type[T]) -> T:
        """The JSON body as a message. Raises Problem naming the place."""
        content = self.headers.get(b"content-type", JSON).partition(b";")[0].strip().lower()
        if content != JSON:
            raise Problem(
                415, f"content-type is {content.decode('latin-1')!r}; send {JSON.decode()!r}"
            )
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise _misfit(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"the body is not JSON: {error}") from error

    def ask(self, kind: type[T]) -> T:
        """The query string as a message. Raises Problem naming the field."""
        fields = dict(self.query)
        if len(fields) < len(self.query):
            raise Problem(422, "a name stands twice in the query string; send it once")
        try:
            return msgspec.convert(fields, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _misfit(error) from error

    def id(self, name: str) -> str:
        """The id in the path. Raises Problem where it is none."""
        try:
            return msgspec.convert(self.path[name], Id)
        except msgspec.ValidationError as error:
            raise _misfit(error, f"/{name}") from error

    def weigh(self, weight: int) -> None:
        """Count further messages or questions of a batch against the key's limit."""
        if self.key is None or weight <= 0 or self.key.may("verify"):
            return
        wait = self.service.doors.limiter.take_key(self.key.prefix, time.monotonic(), float(weight))
        if wait:
            raise Problem(429, "this key has sent too much; slow down", retry_after=wait)

    def enter(self, presented: str | None, scopes: Sequence[Scope]) -> KeyRecord:
        """The key that was presented, if it has one of `scopes`. Raises Problem."""
        if not presented:
            raise Problem(
                401, "no key was sent; send it as 'Authorization: Bearer KEY', or as the user of "
                "Basic authorization; make one with: propense keys create"
            )  # fmt: skip
        key = self.service.doors.keys.check(presented, self.now)
        if key is None:
            raise Problem(401, "the key is unknown, expired or revoked; make one with: "
                          "propense keys create")  # fmt: skip
        if not any(key.may(scope) for scope in scopes):
            wanted = " or ".join(scopes)
            raise Problem(403, f"the key {key.prefix} lacks the scope {wanted}")
        self.key = key
        if not key.may("verify"):
            wait = self.service.doors.limiter.take_key(key.prefix, time.monotonic())
            if wait:
                raise Problem(429, "this key has sent too much; slow down", retry_after=wait)
        return key

    def people(self, user_id: str, scope: Scope) -> CustomerReader:
        """Those among whom the customer is looked for: real ones, whom `scope` opens, or those
        of an integration test, whom only `verify` does. Raises Problem where the key has none
        of it, RefusedError for an id that is none."""
        token = token_of(user_id)
        if token is None:
            if self.key is not None and not self.key.may(scope):
                raise Problem(403, "a key of scope verify alone asks about customers of tests")
            return self.service.people
        if self.key is None or not self.key.may("verify"):
            raise Problem(403, f"the id {user_id[:40]!r} belongs to an integration test")
        return self.service.trials.people(token)

    def presented(self) -> str | None:
        """The key of the headers."""
        given = self.headers.get(b"authorization")
        if given is None:
            return None
        text = given.decode("latin-1")
        kind, _, value = text.partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        return basic_user(text)


@dataclass(frozen=True)
class Reply:
    """An answer that is no JSON message."""

    body: bytes
    content_type: bytes = JSON
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Call], Awaitable[msgspec.Struct | Reply]]


@dataclass(frozen=True)
class Route:
    """One operation: what it is called, who may, what it takes and gives."""

    method: str
    path: str
    name: str
    """Unique; of the OpenAPI operation and of the metrics."""
    handler: Handler
    summary: str
    scopes: tuple[Scope, ...] = ()
    """A key with one of these is let in; () is open to all."""
    question: type[msgspec.Struct] | None = None
    """Of the body, or of the query string of a GET."""
    answer: type[msgspec.Struct] | None = None
    browser: bool = False
    """Whether pages of other origins may call it; the key may then stand in the body."""
    is_question: bool = False
    """Whether it may be shed while others wait."""
    large: bool = False
    """Whether the limit of a bulk import holds for its body."""
    takes: str = "application/json"
    """Content type of the body of routes without a `question`."""
    gives: tuple[tuple[str, str], ...] = (("application/json", "object"),)
    """Content types, and kinds, of the answer of routes without an `answer`."""


class Door:
    """The ASGI application of one route."""

    def __init__(self, route: Route, service: Callable[[], Service]) -> None:
        self.route = route
        self._service = service
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        service = self._service()
        route = self.route
        service.in_flight += 1
        try:
            reply = await self._reply(service, scope, receive)
        except Exception as error:
            reply = self._problem(error)
        finally:
            service.in_flight -= 1
        headers = [(b"content-length", str(len(reply.body)).encode()), *reply.headers]
        if reply.content_type:
            headers.append((b"content-type", reply.content_type))
        if route.browser:
            headers += _origin_headers(service, scope)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        service.watch.answered(route.path, reply.status, time.perf_counter() - began)

    def _problem(self, error: Exception) -> Reply:
        """The answer that an error is."""
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, IngestError):
            problem = Problem(error.status, error.reason, pointer=error.place)
        elif isinstance(error, StoreError):
            reason = f"live history is not there: {error}"
            problem = Problem(503, reason, retry_after=STORE_RETRY)
        elif isinstance(error, RefusedError):
            problem = Problem(422, str(error))
        elif isinstance(error, ServeError):
            # Files of the service's own: what is wrong with them is for its operator alone.
            self._service().watch.defect(self.route.path, error)
            told = str(error) if self.route.scopes == ("admin",) else "its log tells what"
            problem = Problem(
                503, f"the service cannot do this now: {told}", retry_after=STORE_RETRY
            )
        else:
            self._service().watch.defect(self.route.path, error)
            problem = Problem(500, "the service met a defect; its log has the trace")
        return Reply(problem.body(), b"", problem.status, tuple(problem.headers()))

    async def _reply(self, service: Service, scope: Scope_, receive: Receive) -> Reply:
        route, limits = self.route, service.serve.limits
        headers = dict(scope["headers"])
        if route.browser and not _may_send(service, headers.get(b"origin")):
            raise Problem(403, "pages of this origin may not send; [serve] origins says which may")
        if route.is_question or route.browser:
            refusal = _shed(service, route)
            if refusal is not None:
                return refusal
        address = scope["client"][0] if scope.get("client") else "-"
        wait = service.doors.limiter.take_address(address, time.monotonic())
        if wait and not service.is_trusted(address):
            raise Problem(429, "this address asks too often; slow down", retry_after=wait)
        call = Call(
            service=service,
            body=b"",
            headers=headers,
            query=_query(scope["query_string"]),
            path=scope.get("path_params", {}),
            address=address,
            now=time.time_ns() // 1000,
        )
        # A page's key may stand in the body, but a large body is read for nobody without one.
        if route.scopes and (route.large or not route.browser):
            call.enter(call.presented(), route.scopes)
        if route.method not in ("POST", "PUT"):
            return self._told(await route.handler(call))
        most = limits.import_bytes if route.large else limits.body_bytes
        length = _length(headers, most)
        if not route.large:
            call.body = await _read_body(receive, most)
            return self._told(await route.handler(call))
        held = service.body_bytes
        if held[route.name] + length > BODIES * limits.import_bytes:
            service.metrics.shed("in_flight")
            return _TOO_MANY
        held[route.name] += length
        try:
            call.body = await _read_body(receive, most)
            return self._told(await route.handler(call))
        finally:
            held[route.name] -= length

    def _told(self, answer: msgspec.Struct | Reply) -> Reply:
        return answer if isinstance(answer, Reply) else Reply(self._encode(answer))


def _shed(service: Service, route: Route) -> Reply | None:
    """The refusal of what would only make others wait, before anything is done; None of what
    may come in."""
    limits = service.serve.limits
    if service.in_flight > limits.in_flight:
        service.metrics.shed("in_flight")
        return _TOO_MANY
    if route.is_question and service.queue.is_too_long():
        service.metrics.shed("wait")
        return _TOO_LATE
    if route.browser and service.writer.is_full:
        service.metrics.shed("wait")
        return _TOO_FULL
    return None


def _refusal(detail: str) -> Reply:
    """Made once: where there is too much to do, saying so must take no time."""
    problem = Problem(503, detail, retry_after=SHED_RETRY)
    return Reply(problem.body(), b"", problem.status, tuple(problem.headers()))


_TOO_MANY: Final = _refusal("too many requests are at work; try again")
_TOO_LATE: Final = _refusal("answers would come too late; try again")
_TOO_FULL: Final = _refusal("too many events wait to be written; try again")


def _length(headers: Mapping[bytes, bytes], most: int) -> int:
    """Bytes of the body at most, unpacked."""
    told = headers.get(b"content-length")
    length = int(told) if told is not None and told.isdigit() else most
    if length > most:
        raise Problem(413, f"the body has {length:,} bytes; at most {most:,} are read")
    return most if b"content-encoding" in headers else length


async def _read_body(receive: Receive, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    ends = asyncio.get_running_loop().time() + BODY_SECONDS
    try:
        async with asyncio.timeout_at(ends) as patience:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the body ended too early")
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > most:
                    raise Problem(413, f"the body has more than {most:,} bytes")
                if not message.get("more_body", False):
                    return b"".join(pieces)
                patience.reschedule(ends + size / SLOWEST)
    except TimeoutError as error:
        raise Problem(
            408, f"the body came too slowly: {size:,} bytes in {BODY_SECONDS:g} s and more"
        ) from error


def _query(text: bytes) -> list[tuple[str, str]]:
    if not text:
        return []
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=64)
    except ValueError as error:
        raise Problem(400, f"the query string cannot be read: {error}") from error


def _misfit(error: msgspec.ValidationError, pointer: str = "") -> Problem:
    """What does not fit its type, as the asker's fault."""
    reason, _, place = str(error).partition(" - at `$")
    return Problem(422, reason, pointer=pointer or _pointer(place.rstrip("`")))


def _pointer(path: str) -> str:
    """JSON Pointer of msgspec's place.

    >>> _pointer(".batch[3].user_id")
    '/batch/3/user_id'
    """
    return path.replace("[", "/").replace("]", "").replace(".", "/")


def _origin_headers(service: Service, scope: Scope_) -> list[tuple[bytes, bytes]]:
    """What lets a page of an allowed origin read the answer."""
    origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
    if origin is None:
        return []
    if _may_send(service, origin):
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After"),
            (b"vary", b"Origin"),
        ]
    return [(b"vary", b"Origin")]


def _may_send(service: Service, origin: bytes | None) -> bool:
    """Whether what is sent comes from no page, or from one of an allowed origin."""
    origins = service.serve.origins
    return origin is None or "*" in origins or origin.decode("latin-1") in origins


def preflight(service: Service, scope: Scope_) -> Reply:
    """The answer to a browser that asks whether it may."""
    allowed = (
        (b"access-control-allow-methods", b"GET, POST"),
        (
            b"access-control-allow-headers",
            # The last one is sent by Segment's browser library when it tries again.
            b"authorization, content-type, content-encoding, x-retry-count",
        ),
        (b"access-control-max-age", b"86400"),
    )
    return Reply(b"", b"", 204, (*_origin_headers(service, scope), *allowed))
