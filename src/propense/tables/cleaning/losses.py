"""How grave it is what cleaning loses: the share of a table's rows decides."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from propense.columns import ANONYMOUS_ID, USER_ID
from propense.errors import SourceError
from propense.schemas import Account
from propense.settings import Clean, Source
from propense.tables.cells.spelling import NOTHING, id_text
from propense.tables.sources.reading import RawTable, RawTables

NO_USER: Final = "no user id"
LOSSES: Final = frozenset((
    "broken row", NO_USER, "no id", "unreadable time", "no action", "before earliest",
    "after until", "impossible value", "bot",
    "cancellation without its purchase",
))  # fmt: skip
"""Rules whose rows are lost; duplicates, returns, and what a setting leaves out are not."""
REPEATS: Final = ("duplicate", "near duplicate")
"""Rules whose rows repeat other rows: they are not lost, if they are repeats indeed."""
UNREAD: Final = ("unreadable value", "unreadable count")
"""What is lost of rows that stay."""
SOME: Final = 0.01
"""A share from which a loss is a warning."""


@dataclass(frozen=True)
class Loss:
    """What one rule, or all rules together, lose of a table."""

    table: str
    rules: tuple[str, ...]
    count: int
    n_rows: int
    limit: float
    """The share from which it is an error."""
    note: str = ""
    """An example with its place."""

    @property
    def share(self) -> float:
        return self.count / max(1, self.n_rows)

    @property
    def severity(self) -> Literal["info", "warning", "error"]:
        if self.share > self.limit:
            return "error"
        return "warning" if self.share >= SOME else "info"

    @property
    def setting(self) -> str:
        """The line of [clean] that allows it."""
        if len(self.rules) == 1:
            return f'allow = {{ "{self.rules[0]}" = {self.least:g} }}'
        return f"max_set_aside = {self.least:g}"

    @property
    def least(self) -> float:
        """The share that it needs, in whole per cent."""
        return math.ceil(self.share * 100) / 100

    @property
    def sentence(self) -> str:
        names = ", ".join(repr(rule) for rule in self.rules)
        verb = "lose the amount of" if self.rules[0] in UNREAD else "set aside"
        plural = "rules" if len(self.rules) > 1 else "rule"
        return (
            f"{self.table}: the {plural} {names} {verb if plural == 'rules' else _third(verb)} "
            f"{self.count:,} of {self.n_rows:,} rows ({self.share:.1%})"
            + (f": {self.note}" if self.note else "")
        )


def _third(verb: str) -> str:
    first, _, rest = verb.partition(" ")
    return f"{first}s {rest}"


def find_losses(account: Account, clean: Clean) -> list[Loss]:
    """What is lost of one table: rules with an allowance of their own first, then those that lose
    too much alone. All others are taken together; of them the ones that lose at least 1 % are
    named, or all where together they lose too much.
    """
    dropped = {rule.name: rule.dropped for rule in account.rules if rule.name in LOSSES}
    losses = [
        Loss(account.table, (name,), count, account.n_in, clean.allow[name])
        for name, count in dropped.items() if count and name in clean.allow
    ]  # fmt: skip
    limit = clean.max_set_aside
    rest = {name: n for name, n in dropped.items() if n and name not in clean.allow}
    alone = [name for name, count in rest.items() if count > limit * account.n_in]
    losses += [Loss(account.table, (name,), rest.pop(name), account.n_in, limit) for name in alone]
    if rest:
        largest = sorted(rest, key=lambda name: -rest[name])
        named = [name for name in largest if rest[name] >= SOME * account.n_in] or largest[:1]
        total = sum(rest.values())
        if total > limit * account.n_in:
            named = largest
        elif len(named) == 1:
            total = rest[named[0]]
        losses.append(Loss(account.table, tuple(named), total, account.n_in, limit))
    for rule in account.rules:
        if rule.name in UNREAD and rule.mended:
            limit = clean.allow.get(rule.name, clean.max_set_aside)
            losses.append(Loss(
                account.table, (rule.name,), rule.mended, account.n_in, limit, rule.note
            ))  # fmt: skip
    return losses


def warn_of_losses(accounts: Sequence[Account], clean: Clean) -> list[str]:
    """A sentence for everything that takes at least 1 % of a table, with what to set instead."""
    sentences = []
    for account in accounts:
        for loss in find_losses(account, clean):
            if loss.severity == "warning":
                notes = "; ".join(
                    rule.note for rule in account.rules if rule.name in loss.rules and rule.note
                )
                sentences.append(f"{loss.sentence}{f' ({notes})' if notes else ''}")
        for rule in account.rules if account.table == "events" else ():
            if rule.name in REPEATS and rule.dropped >= SOME * account.n_in:
                loss = Loss(account.table, (rule.name,), rule.dropped, account.n_in, 1.0)
                sentences.append(f"{loss.sentence}: {rule.note}")
    return sentences


def refuse_losses(accounts: Sequence[Account], clean: Clean) -> None:
    """Raise SourceError, with the line of settings that allows it, where too much is lost."""
    grave = [
        loss for account in accounts for loss in find_losses(account, clean)
        if loss.severity == "error"
    ]  # fmt: skip
    if grave:
        named = {name for loss in grave for name in loss.rules if name == NO_USER}
        notes = [
            rule.note for account in accounts for rule in account.rules
            if rule.name in named and rule.note
        ]  # fmt: skip
        aside = any(loss.rules[0] not in UNREAD for loss in grave)
        where = "; the rows are in set_aside of the clean folder, with their reasons" * aside
        raise SourceError(
            "; ".join([*(loss.sentence for loss in grave), *notes])
            + where
            + "; if that is right, allow it in propense.toml: [clean] "
            + " and ".join(_settings_of(grave, clean))
        )


def _settings_of(losses: Sequence[Loss], clean: Clean) -> list[str]:
    """The lines of [clean] that allow all of them, with what is allowed already."""
    alone = {loss.rules[0]: loss.least for loss in losses if len(loss.rules) == 1}
    pairs = ", ".join(f'"{name}" = {share:g}' for name, share in (clean.allow | alone).items())
    together = [loss.setting for loss in losses if len(loss.rules) > 1]
    return [*([f"allow = {{ {pairs} }}"] if alone else []), *together]


_MISSING: Final = 0.05
"""Share of rows without a customer from which another column is looked for."""
_MOST: Final = 30
_CUSTOMER: Final = re.compile(
    r"user|customer|client|member|visitor|device|cookie|anon|profile|account|buyer|contact|e?mail|"
    r"phone|(^|[^a-z])u?id$|[a-z]Id$|用户|会员|客户|设备",
    re.IGNORECASE,
)
_OTHER: Final = re.compile(
    r"event|message|order|sess|transaction|item|product|sku|invoice|row|agent|name|type|time|date|"
    r"campaign|insert|uuid|trace|page|^_",
    re.IGNORECASE,
)


def with_fuller_id(account: Account, raw: RawTables) -> Account:
    """The account; its rule "no user id" notes a fuller column like an id, and the line that
    maps it."""
    dropped = {rule.name: rule.dropped for rule in account.rules}.get(NO_USER, 0)
    if dropped <= _MISSING * account.n_in:
        return account
    notes = [note for source in raw.sources.values() if (note := _note(source))]
    if not notes:
        return account
    rules = [
        msgspec.structs.replace(rule, note="; ".join(filter(None, [rule.note, *notes])))
        if rule.name == NO_USER else rule
        for rule in account.rules
    ]  # fmt: skip
    return msgspec.structs.replace(account, rules=rules)


def _note(source: RawTable) -> str:
    settings = source.settings
    assert isinstance(settings, Source)
    used = set(source.columns.values()) - {source.columns[USER_ID]}
    names = [
        name for name in source.own
        if name not in used and _CUSTOMER.search(name) and not _OTHER.search(name)
    ][:_MOST]  # fmt: skip
    user = source.columns[USER_ID]
    if ANONYMOUS_ID in source.columns or user not in (names := list(dict.fromkeys([user, *names]))):
        return ""
    texts = {name: id_text(source.rows[name]) for name in names}
    filled = {name: (text.notnull() & ~text.lower().isin(NOTHING)) for name, text in texts.items()}
    cells = source.rows.aggregate(
        n=source.rows.count(),
        **{f"filled{i}": filled[name].cast("int64").sum() for i, name in enumerate(names)},
        **{f"values{i}": texts[name].nunique() for i, name in enumerate(names)},
    )
    (counts,) = cells.to_pyarrow().to_pylist()
    fuller = [
        (counts[f"filled{i}"], -i, name) for i, name in enumerate(names)
        if (counts[f"filled{i}"] or 0) > 1.1 * (counts["filled0"] or 0)
        and 1 < counts[f"values{i}"] <= 0.95 * counts[f"filled{i}"]
    ]  # fmt: skip
    if not fuller:
        return ""
    n_filled, _, best = max(fuller)
    mapping = {USER_ID: user, **settings.columns, ANONYMOUS_ID: best}
    pairs = ", ".join(
        f"{word} = {json.dumps(own, ensure_ascii=False)}" for word, own in mapping.items()
    )
    return (
        f"{best!r} is filled in {n_filled:,} of {counts['n']:,} rows, {user!r} in "
        f"{counts['filled0'] or 0:,}; if it names who a row without a customer belongs to, write "
        f"in [sources.{source.name}]: columns = {{ {pairs} }}"
    )
