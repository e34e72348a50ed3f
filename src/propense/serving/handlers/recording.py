"""What a request changes is in the audit log twice: before it is done, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from propense.errors import ServeError
from propense.security.audit import AuditLog
from propense.security.audit_records import Detail
from propense.web.endpoint import Host
from propense.web.request import Request


class AuditedHost(Host, Protocol):
    """What recording uses of the service."""

    audit: AuditLog


@asynccontextmanager
async def recorded(
    request: Request[AuditedHost], action: str, detail: Detail | None = None
) -> AsyncIterator[None]:
    """Log the intention, let the body do it, and log what became of it.

    Raises ServeError where the intention cannot be logged; then nothing is done. Where only the
    outcome cannot be, the action is done and its intention says who wanted it.
    """
    audit, now = request.host.audit, request.now
    intention = await asyncio.to_thread(audit.intend, now, request.actor, action, None, detail)
    try:
        yield
    except BaseException as error:
        with suppress(ServeError):
            await asyncio.to_thread(
                audit.conclude, now, intention, "failed", {"error": type(error).__name__}
            )
        raise
    try:
        await asyncio.to_thread(audit.conclude, now, intention)
    except ServeError as error:
        request.host.report_defect("", error)
