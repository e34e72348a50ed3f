"""The ASGI application: the list of routes on Starlette, nothing between it and the handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path

from propense.serving.door import Door, Receive, Route, Scope_, Send, preflight
from propense.serving.routes import ROUTES
from propense.serving.service import Service
from propense.web.problems import Problem


class Application(Starlette):
    """Requests of paths without parameters go straight to their operations: Starlette's own way
    to them takes longer than a warm answer."""

    plain: Mapping[str, _Resource] = {}

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        resource = self.plain.get(scope["path"]) if scope["type"] == "http" else None
        if resource is None:
            await super().__call__(scope, receive, send)
        else:
            await resource(scope, receive, send)


def make_app(open_service: Callable[[], Service]) -> Application:
    """The application; the service is opened when it starts and closed when it ends."""
    held: dict[str, Service] = {}

    def service() -> Service:
        return held["service"]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        held["service"] = open_service()
        held["service"].routes = ROUTES
        await held["service"].start()
        yield
        await held["service"].stop()

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allow = (error.headers or {}).get("Allow")
        status = error.status_code if error.status_code in (404, 405) else 400
        problem = Problem(status, f"{request.method} {request.url.path}", allow=allow)
        headers = {name.decode(): value.decode() for name, value in problem.headers()}
        return Response(problem.body(), problem.status, headers)

    resources = _resources(service)
    paths: list[BaseRoute] = [
        Path(path.replace("{user_id}", "{user_id:path}").replace("{item_id}", "{item_id:path}"), to)
        for path, to in resources.items()
    ]
    app = Application(routes=paths, lifespan=lifespan, exception_handlers={HTTPException: refuse})
    # A path with a slash too many is none: sent elsewhere, a POST would lose its body or key.
    app.router.redirect_slashes = False
    app.plain = {path: to for path, to in resources.items() if "{" not in path}
    return app


def _resources(service: Callable[[], Service]) -> dict[str, _Resource]:
    """Path -> its operations."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    return {path: _Resource(routes, service) for path, routes in by_path.items()}


class _Resource:
    """The operations of one path, by method."""

    def __init__(self, routes: dict[str, Route], service: Callable[[], Service]) -> None:
        self._doors = {method: Door(route, service) for method, route in routes.items()}
        self._service = service
        self._browser = any(route.browser for route in routes.values())

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        door = self._doors.get(scope["method"])
        if door is not None:
            await door(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and self._browser:
            reply = preflight(self._service(), scope)
            status, body, headers = reply.status, reply.body, list(reply.headers)
        else:
            allow = ", ".join(sorted(self._doors))
            problem = Problem(405, f"this path takes {allow}", allow=allow)
            status, body, headers = problem.status, problem.body(), problem.headers()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
