"""The text of a guessed propense.toml: every guess with its reason, other choices as comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.proposals.currency import find_currency
from propense.tables.guessing.proposals.goals import propose_goals, propose_recommend, propose_split
from propense.tables.guessing.proposals.regions import region_of
from propense.tables.guessing.proposals.sources import propose_source, refund_words
from propense.tables.guessing.proposals.tables import propose_experiment, propose_table
from propense.tables.guessing.proposals.toml_text import OPEN_QUESTIONS, Proposal
from propense.tables.guessing.role import Role

_OFFSET: Final = re.compile(r"(Z|UTC|GMT|[+-]\d{2}:?\d{2})$")


def propose(roles: Sequence[Role], answers: Mapping[str, Any]) -> Proposal:
    """The settings of the roles, as text with reasons; questions without an answer stay open."""
    out = Proposal(answers)
    events = [role for role in roles if role.name == "events"]
    tables = {role.name: role for role in roles if role.name not in ("events", "none", "labels")}
    labels = [role for role in roles if role.name == "labels"]
    _head(out, roles)
    used: set[str] = set()
    for i, role in enumerate(events):
        name = _free(role.group.name, used)
        propose_source(out, role, name)
        renamed = out.answers.get(f"sources.{name}.actions", {})
        events[i] = replace(role, actions=renamed)
    for name in ("identities", "users", "items", "exposures", "impressions"):
        if name in tables:
            propose_table(out, tables[name])
    if "users" in tables and "exposures" not in tables:
        propose_experiment(out, tables["users"])
    refunds = list(dict.fromkeys(word for role in events for word in refund_words(role)))
    if refunds:
        out.open_table("clean")
        if any(question.key.endswith(".actions") for question in out.asked) or any(
            "refund" in role.actions.values() for role in events
        ):
            refunds = list(dict.fromkeys([*refunds, "refund"]))
        out.set("refund_actions", refunds, "these actions give money back")
    goals = propose_goals(out, events, tables.get("users"), labels)
    propose_split(out, events, goals)
    propose_recommend(out, events)
    for role in roles:
        if role.name == "none":
            out.notes.append(f"left out {role.group.paths[0]}: {role.why}")
    if out.notes:
        out.empty_line()
        out.comment("Not used:")
        for note in out.notes:
            out.comment(f"  {note}")
    out.finish()
    return out


def _free(name: str, used: set[str]) -> str:
    chosen, number = name, 2
    while chosen in used:
        chosen, number = f"{name}_{number}", number + 1
    used.add(chosen)
    return chosen


def _head(out: Proposal, roles: Sequence[Role]) -> None:
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
    usual = (region.currency, f"the files have {region.language} words") if region else ("USD", "")
    code, why = find_currency(roles) or usual
    out.set("currency", code, why)
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
