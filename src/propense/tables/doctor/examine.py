"""`propense check`: read, clean and split in a temporary folder, and report the findings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from propense.columns import ITEM_ID, USER_ID
from propense.errors import SettingsError, SourceError
from propense.schemas import Account, RunFolder, SplitPlan
from propense.settings import Settings, TableSource
from propense.tables.cleaning.clean import clean
from propense.tables.doctor.checks_duplicates import check_duplicates
from propense.tables.doctor.checks_events import EventFacts, check_events
from propense.tables.doctor.checks_goals import check_balance, preview_split
from propense.tables.doctor.checks_ids import check_ids
from propense.tables.doctor.checks_raw import check_account, check_raw
from propense.tables.doctor.checks_tables import check_table
from propense.tables.doctor.cost import GIGABYTE, DataSize, estimate
from propense.tables.doctor.findings import (
    Cost,
    Diagnosis,
    Finding,
    GoalCheck,
    TableSize,
    worst_first,
)
from propense.tables.doctor.leaks.checks import check_columns
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import RawTables, read

KEYS: Final = {"users": USER_ID, "items": ITEM_ID}


def examine(settings: Settings, engine: TableEngine, cores: int | None = None) -> Diagnosis:
    """Everything that can be known before a run; nothing is changed outside a temporary folder.

    `cores` (default: this machine's) only serves the estimate of the cost.

    What cleaning or the split refuses becomes a finding. Raises SourceError or SettingsError
    where the data cannot even be read.
    """
    with TemporaryDirectory(prefix="propense-check-") as folder:
        run = RunFolder(Path(folder))
        own = replace(engine, scratch=run.root / "scratch")
        own.scratch.mkdir()
        raw = read(settings, own)
        findings = check_raw(raw, settings, own)
        try:
            accounts = clean(raw, settings, own, run)
        except SourceError as error:
            findings.append(Finding(code="clean", severity="error", sentence=str(error)))
            return Diagnosis(findings=worst_first(findings), sizes=[], accounts=[])
        for account in accounts:
            findings += check_account(account, settings.clean)
        facts, more = _check_clean(run, settings, own)
        findings += more
        plan, more = preview_split(run, settings, own)
        findings += more
        goals: list[GoalCheck] = []
        if plan is not None:
            goals, more = check_balance(plan, settings)
            findings += more + _check_columns(run, plan, settings, own)
            findings += check_duplicates(run, plan)
        n_profiles = next((one.n_out for one in accounts if one.table == "users"), 0)
        cost = _cost(raw, settings, facts, plan, n_profiles, cores or os.cpu_count() or 1)
        findings.append(_memory(cost))
        return Diagnosis(
            findings=worst_first(findings),
            sizes=_sizes(raw, accounts),
            accounts=accounts,
            plan=plan,
            goals=goals,
            cost=cost,
        )


def _clean_table(run: RunFolder, name: str, engine: TableEngine) -> Any | None:
    """A table of clean/, or None where there is none."""
    path = run.clean / ("events" if name == "events" else f"{name}.parquet")
    return engine.read_parquet(path) if path.exists() else None


def _check_clean(
    run: RunFolder, settings: Settings, engine: TableEngine
) -> tuple[EventFacts, list[Finding]]:
    events = _clean_table(run, "events", engine)
    items = _clean_table(run, "items", engine)
    findings: list[Finding] = []
    facts = EventFacts(0, 0, 0, 0, None)
    if events is not None:
        findings, facts = check_events(events, items, settings, engine)
        findings += check_ids(events, _clean_table(run, "users", engine))
    for name, key in KEYS.items():
        source: TableSource | None = getattr(settings, name)
        rows = _clean_table(run, name, engine)
        if source is not None and rows is not None:
            findings += check_table(name, rows, source, key)
    return facts, findings


def _check_columns(
    run: RunFolder, plan: SplitPlan, settings: Settings, engine: TableEngine
) -> list[Finding]:
    try:
        return check_columns(run, plan, settings, engine).findings
    except SettingsError as error:
        return [Finding(code="settings", severity="error", sentence=str(error))]


def _sizes(raw: RawTables, accounts: list[Account]) -> list[TableSize]:
    columns = {name: len(table.own) for name, table in (*raw.sources.items(), *raw.tables())}
    return [
        TableSize(
            account.table, account.n_in, account.n_out,
            columns.get(account.table, max((len(t.own) for t in raw.sources.values()), default=0)),
        )
        for account in accounts
    ]  # fmt: skip


def _cost(
    raw: RawTables, settings: Settings, facts: EventFacts, plan: SplitPlan | None,
    n_profiles: int, cores: int,
) -> Cost:  # fmt: skip
    profile = 0
    if raw.users is not None and settings.users is not None:
        features = settings.users.features
        profile = len(features) if features is not None else len(raw.users.own)
    tables = [*raw.sources.values(), *(table for _, table in raw.tables())]
    files = {Path(settings.folder) / name for table in tables for name in table.files}
    size = DataSize(
        events=facts.events, users=max(facts.users, n_profiles), items=facts.items,
        rows=sum(count.rows for count in plan.counts) if plan is not None else 0,
        columns=profile, goals=len(settings.goals), actions=facts.actions,
        file_bytes=sum(file.stat().st_size for file in files if file.is_file()),
    )  # fmt: skip
    return estimate(size, settings, cores)


def _memory(cost: Cost) -> Finding:
    """Whether this machine's memory holds a run."""
    try:
        here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system that does not say
        here = 0
    if here and cost.memory_bytes > 0.8 * here:
        return Finding(
            code="memory", severity="warning",
            sentence=f"{cost.sentence}; this machine has {here / GIGABYTE:.1f} GB",
            remedy="lengthen [split] as_of_every, set max_as_of_per_user, or use a larger machine",
        )  # fmt: skip
    return Finding(code="cost", severity="ok", sentence=cost.sentence)
