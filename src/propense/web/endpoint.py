"""An HTTP operation: its route, and the checks every request passes before its handler.

A service hands its `Host` (keys, limits, counters) and a mapping of errors to problem documents;
nothing here knows what the service is about.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import msgspec

from propense.security.keys import Scope
from propense.settings import Limits
from propense.web.bodies import (
    MOST_BODIES,
    MOST_SMALL_BODIES,
    SHED_RETRY,
    NoRoomError,
    Receive,
    Room,
    check_length,
    read_body,
)
from propense.web.cross_origin import is_foreign, may_send, origin_headers
from propense.web.problems import ErrorMapping, Problem, problem_of
from propense.web.rate_limits import is_local, network_of
from propense.web.request import Gate, Request, Response, parse_query

AsgiScope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ShedReason = Literal["in_flight", "wait"]

_SMALL: Final = "bodies"
"""Name of the pool of bodies that are not large,"""
_MANY: Final = 2**31
_REQUESTS: Final = "requests"
"""and of the requests of addresses, of which each may have half of those at work."""
_ONCE: Final = (b"authorization", b"host", b"origin", b"content-type", b"content-encoding")
"""Headers of which two could be understood in two ways."""


class Host(Gate, Protocol):
    """What an endpoint needs of the service it belongs to."""

    in_flight: int
    """Requests being answered: those whose bodies have arrived."""
    body_bytes: Counter[str]
    """Pool, or pool and sender -> bytes of bodies in memory; likewise the requests of addresses.
    A route of large bodies has a pool of its own, of its name."""

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
        self._may_shed = route.is_question or route.browser

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        host = self._host()
        route = self.route
        try:
            response = await self._answer(host, scope, receive)
        except Exception as error:
            response = self._problem(host, error)
        headers = [(b"content-length", str(len(response.body)).encode()), *response.headers]
        if response.content_type:
            headers.append((b"content-type", response.content_type))
        if route.scopes:
            headers.append((b"cache-control", b"no-store"))
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
        elif isinstance(problem, NoRoomError):
            host.count_shed("in_flight")
            return _TOO_MANY
        elif problem.operator_detail:
            host.report_defect(self.route.path, error)
            if self.route.scopes == ("admin",):
                problem = problem.for_operator()
        return problem_response(problem)

    async def _answer(self, host: H, scope: AsgiScope, receive: Receive) -> Response:
        route = self.route
        headers = _headers(scope)
        if route.browser:
            if not may_send(host.origins, headers.get(b"origin")):
                raise Problem(
                    403, "pages of this origin may not send events; add it to [serve] origins"
                )
        elif route.scopes and is_foreign(headers):
            raise Problem(403, "pages of other sites may not ask; ask from your own server")
        if self._may_shed:
            self._check_in_flight(host)
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
        has_body = route.method in ("POST", "PUT")
        # A page's key may be inside the body, but a large body is never read without a key.
        in_body = route.browser and not route.large
        presented = request.presented_key() if route.scopes else None
        if route.scopes and (not in_body or (has_body and presented is not None)):
            request.authorize(presented, route.scopes)
        if not has_body:
            return await self._handle(request)
        return await self._handle_body(request, receive)

    async def _handle_body(self, request: Request[H], receive: Receive) -> Response:
        """Read the body, then handle the request, while both fit into what pools and senders may
        hold."""
        host, route = request.host, self.route
        most, pool, n_bodies = host.limits.body_bytes, _SMALL, MOST_SMALL_BODIES
        sender = "" if is_local(request.address) else network_of(request.address)
        requests = Room(host.body_bytes, _REQUESTS, sender if route.browser else "", _MANY,
                      max(1, host.limits.in_flight // 2))  # fmt: skip
        if route.large:
            most, pool, n_bodies = host.limits.import_bytes, route.name, MOST_BODIES
            sender = request.actor
        room = Room(host.body_bytes, pool, sender, n_bodies * most, n_bodies * most // 2)
        length = check_length(request.headers, most)
        try:
            requests.take(1)
            request.body = await read_body(receive, most, room)
            if route.large and b"content-encoding" in request.headers:
                room.take(length - len(request.body))
            return await self._handle(request)
        finally:
            room.release()
            requests.release()

    async def _handle(self, request: Request[H]) -> Response:
        host = request.host
        if self._may_shed:
            self._check_in_flight(host)
        host.in_flight += 1
        try:
            answer = await self.route.handler(request)
        finally:
            host.in_flight -= 1
        return answer if isinstance(answer, Response) else Response(self._encode(answer))

    def _check_in_flight(self, host: H) -> None:
        most = host.limits.in_flight
        # A quarter is for questions, however many events come.
        if host.in_flight >= (max(1, most - most // 4) if self.route.browser else most):
            raise NoRoomError


def problem_response(problem: Problem) -> Response:
    """The answer that a problem is."""
    return Response(problem.body(), b"", problem.status, tuple(problem.headers()))


def refusal(detail: str) -> Response:
    """A 503 made beforehand: under overload, refusing must take no time."""
    return problem_response(Problem(503, detail, retry_after=SHED_RETRY))


_TOO_MANY: Final = problem_response(NoRoomError())


def _headers(scope: AsgiScope) -> dict[bytes, bytes]:
    """The headers by name. Raises Problem (400) where one came twice that two readers could then
    understand in two ways."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if len(headers) < len(scope["headers"]):
        names = Counter(name for name, _ in scope["headers"])
        for name in _ONCE:
            if names[name] > 1:
                raise Problem(400, f"the header {name.decode()} was sent twice; send it once")
    return headers
