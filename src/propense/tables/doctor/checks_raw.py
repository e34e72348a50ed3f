"""The doctor's look at the files as they are, and at what each cleaning rule does to them."""

from __future__ import annotations

from typing import Any, Final

import ibis

from propense.columns import EVENT_TIME
from propense.schemas import Account, Rule
from propense.settings import Clean, Settings
from propense.tables.cleaning.duplicates import EQUAL_ROWS, ORDER_NUMBERS
from propense.tables.cleaning.losses import LOSSES, REPEATS, UNREAD, find_losses
from propense.tables.doctor.findings import Finding, Severity
from propense.tables.doctor.raw_counts import count_facts
from propense.tables.engine.engine import BROKEN, ROW, TableEngine
from propense.tables.sources.reading import RawTable, RawTables

_DEFAULT: Final = Clean()
MUCH: Final = 0.01
"""A share of a table's rows that one rule loses, from which it is a warning."""
MANY: Final = 0.2
"""The same of returned rows and of repeated rows of tables, which are not lost."""
_OFFSET: Final = r":\d{2}(?:[.,]\d+)? ?(Z|[+-]\d{2}:?\d{2})$"


_REMEDIES: Final = {
    "no user id": "rows without a customer cannot be learned from; add the ids if you have them, "
    "and check columns = { user_id = ... }",
    "unreadable time": "set the format of the times: time_format = ...",
    "no action": "check columns = { action = ... }, or set one action for every row: action = ...",
    "bot": "if these customers are real, raise [clean] max_events_per_day",
    "impossible value": "if these values are real, set [clean] value_range = [LOW, HIGH]; if the "
    "negative ones give money back, set [clean] negative_values = 'refund'",
    "cancellation without its purchase": "if what was bought is older than the data and these "
    "returns count all the same, set [clean] unmatched_returns = 'keep'",
    "not where": "see where = { ... } of the sources",
    "total row": "if these rows are events, correct the words in the files that call them totals",
    "other currency": "give the worth of one unit of each: exchange_rates = { ... }",
    "broken row": "look at the examples: the delimiter may be wrong, a quote may be unclosed",
    "unreadable value": "see the cells in the files; decimal = ... and currencies may be wrong",
    "unreadable count": "see the cells in the files; correct them, or map count to another column",
    "after until": "if these times are real, set [clean] until",
    "before earliest": "if these times are real, set [clean] earliest",
    "duplicate": "if equal rows are separate events, set [clean] exact_duplicates = 'keep'",
    "older export": "if these are separate events, set overlapping_files = 'keep' in the source",
    "near duplicate": "if these are separate events, set [clean] duplicate_window = 'off'",
}
"""The remedy if a rule sets aside more than MUCH of a table."""


def check_raw(raw: RawTables, settings: Settings, engine: TableEngine) -> list[Finding]:
    """Counts of dirt, broken rows and mixed time zones of every source and table."""
    findings = [
        Finding(
            code=fact.name, severity="info", table="events", count=fact.count,
            sentence=f"in the raw files, {fact.sentence}",
        )
        for fact in (count_facts(raw, engine, settings.clean.no_customer) if raw.sources else [])
        if fact.count and fact.name not in ("rows", "broken_rows")
    ]  # fmt: skip
    for table in (*raw.sources.values(), *(table for _, table in raw.tables())):
        findings += _broken(table)
    for table in raw.sources.values():
        findings += _offsets(table, settings)
    return findings


def _broken(table: RawTable) -> list[Finding]:
    """Rows of text files that could not be parsed."""
    if BROKEN not in table.rows.columns:
        return []
    broken = table.rows.filter(table.rows[BROKEN].notnull())
    n = broken.count().to_pyarrow().as_py()
    if not n:
        return []
    shown = broken.order_by(ROW).limit(3).select(ROW, BROKEN).to_pyarrow().to_pylist()
    return [
        Finding(
            code="broken_rows", table=table.name, count=n,
            severity="warning" if n >= MUCH * table.n_rows else "info",
            sentence=f"{n:,} of {table.n_rows:,} rows cannot be parsed",
            remedy="look at the examples: the delimiter may be wrong, a quote may be unclosed, or "
            "a line may be cut short",
            examples=[f"{table.locate(row[ROW])}: {row[BROKEN][:80]}" for row in shown],
        )
    ]  # fmt: skip


def _offsets(table: RawTable, settings: Settings) -> list[Finding]:
    """Times of one source written with different offsets, or some without any."""
    name = table.columns.get(EVENT_TIME)
    if name is None or name in table.with_zone or not table.rows[name].type().is_string():
        return []
    time: Any = table.rows[name]
    offset = time.re_extract(_OFFSET, 1).replace(":", "").nullif("").fill_null("none")
    counted = (
        table.rows.filter(time.notnull() & (time != ""))
        .group_by(offset=offset).agg(n=ibis._.count())
        .order_by([ibis.desc("n"), "offset"]).to_pyarrow().to_pylist()
    )  # fmt: skip
    words = [f"{row['offset']} ({row['n']:,})" for row in counted]
    if len(counted) < 2:
        return []
    bare = any(row["offset"] == "none" for row in counted)
    zone = getattr(table.settings, "time_zone", None) or settings.time_zone
    return [
        Finding(
            code="mixed_offsets", severity="warning" if bare else "info", table=table.name,
            column=name, count=len(counted),
            sentence=f"the times of {name!r} have different offsets from UTC"
            + (f", and some have none: those are read as {zone}" if bare else ""),
            remedy="check that times without an offset are of that zone, or set the source's "
            "time_zone"
            if bare else "",
            examples=words[:5],
        )
    ]  # fmt: skip


def check_account(account: Account, clean: Clean = _DEFAULT) -> list[Finding]:
    """One finding for each rule that set rows aside or corrected them, and one if rows are lost."""
    findings = [_rule(account, rule) for rule in account.rules if rule.dropped or rule.mended]
    findings += [
        Finding(
            code=rule.name.replace(" ", "_"), table=account.table, sentence=rule.note,
            severity="warning" if rule.name == ORDER_NUMBERS else "info", count=rule.added,
        )
        for rule in account.rules if rule.added or rule.name in (EQUAL_ROWS, ORDER_NUMBERS)
    ]  # fmt: skip
    findings += [
        Finding(
            code="loss", severity=loss.severity, table=account.table, count=loss.count,
            sentence=loss.sentence.partition(": ")[2],
            remedy="; ".join(_REMEDIES[rule] for rule in loss.rules if rule in _REMEDIES)
            + f"; if that is right, set in [clean]: {loss.setting}",
        )
        for loss in find_losses(account, clean)
        if loss.severity == "error" or (loss.severity == "warning" and len(loss.rules) > 1)
    ]  # fmt: skip
    if not account.balances:
        findings.append(
            Finding(
                code="balance", severity="error", table=account.table,
                count=account.n_in - account.n_out - account.dropped,
                sentence=f"{account.n_in:,} rows were read, {account.n_out:,} were written and "
                f"{account.dropped:,} were set aside: the account does not balance",
                remedy="this is a bug in propense; please report it",
            )
        )  # fmt: skip
    if account.n_in and not account.n_out:
        findings.append(
            Finding(
                code="nothing_left",
                severity="error",
                table=account.table,
                count=account.n_in,
                sentence=f"cleaning sets aside all {account.n_in:,} rows",
                remedy="see which rules took them; most often a column is mapped to the wrong name",
            )
        )
    return findings


def _rule(account: Account, rule: Rule) -> Finding:
    done = []
    if rule.dropped:
        done.append(f"sets aside {rule.dropped:,} rows")
    if rule.mended:
        done.append(f"corrects {rule.mended:,}")
    share = rule.dropped / max(1, account.n_in)
    if rule.name in UNREAD:
        share = rule.mended / max(1, account.n_in)
    repeats = rule.name in REPEATS and account.table == "events"
    limit = MUCH if repeats or rule.name in LOSSES or rule.name in UNREAD else MANY
    severity: Severity = "warning" if share >= limit else "info"
    note = f" ({rule.note})" if rule.note else ""
    return Finding(
        code=rule.name.replace(" ", "_"),
        severity=severity,
        table=account.table,
        count=rule.dropped or rule.mended,
        sentence=f"{rule.name}: cleaning {' and '.join(done)}{note}",
        remedy=_REMEDIES.get(rule.name, "see the keys of [clean]") if severity == "warning" else "",
    )
