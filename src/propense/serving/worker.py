"""The entry point of each process that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from propense.web.no_pandas import leave_pandas_out

if TYPE_CHECKING:
    from propense.web.application import Application


def application() -> Application:
    """The application, with the settings of the environment."""
    leave_pandas_out()
    from propense.serving import server

    return server.application()
