"""The text of a guessed propense.toml: every guess with its reason, other choices as comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.proposals.currency import find_currency
from propense.tables.guessing.proposals.goals import propose_goals, propose_recommend, propose_split
from propense.tables.guessing.proposals.money_remarks import left_out_remark
from propense.tables.guessing.proposals.regions import region_of
from propense.tables.guessing.proposals.sources import propose_source
from propense.tables.guessing.proposals.tables import propose_experiment, propose_table
from propense.tables.guessing.proposals.toml_text import OPEN_QUESTIONS, Proposal, free_name
from propense.tables.guessing.role import Role

_OFFSET: Final = re.compile(r"(Z|UTC|GMT|[+-]\d{2}:?\d{2})$")


def propose(roles: Sequence[Role], answers: Mapping[str, Any]) -> Proposal:
    """The settings of the roles, as text with reasons; questions without an answer stay open."""
    out = Proposal(answers)
    events = [role for role in roles if role.name == "events"]
    tables = {role.name: role for role in roles if role.name not in ("events", "none", "labels")}
    labels = [role for role in roles if role.name == "labels"]
    used: set[str] = set()
    source_names = [free_name(role.group.name, used) for role in events]
    _head(out, roles, dict(zip(source_names, events, strict=True)))
    for i, role in enumerate(events):
        name = source_names[i]
        paid = propose_source(out, role, name, str(out.meant["currency"]))
        events[i] = replace(paid, actions=out.meant["sources"][name].get("actions", {}))
    for name in ("identities", "users", "items", "exposures", "impressions"):
        if name in tables:
            propose_table(out, tables[name])
    if "users" in tables and "exposures" not in tables:
        propose_experiment(out, tables["users"])
    goals = propose_goals(out, events, tables.get("users"), labels)
    propose_split(out, events, goals)
    propose_recommend(out, events)
    for role in roles:
        if role.name == "none":
            out.notes.append(f"left out {role.group.paths[0]}: {role.why}")
            if (remark := left_out_remark(role)) is not None:
                out.remarks.append(remark)
    if out.notes:
        out.empty_line()
        out.comment("Not used:")
        for note in out.notes:
            out.comment(f"  {note}")
    out.finish()
    return out


def _head(out: Proposal, roles: Sequence[Role], sources: Mapping[str, Role]) -> None:
    groups = [role.group for role in roles]
    out.comment(
        "Guessed by `propense init` from samples of the files. Read the reasons, correct what is"
    )
    out.comment("wrong, then run `propense check`.")
    out.empty_line()
    out.set(OPEN_QUESTIONS, [], "answer each where it stands; until then a run ends with code 3")
    region = region_of(groups)
    zone, reason = "UTC", "for times without an offset, and for hour and weekday"
    if region is not None:
        zone, reason = region.time_zone, f"the files have {region.language} words"
    out.set("time_zone", zone, reason)
    usual = (region.currency, f"the files have {region.language} words") if region else None
    currency = find_currency(sources, out.answers) or usual
    if currency is not None:
        out.set("currency", *currency)
    elif any({"value", "price"} & set(role.columns) for role in sources.values()):
        out.set("currency", "USD", "no amount shows its currency: correct it")
        out.remarks.append(
            "Which currency are the amounts in? (currency = 'USD' is a guess; for example 'EUR')"
        )
    else:
        out.set("currency", "USD", "nothing in the files is money")
    if not any(_naive(column) for group in groups for column in group.columns.values()):
        return
    out.remarks.append(
        f"Which time zone are the times in? (time_zone = {zone!r} is a guess; for example "
        "'Europe/Berlin')"
    )


def _naive(column: ColumnProfile) -> bool:
    """Whether a column has times without an offset."""
    words = [word for word, _ in column.common[:50]]
    return column.kind == "time" and not all(_OFFSET.search(word) for word in words)
