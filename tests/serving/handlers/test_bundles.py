"""Promotion and rollback over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propense.serving.handlers import bundles


@pytest.mark.parametrize("handler", [bundles.promote_bundle, bundles.roll_back])
def test_the_audit_log_is_not_written_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, handler: Callable[[Any], Awaitable[Any]]
) -> None:
    """Appending waits for file locks and for the disk; answers would wait with it."""
    written: list[tuple[threading.Thread, str, str]] = []
    announced: list[str] = []

    def append(now: int, actor: str, action: str, user_id: None, detail: dict[str, str]) -> int:
        written.append((threading.current_thread(), action, detail["version"]))
        return 1

    async def do(version: str) -> None: ...

    monkeypatch.setattr(bundles, "find_version", lambda *_: None)
    monkeypatch.setattr(bundles, "version_before", lambda *_: "v0001")
    monkeypatch.setattr(bundles, "promote", lambda *_: None)
    monkeypatch.setattr(bundles, "rollback", lambda *_: "v0001")
    monkeypatch.setattr(bundles, "list_versions", lambda *_: [])
    host = SimpleNamespace(
        shelf=Path("shelf"), public_keys=(), bundles=SimpleNamespace(open=do), swap=do,
        engine=SimpleNamespace(version="v0001"), audit=SimpleNamespace(append=append),
        announce=lambda kind, content: announced.append(kind),
    )  # fmt: skip
    request = SimpleNamespace(
        host=host, now=0, actor="prefix",
        read_body=lambda kind: kind(version="v0001"),
    )  # fmt: skip

    async def play() -> threading.Thread:
        await handler(request)
        return threading.current_thread()

    loop_thread = asyncio.run(play())
    ((thread, action, version),) = written
    assert thread is not loop_thread
    assert announced == [action] and version == "v0001"
