"""Tables of campaigns and of shown items: who was treated, at which place something was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.groups import Group
from propense.tables.guessing.role import ANY, NUMBERS, Role, pick
from propense.tables.guessing.time_columns import time_column
from propense.tables.sources.samples import own_name

HELD_OUT: Final = frozenset(
    "none ctrl controllo controle kontrola kontrolna контроль контрольная kontrol kontrollgrupp "
    "대조군 control holdout held nothing placebo untreated kontrolle kontrollgruppe "
    "témoin 对照 对照组 无".split()
)
"""Words of arms that got nothing; a word that begins with "no" is one too ("No E-Mail")."""


def is_held_out(word: str) -> bool:
    """Whether an arm of an experiment is the one that gets nothing.

    >>> [is_held_out(word) for word in ("No E-Mail", "control", "Mens E-Mail", "0")]
    [True, True, False, True]
    """
    parts = names.parts_of(word)
    return names.mentions(word, HELD_OUT) or parts[:1] in (("no",), ("not",)) or word == "0"


def impressions(group: Group, user: str | None, item: str | None) -> Role | None:
    used = {own for own in (user, item) if own}
    if item is None:
        return None
    chance = pick(group, vocabulary.SHOWN_CHANCE, used, NUMBERS)
    position = pick(group, vocabulary.POSITION, used, {"integer", "category"})
    clicked = pick(group, vocabulary.CLICKED, used, {"boolean", "integer", "number"})
    if position is None or (chance is None and clicked is None):
        return None
    columns_of = {
        "user_id": user, "item_id": item, "position": position, "p_action": chance,
        "policy": pick(group, frozenset(["policy"]), used, {"category", "boolean"}),
        "time": time_column(group, used), "outcome": clicked,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in columns_of.items() if own}
    if user is None:
        return Role("none", group, columns, "impressions without a customer id")
    return Role(
        "impressions", group, columns, f"{position} is the position at which an item was shown"
    )


@dataclass(frozen=True)
class Experiment:
    """Who was treated, and what came of it, in a table with one row a customer."""

    columns: dict[str, str]
    """Of [exposures]: `treated`, or `arm`."""
    outcomes: tuple[str, ...]
    why: str


def find_experiment(group: Group, user: str | None) -> Experiment | None:
    """The experiment that a table of customers reports, or None.

    It has a treatment of 0 and 1, or arms of which one got nothing, and outcomes after it.
    """
    order = list(group.columns)
    treated = [
        own for own, column in group.columns.items()
        if own != user and column.is_binary and names.mentions(own_name(own), _TREATMENT)
    ]  # fmt: skip
    arms = [
        own for own, column in group.columns.items()
        if own != user and column.kind == "category" and 2 <= column.n_distinct <= 10
        and names.mentions(own_name(own), vocabulary.ARM)
        and sum(is_held_out(word) for word in column.words) == 1
    ]  # fmt: skip
    arms += [
        own for own, column in group.columns.items()
        if own != user and column.kind == "category" and 2 <= column.n_distinct <= 10
        and sum(names.mentions(word, _CONTROL) for word in column.words) == 1
    ]  # fmt: skip
    if not treated and not arms:
        return None
    chosen = (treated or arms)[0]
    after = order[order.index(chosen) + 1 :]
    outcomes = _outcomes(group, after) or _outcomes(
        group, [own for own in order if own not in (chosen, user)]
    )
    if not outcomes:
        return None
    if treated:
        return Experiment({"treated": chosen}, outcomes, f"{chosen} says who was treated")
    words = sorted(group.column(chosen).words, key=lambda word: not names.mentions(word, _CONTROL))
    held_out = next(word for word in words if is_held_out(word))
    return Experiment({"arm": chosen}, outcomes, f"{held_out!r} of {chosen} was held out")


def _outcomes(group: Group, candidates: Sequence[str]) -> tuple[str, ...]:
    """The columns that were counted after a treatment, by their names."""
    return tuple(
        own for own in candidates
        if names.mentions(own_name(own), _OUTCOME | vocabulary.LABEL | vocabulary.MONEY)
        and not group.column(own).is_time
    )  # fmt: skip


_CONTROL: Final = frozenset(
    "control ctrl holdout placebo untreated kontrolle kontrollgruppe témoin controllo controle "
    "kontrola kontrolna контроль контрольная kontrol kontrollgrupp 对照 对照组 대조군".split()
)
"""Words of arms that say themselves that they were held out, whatever their column is called."""
_TREATMENT: Final = vocabulary.TREATED | frozenset(["treatment"])
_OUTCOME: Final = frozenset(
    "visit visited exposure exposed click clicks clicked open opened conversion converted spend "
    "revenue purchase purchases response outcome result y profit churn".split()
)


def exposures(group: Group, user: str | None) -> Role | None:
    if user is None:
        return None
    used = {user}
    chance = next((own for own in group.columns if own_name(own).lower() == "p_treated"), None)
    treated = pick(group, frozenset(["treated", "is_treated", "treatment"]), used, {"boolean"})
    used |= {own for own in (chance, treated) if own}
    arm = pick(group, vocabulary.ARM, used, {"category", "boolean"})
    used |= {arm} if arm else set()
    campaign = pick(group, vocabulary.CAMPAIGN, used, ANY)
    if treated is None and chance is None and (arm is None or campaign is None):
        return None
    columns_of = {
        "user_id": user, "campaign": campaign, "arm": arm, "treated": treated,
        "exposure_time": time_column(group, used), "p_treated": chance,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in columns_of.items() if own}
    return Role("exposures", group, columns, "it has treated and held-out customers")
