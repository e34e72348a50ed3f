"""The doctor's checks of customers' ids: spellings that differ in case, tables that never meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ibis
from ibis.expr.types import Column

from propense.columns import ITEM_ID, USER_ID
from propense.tables.doctor.findings import Finding, Severity

FEW: Final = 0.5
"""A share of ids that meet below which it is a warning."""
NONE: Final = 0.05
"""And an error."""
_TWICE: Final = (
    r"[\x{00C2}-\x{00DF}\x{00E0}-\x{00EF}][\x{0080}-\x{00BF}\x{0152}\x{0153}\x{0160}\x{0161}"
    r"\x{0178}\x{017D}\x{017E}\x{0192}\x{02C6}\x{02DC}\x{2013}-\x{203A}\x{20AC}\x{2122}]"
)
"""The bytes of a letter in UTF-8, read as those of windows-1252 or latin-1."""
_LOOKED_AT: Final = 10_000


def check_ids(events: Any, users: Any | None) -> list[Finding]:
    """Findings about ids of the clean events, and how many meet a row of [users].

    `events` and `users` are Ibis tables with `user_id`.
    """
    ids = events.select(USER_ID).distinct().view()
    findings = _cases(ids) + _zeros(ids) + _twice_encoded(events)
    if users is not None:
        findings += _meeting(ids, users.select(USER_ID).distinct().view())
    return findings


def _twice_encoded(events: Any) -> list[Finding]:
    """Ids of customers and items such as "JÃ¼rgen", which were encoded twice."""
    findings = []
    for name in (USER_ID, ITEM_ID):
        odd = events.filter(events[name].re_search(_TWICE)).group_by(id=events[name])
        rows = odd.agg(n=ibis._.count()).order_by("id").limit(_LOOKED_AT).to_pyarrow().to_pylist()
        once = {row["id"]: text for row in rows if (text := _encoded_once(row["id"])) is not None}
        if not once:
            continue
        alike = events.filter(events[name].isin(sorted(set(once.values()))))[name].nunique()
        n_plain = int(alike.to_pyarrow().as_py())
        findings.append(
            Finding(
                code="ids_encoded_twice", severity="error" if n_plain else "warning",
                table="events", column=name,
                count=sum(row["n"] for row in rows if row["id"] in once),
                sentence=f"{len(once):,} ids look encoded twice"
                + (f"; {n_plain:,} of them occur in plain letters too" if n_plain else ""),
                remedy="export these rows again as UTF-8, or put their files right first "
                "(Python: text.encode('cp1252').decode('utf-8'))",
                examples=[f"{one!r} for {text!r}" for one, text in list(once.items())[:3]],
            )
        )  # fmt: skip
    return findings


def _encoded_once(text: str) -> str | None:
    """The text before it was encoded a second time; None if it was not.

    >>> _encoded_once("J\u00c3\u00bcrgen"), _encoded_once("Jürgen")
    ('Jürgen', None)
    """
    for codec in ("cp1252", "latin-1"):
        try:
            return text.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
    return None


def _zeros(ids: Any) -> list[Finding]:
    numbers = ids.filter(ids[USER_ID].re_search("^0*[1-9][0-9]*$")).view()
    bare = numbers.group_by(same=numbers[USER_ID].re_replace("^0+", "")).agg(n=numbers.count())
    n = int(bare.filter(bare.n > 1).count().to_pyarrow().as_py())
    return [
        Finding(
            code="ids_with_and_without_zeros", severity="warning", table="events", column=USER_ID,
            count=n, sentence=f"{n:,} ids of customers occur with and without leading zeros",
            remedy='if they are the same customers, set [clean] id_zeros = "strip"',
        )
    ] if n else []  # fmt: skip


def _cases(ids: Any) -> list[Finding]:
    folded = ids.group_by(same=ids[USER_ID].lower()).agg(
        n=ids.count(), one=ids[USER_ID].min(), other=ids[USER_ID].max()
    )
    double = folded.filter(folded.n > 1).view()
    n = int(double.count().to_pyarrow().as_py())
    if not n:
        return []
    shown = double.order_by("same").limit(3).to_pyarrow().to_pylist()
    return [
        Finding(
            code="ids_in_two_cases", severity="warning", table="events", column=USER_ID, count=n,
            sentence=f"{n:,} ids of customers differ from another only in capital letters",
            remedy="if they are the same customers, write them alike where the log is exported, or "
            "join them in [identities]",
            examples=[f"{row['one']!r}, {row['other']!r}" for row in shown],
        )
    ]  # fmt: skip


def _meeting(ids: Any, users: Any) -> list[Finding]:
    """The shares of customers with events that have a row, and of rows that have events."""
    meeting = ids.semi_join(users, USER_ID).count()
    counts = [int(one.to_pyarrow().as_py()) for one in (ids.count(), users.count(), meeting)]
    n_ids, n_users, n_meeting = counts
    if not n_ids or not n_users:
        return []
    best = n_meeting / min(n_ids, n_users)
    severity: Severity = "error" if best < NONE else "warning" if best < FEW else "info"
    hint = _hint(ids, users, n_meeting) if severity != "info" else ""
    return [
        Finding(
            code="ids_meet", severity=severity, table="users", column=USER_ID, count=n_meeting,
            sentence=f"{n_meeting:,} of {n_ids:,} customers with events have a row in [users], and "
            f"{n_meeting:,} of {n_users:,} rows have events{hint}",
            remedy="" if severity == "info" else "write the ids alike in both files, or name the "
            "column that both have: columns = { user_id = ... }",
        )
    ]  # fmt: skip


def _hint(ids: Any, users: Any, n_meeting: int) -> str:
    """Without what more of them would meet, if there is such a thing."""
    bare: dict[str, Callable[[Any], Any]] = {
        "leading zeros": lambda text: text.re_replace("^0+", ""),
        "capital letters": lambda text: text.lower(),
        "blanks and punctuation": lambda text: text.re_replace(r"[^\pL\pN]", ""),
    }
    best, name = n_meeting, ""
    for what, change in bare.items():
        one = _changed(ids, change(ids[USER_ID]))
        other = _changed(users, change(users[USER_ID]))
        n = int(one.semi_join(other, "bare").count().to_pyarrow().as_py())
        if n > max(2 * best, 1):
            best, name = n, what
    return f"; without {name} {best:,} would meet" if name else ""


def _changed(table: Any, bare: Column) -> Any:
    return table.select(bare=bare).distinct().filter(ibis._.bare != "").view()
