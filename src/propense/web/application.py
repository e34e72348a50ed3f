"""The ASGI application of a service: its list of routes on Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path

from propense.web.bodies import Receive
from propense.web.cross_origin import preflight
from propense.web.endpoint import (
    AsgiScope,
    Endpoint,
    Host,
    Route,
    Send,
    problem_response,
)
from propense.web.problems import ErrorMapping, Problem


class LifespanHost(Host, Protocol):
    """A host that is started and stopped with its application."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


S = TypeVar("S", bound=LifespanHost)


class Application(Starlette):
    """Starlette, but requests of paths without parameters go straight to their endpoints: routing
    them takes Starlette longer than a cached answer takes."""

    fixed_paths: Mapping[str, _Resource] = {}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        resource = self.fixed_paths.get(scope["path"]) if scope["type"] == "http" else None
        if resource is None:
            await super().__call__(scope, receive, send)
        else:
            await resource(scope, receive, send)


def make_application(
    routes: Sequence[Route[S]],
    open_service: Callable[[], S],
    errors: ErrorMapping,
    slashes: Sequence[str] = (),
) -> Application:
    """The application of `routes`. The service is opened when it starts and stopped when it ends.

    `slashes` names the path parameters whose values may contain slashes.
    """
    opened: list[S] = []

    def host() -> S:
        return opened[0]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        opened[:] = [open_service()]
        await opened[0].start()
        yield
        await opened[0].stop()

    resources = _resources(routes, host, errors)
    paths: list[BaseRoute] = [
        Path(_starlette_path(path, slashes), resource) for path, resource in resources.items()
    ]
    app = Application(routes=paths, lifespan=lifespan, exception_handlers={HTTPException: _refuse})
    # Redirected from a path with one slash too many, a POST would lose its body or its key.
    app.router.redirect_slashes = False
    app.fixed_paths = {path: to for path, to in resources.items() if "{" not in path}
    return app


def _starlette_path(path: str, slashes: Sequence[str]) -> str:
    for name in slashes:
        path = path.replace(f"{{{name}}}", f"{{{name}:path}}")
    return path


async def _refuse(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses, mostly unknown paths."""
    assert isinstance(error, HTTPException)
    allow = (error.headers or {}).get("Allow")
    status = error.status_code if error.status_code in (404, 405) else 400
    detail = f"there is no route {request.method} {request.url.path}; GET /openapi.json lists all"
    problem = Problem(status, detail, allow=allow)
    headers = {name.decode(): value.decode() for name, value in problem.headers()}
    return Response(problem.body(), problem.status, headers)


def _resources(
    routes: Sequence[Route[S]], host: Callable[[], S], errors: ErrorMapping
) -> dict[str, _Resource]:
    """Path -> its operations."""
    by_path: dict[str, dict[str, Route[S]]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    return {path: _Resource(methods, host, errors) for path, methods in by_path.items()}


class _Resource:
    """The operations of one path, by method."""

    def __init__(
        self, routes: Mapping[str, Route[Any]], host: Callable[[], Host], errors: ErrorMapping
    ) -> None:
        self._endpoints = {
            method: Endpoint(route, host, errors) for method, route in routes.items()
        }
        self._host = host
        self._browser = any(route.browser for route in routes.values())

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and self._browser:
            response = preflight(self._host().origins, scope)
        else:
            allow = ", ".join(sorted(self._endpoints))
            response = problem_response(Problem(405, f"this path takes {allow}", allow=allow))
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": list(response.headers),
            }
        )
        await send({"type": "http.response.body", "body": response.body})
