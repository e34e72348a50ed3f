"""An HTTP operation: its route, and the checks every request passes before its handler.

A service hands its `Host` (keys, limits, counters) and a mapping of errors to problem documents;
nothing here knows what the service is about.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import msgspec

from propense.security.keys import Scope
from propense.settings import Limits
from propense.web.cross_origin import may_send, origin_headers
from propense.web.problems import ErrorMapping, Problem, problem_of
from propense.web.request import Gate, Request, Response, parse_query

AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ShedReason = Literal["in_flight", "wait"]

SHED_RETRY: Final = 1.0
"""Seconds after which a client that was turned away should try again."""
MOST_BODIES: Final = 8
"""A route of large bodies holds at most as many bytes at once as this many of the largest."""
BODY_SECONDS: Final = 10.0
"""Time that a body has to arrive,"""
LEAST_BYTES_PER_SECOND: Final = 50_000
"""plus a second for each so many bytes that arrived. Without it a few slow senders could hold all
the room for large bodies."""


class Host(Gate, Protocol):
    """What an endpoint needs of the service it belongs to."""

    in_flight: int
    """Requests being answered."""
    body_bytes: Counter[str]
    """Name of a route of large bodies -> bytes of its requests being answered."""

    @property
    def limits(self) -> Limits: ...

    @property
    def origins(self) -> Sequence[str]:
        """Web origins whose pages may send; "*" for all."""
        ...

    def overload(self, route: Route[Any]) -> Response | None:
        """The refusal where the service has too much to do for this route. Must take no time:
        make its answers beforehand with `refusal`."""
        ...

    def count_shed(self, reason: ShedReason) -> None: ...

    def count_answer(self, route: str, status: int, seconds: float) -> None: ...

    def report_defect(self, route: str, error: Exception) -> None:
        """Log an error that nobody foresaw, or that only the operator can mend."""
        ...


H = TypeVar("H", bound=Host)
RouteHost = TypeVar("RouteHost", bound=Host, contravariant=True)


@dataclass(frozen=True)
class Route(Generic[RouteHost]):
    """One operation: its name, who may call it, what it takes and returns."""

    method: str
    path: str
    name: str
    """Unique; names the operation in OpenAPI and in the metrics."""
    handler: Callable[[Request[RouteHost]], Awaitable[msgspec.Struct | Response]]
    summary: str
    scopes: tuple[Scope, ...] = ()
    """A key with one of these is let in; () is open to all."""
    question: type[msgspec.Struct] | None = None
    """Type of the body, or of the query string of a GET."""
    answer: type[msgspec.Struct] | None = None
    browser: bool = False
    """Whether pages of other origins, and page keys, may call it; the key may then be inside the
    body."""
    is_question: bool = False
    """Whether it may be refused while others wait."""
    large: bool = False
    """Whether its body may be as large as a bulk import."""
    takes: str = "application/json"
    """Content type of the body of routes without a `question`."""
    gives: tuple[tuple[str, str], ...] = (("application/json", "object"),)
    """(content type, JSON Schema type) of the answer of routes without an `answer`."""
    failures: tuple[int, ...] = ()
    """Statuses that it may answer with beside those that follow from its fields."""
    unavailable: type[msgspec.Struct] | None = None
    """Type of the answer of a 503 that is not a problem document."""


class Endpoint(Generic[H]):
    """The ASGI application of one route."""

    def __init__(self, route: Route[H], host: Callable[[], H], errors: ErrorMapping) -> None:
        """`host` is called at each request: the service exists only once the application has
        started. `errors` gives the problem document of each kind of error."""
        self.route = route
        self._host = host
        self._errors = errors
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        host = self._host()
        route = self.route
        host.in_flight += 1
        try:
            response = await self._answer(host, scope, receive)
        except Exception as error:
            response = self._problem(host, error)
        finally:
            host.in_flight -= 1
        headers = [(b"content-length", str(len(response.body)).encode()), *response.headers]
        if response.content_type:
            headers.append((b"content-type", response.content_type))
        if route.browser:
            headers += origin_headers(host.origins, scope)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        host.count_answer(route.path, response.status, time.perf_counter() - began)

    def _problem(self, host: H, error: Exception) -> Response:
        problem = problem_of(error, self._errors)
        if problem is None:
            host.report_defect(self.route.path, error)
            problem = Problem(500, "an internal error occurred; the service's log has its trace")
        elif problem.operator_detail:
            host.report_defect(self.route.path, error)
            if self.route.scopes == ("admin",):
                problem = problem.for_operator()
        return problem_response(problem)

    async def _answer(self, host: H, scope: AsgiScope, receive: Receive) -> Response:
        route = self.route
        headers = dict(scope["headers"])
        if route.browser and not may_send(host.origins, headers.get(b"origin")):
            raise Problem(
                403, "pages of this origin may not send events; add it to [serve] origins"
            )
        if route.is_question or route.browser:
            if host.in_flight > host.limits.in_flight:
                host.count_shed("in_flight")
                return _TOO_MANY
            refused = host.overload(route)
            if refused is not None:
                host.count_shed("wait")
                return refused
        address = scope["client"][0] if scope.get("client") else "-"
        wait = host.limiter.take_address(address, time.monotonic())
        if wait and not is_local(address):
            raise Problem(429, "this address sends too many requests; slow down", retry_after=wait)
        request = Request(
            host=host,
            body=b"",
            headers=headers,
            query=parse_query(scope["query_string"]),
            path=scope.get("path_params", {}),
            address=address,
            now=time.time_ns() // 1000,
            for_pages=route.browser,
        )
        # A page's key may be inside the body, but a large body is never read without a key.
        if route.scopes and (route.large or not route.browser):
            request.authorize(request.presented_key(), route.scopes)
        if route.method not in ("POST", "PUT"):
            return await self._handle(request)
        if route.large:
            return await self._handle_large(request, receive)
        most = host.limits.body_bytes
        _check_length(headers, most)
        request.body = await _read_body(receive, most)
        return await self._handle(request)

    async def _handle_large(self, request: Request[H], receive: Receive) -> Response:
        """As other bodies, but only while the route's bodies fit into memory together."""
        host, name = request.host, self.route.name
        most = host.limits.import_bytes
        length = _check_length(request.headers, most)
        if host.body_bytes[name] + length > MOST_BODIES * most:
            host.count_shed("in_flight")
            return _TOO_MANY
        host.body_bytes[name] += length
        try:
            request.body = await _read_body(receive, most)
            return await self._handle(request)
        finally:
            host.body_bytes[name] -= length

    async def _handle(self, request: Request[H]) -> Response:
        answer = await self.route.handler(request)
        return answer if isinstance(answer, Response) else Response(self._encode(answer))


def is_local(address: str) -> bool:
    """Whether the address is this machine's own, which has no limit."""
    return address in ("127.0.0.1", "::1", "-")


def problem_response(problem: Problem) -> Response:
    """The answer that a problem is."""
    return Response(problem.body(), b"", problem.status, tuple(problem.headers()))


def refusal(detail: str) -> Response:
    """A 503 made beforehand: under overload, refusing must take no time."""
    return problem_response(Problem(503, detail, retry_after=SHED_RETRY))


_TOO_MANY: Final = refusal("too many requests are being answered; try again")


def _check_length(headers: Mapping[bytes, bytes], most: int) -> int:
    """The most bytes the body can have once unpacked. Raises Problem (413) above `most`."""
    declared = headers.get(b"content-length")
    length = int(declared) if declared is not None and declared.isdigit() else most
    if length > most:
        raise Problem(413, f"the body has {length:,} bytes; at most {most:,} are read")
    return most if b"content-encoding" in headers else length


async def _read_body(receive: Receive, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    ends = asyncio.get_running_loop().time() + BODY_SECONDS
    try:
        async with asyncio.timeout_at(ends) as timeout:
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
                timeout.reschedule(ends + size / LEAST_BYTES_PER_SECOND)
    except TimeoutError as error:
        raise Problem(
            408,
            f"the body arrived too slowly: {size:,} bytes in more than {BODY_SECONDS:g} s",
        ) from error
