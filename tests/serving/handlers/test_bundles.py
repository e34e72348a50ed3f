"""Promotion and rollback over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propense.security.signing import ANY_SIGNER
from propense.serving.handlers import bundles


@pytest.mark.parametrize("handler", [bundles.promote_bundle, bundles.roll_back])
def test_the_audit_log_is_not_written_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, handler: Callable[[Any], Awaitable[Any]]
) -> None:
    """Appending waits for file locks and for the disk; answers would wait with it."""
    written: list[tuple[threading.Thread, str, str]] = []
    announced: list[str] = []

    def intend(now: int, actor: str, action: str, user_id: None, detail: dict[str, str]) -> str:
        written.append((threading.current_thread(), action, detail["version"]))
        return action

    def conclude(now: int, intention: str) -> None:
        written.append((threading.current_thread(), intention, "v0001"))

    async def do(version: str) -> None: ...

    monkeypatch.setattr(bundles, "find_version", lambda *_: None)
    monkeypatch.setattr(bundles, "version_before", lambda *_: "v0001")
    monkeypatch.setattr(bundles, "promote", lambda *_: None)
    monkeypatch.setattr(bundles, "rollback", lambda *_: "v0001")
    monkeypatch.setattr(bundles, "list_versions", lambda *_: [])
    host = SimpleNamespace(
        shelf=Path("shelf"), signers=ANY_SIGNER, bundles=SimpleNamespace(open=do), swap=do,
        engine=SimpleNamespace(
            version="v0001",
            set_aside=(),
            packed=SimpleNamespace(manifest=SimpleNamespace(content="")),
        ),
        audit=SimpleNamespace(intend=intend, conclude=conclude),
        least=SimpleNamespace(allow=lambda version: None), reloader=SimpleNamespace(refusal=""),
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
    (thread, action, version), (other, _, _) = written
    assert thread is not loop_thread and other is not loop_thread
    assert announced == [action] and version == "v0001"
