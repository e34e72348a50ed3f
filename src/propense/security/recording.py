"""The audit log of a data folder for a command that has no log open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

from propense.security.audit import AuditLog
from propense.security.audit_records import Detail
from propense.security.secrets import Secrets


def write_down(
    folder: Path, secrets: Secrets, now: int, actor: str, action: str, detail: Detail
) -> None:
    """Append one row where no log is open. Raises ServeError."""
    with closing(AuditLog(folder, secrets)) as log:
        log.append(now, actor, action, None, detail)


@contextmanager
def recorded(
    folder: Path, secrets: Secrets, actor: str, action: str, detail: Detail | None = None
) -> Iterator[dict[str, Any]]:
    """`AuditLog.recording` where no log is open."""
    with closing(AuditLog(folder, secrets)) as log:
        with log.recording(lambda: time_ns() // 1000, actor, action, detail) as outcome:
            yield outcome
