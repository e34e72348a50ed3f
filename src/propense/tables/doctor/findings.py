"""Findings of the data doctor, as records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from propense.schemas import Account, SplitPlan

Severity = Literal["ok", "info", "warning", "error"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info", "ok")
"""Worst first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check, and what to do about it."""

    code: str
    """A stable word for programs, such as "exact_duplicates"."""
    severity: Severity
    sentence: str
    table: str = ""
    column: str = ""
    count: int | None = None
    """Rows, or values where the sentence says so."""
    remedy: str = ""
    examples: list[str] = []


class TableSize(msgspec.Struct, frozen=True):
    """How big a table is, as read and after cleaning."""

    table: str
    rows: int
    rows_clean: int
    columns: int


class GoalCheck(msgspec.Struct, frozen=True):
    """Whether a goal has enough rows and positives."""

    goal: str
    sentence: str
    rows: dict[str, int]
    """Part (or fold) -> rows whose label is known."""
    positives: dict[str, int]

    @property
    def share(self) -> float:
        """Positives among all known rows."""
        return sum(self.positives.values()) / max(1, sum(self.rows.values()))


class Cost(msgspec.Struct, frozen=True):
    """Estimated time, memory and disk of a run on this machine."""

    seconds: dict[str, float]
    """Stage -> seconds, about."""
    memory_bytes: int
    disk_bytes: int
    cores: int
    sentence: str = ""

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings of the doctor; nothing was changed."""

    findings: list[Finding]
    sizes: list[TableSize]
    accounts: list[Account]
    """What cleaning will do."""
    plan: SplitPlan | None = None
    """How the data will be divided; None where it cannot be."""
    goals: list[GoalCheck] = []
    cost: Cost | None = None

    @property
    def worst(self) -> Severity:
        return next(
            (one for one in SEVERITIES if any(f.severity == one for f in self.findings)), "ok"
        )

    def of(self, severity: Severity) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == severity]

    def to_json(self) -> str:
        """The whole diagnosis, indented, with the worst severity beside it."""
        whole = {"worst": self.worst, **msgspec.to_builtins(self)}
        return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings before remarks; within one severity the order of the checks."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def some(values: Iterable[object], n: int = 5) -> list[str]:
    """The first few values as text."""
    return [str(value) for _, value in zip(range(n), values, strict=False)]
