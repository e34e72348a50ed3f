"""The service's ASGI application."""

from __future__ import annotations

from collections.abc import Callable

from propense.serving.errors import ERRORS
from propense.serving.routes import ROUTES
from propense.serving.service import Service
from propense.web.application import Application, make_application


def make_app(open_service: Callable[[], Service]) -> Application:
    """The application; the service is opened when it starts and stopped when it ends."""
    return make_application(ROUTES, open_service, ERRORS, slashes=("user_id", "item_id"))
