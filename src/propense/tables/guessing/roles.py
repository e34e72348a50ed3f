"""Which group of files is what, and which of its columns are the project's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from propense.tables.guessing import names
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.sources.samples import own_name

RoleName = Literal[
    "events", "users", "items", "identities", "exposures", "impressions", "labels", "none"
]

KEY: Final = 0.995
"""A column is a key if this share of its sampled cells is different."""


@dataclass(frozen=True)
class Role:
    """A group's part in the project, with the file's own names of its columns."""

    name: RoleName
    group: Group
    columns: dict[str, str] = field(default_factory=dict)
    """Canonical name -> own name."""
    why: str = ""


def assign_roles(groups: Sequence[Group]) -> list[Role]:
    """A role for each group; of several that could be [users] or [items] the widest is it."""
    persons = {group.paths: _person(group) for group in groups}
    things = {group.paths: _thing(group, persons[group.paths]) for group in groups}
    _by_content(groups, persons)
    roles = [_role(group, persons[group.paths], things[group.paths]) for group in groups]
    roles = _labels_apart(roles)
    for single in ("users", "items", "identities", "exposures", "impressions"):
        rivals = [role for role in roles if role.name == single]
        if len(rivals) > 1:
            best = max(rivals, key=lambda role: (_file_says(role.group, single), _width(role)))
            roles = [
                Role("none", role.group, role.columns,
                     f"looks like {single} too, but {best.group.paths[0]} is fuller; "
                     "join what you need into one file")
                if role in rivals and role is not best else role
                for role in roles
            ]  # fmt: skip
    if not any(role.name in ("events", "users") for role in roles):
        roles = _plain_table(roles)
    return roles


def _width(role: Role) -> int:
    return len(role.group.columns)


def _file_says(group: Group, role: str) -> bool:
    """Whether the last word of the file name is the role: users.csv, but not user_logins.csv."""
    return names.says(group.name.rsplit("_", 1)[-1], names.ROLE_OF_FILE[role])


def _person(group: Group) -> str | None:
    """The column that names the customer, judged by names."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if column.is_time or column.kind in ("empty", "text", "boolean"):
            continue
        score = names.person_score(own_name(own))
        if score < 0.9 and own_name(own).lower() == "id" and _file_says(group, "users"):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _thing(group: Group, person: str | None) -> str | None:
    """The column that names the item, judged by names."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if own == person or column.is_time or column.kind in ("empty", "boolean", "number"):
            continue
        score = names.thing_score(own_name(own))
        if score < 0.9 and own_name(own).lower() in ("id", "code") and _file_says(group, "items"):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _by_content(groups: Sequence[Group], persons: dict[tuple[str, ...], str | None]) -> None:
    """Where no name says it: a column whose cells are ids that another file names customers by."""
    known: set[str] = set()
    for group in groups:
        person = persons[group.paths]
        if person is not None:
            known |= group.column(person).words
    if len(known) < 20:
        return
    for group in groups:
        if persons[group.paths] is not None:
            continue
        for own, column in group.columns.items():
            small_number = column.is_numeric and len(column.words) and (column.high or 0) < 1000
            if len(column.words) >= 20 and not small_number and not column.is_time:
                shared = len(column.words & known) / len(column.words)
                if shared > 0.8 and names.thing_score(own_name(own)) == 0:
                    persons[group.paths] = own
                    break


def _pick(group: Group, words: frozenset[str], taken: set[str], kinds: set[str]) -> str | None:
    """The first free column of one of the kinds whose name holds one of the words."""
    exact = [own for own in group.columns if own_name(own).lower() in words]
    for own in [*exact, *group.columns]:
        if own in taken or group.column(own).kind not in kinds:
            continue
        if names.says(own_name(own), words):
            return own
    return None


_WORDS: Final = {"category", "text", "boolean", "integer"}
_NUMBERS: Final = {"integer", "number"}
_ANY: Final = {"category", "text", "boolean", "integer", "number", "empty"}


def _role(group: Group, person: str | None, thing: str | None) -> Role:
    """The role of one group by itself."""
    if group.format == "access_log":
        return _access_log(group, person, thing)
    taken = {person} if person else set()
    device = _pick(group, names.DEVICE, taken, _WORDS)
    if device is None and _file_says(group, "identities"):
        device = next((own for own in group.columns if own not in taken), None)
    if device and person and len(group.columns) <= 4 and _moment(group, {person, device}) is None:
        return Role("identities", group, {"user_id": person, "alias": device},
                    f"{person} and {device} are ids of one person")  # fmt: skip
    impression = _impressions(group, person, thing)
    if impression is not None:
        return impression
    exposure = _exposures(group, person)
    if exposure is not None:
        return exposure
    if person is not None:
        return _person_role(group, person, thing)
    if thing is not None and group.column(thing).uniqueness >= KEY and len(group.columns) > 1:
        return Role("items", group, {"item_id": thing}, f"{thing} is different in every row")
    return Role("none", group, {}, "no column looks like a customer's or an item's id")


def _access_log(group: Group, person: str | None, thing: str | None) -> Role:
    """A web server's log: who by parameter, login or address; what by parameter or path."""
    columns = group.columns
    login = columns["remote_user"]
    why = "a web server's access log; "
    if person is not None and person.startswith("query:"):
        why += f"customers by the parameter {own_name(person)}"
    elif login.n_known > 0.5 * login.n:
        person, why = "remote_user", why + "customers by login"
    else:
        person, why = "remote_host", why + "customers by network address, for want of a login"
    steps = [own for own in columns if own.startswith("path:")]
    many = [own for own in steps if columns[own].n_distinct >= 10]
    spoken = [
        own for before, own in pairwise(steps) if own in many and _says_thing(columns[before])
    ]
    item = thing if thing and thing.startswith("query:") else next(iter(spoken or many), None)
    found = _event_columns(group, person, item, "time")
    if "action" not in found:
        few = item != "path:1" and steps and 1 < columns["path:1"].n_distinct <= 30
        found["action"] = "path:1" if few else "method"
    fields = ("bytes", "status", "method", "remote_host")
    found = {
        word: own for word, own in found.items()
        if word in ("user_id", "action") or own not in fields
    }  # fmt: skip
    return Role("events", group, found, why)


def _says_thing(step: ColumnProfile) -> bool:
    """Whether a step of addresses is a word for items, as in /courses/."""
    return any(names.says(word.removesuffix("s"), names.THING) for word, _ in step.common)


def _person_role(group: Group, person: str, thing: str | None) -> Role:
    """Events where a customer returns with a time or an item, else customers."""
    key = group.column(person)
    moment = _moment(group, {person})
    acts = _pick(group, names.ACTION, {person}, _WORDS)
    called_users = _file_says(group, "users")
    if (key.uniqueness < KEY or acts) and (moment or thing) and not called_users:
        why = f"{person} returns in about {group.rows_about:,} rows"
        why += f", {moment} is a time" if moment else ", without any time: order only"
        return Role("events", group, _event_columns(group, person, thing, moment), why)
    if key.uniqueness >= KEY:
        return Role("users", group, {"user_id": person}, f"{person} is different in every row")
    if called_users:
        return Role("users", group, {"user_id": person},
                    f"the file is called {group.name}; but {person} is not different in every "
                    "row")  # fmt: skip
    return Role("none", group, {"user_id": person},
                f"{person} repeats, but there is neither a time nor an item")  # fmt: skip


def _moment(group: Group, taken: set[str]) -> str | None:
    """The column of event times: one whose name says so and does not speak of signing up."""
    times = [own for own, column in group.columns.items() if column.is_time and own not in taken]
    ranked = sorted(
        times,
        key=lambda own: (
            own_name(own).lower() not in ("event_time", "time", "timestamp", "ts", "datetime"),
            names.says(own_name(own), names.VALID_FROM),
            not names.says(own_name(own), names.TIME),
        ),
    )
    return ranked[0] if ranked else None


def _event_columns(
    group: Group, person: str, thing: str | None, moment: str | None
) -> dict[str, str]:
    columns = {"user_id": person}
    taken = {person}

    def take(canonical: str, own: str | None) -> None:
        if own is not None and own not in taken:
            columns[canonical] = own
            taken.add(own)

    take("item_id", thing)
    take("event_time", moment)
    action = _pick(group, names.ACTION, taken, {"category"}) or _pick(
        group, frozenset(["type"]), taken, {"category"}
    )
    if action is not None and group.column(action).n_distinct <= 200:
        take("action", action)
    take("count", _pick(group, names.COUNT, taken, {"integer", "number"}))
    money = _pick(group, names.MONEY, taken, _NUMBERS)
    if money is not None:
        take("value", money)
    else:
        price = _pick(group, names.PRICE, taken, _NUMBERS)
        take("price" if "count" in columns else "value", price)
    for own in group.columns:
        spoken = names.says(own_name(own), names.RECORD) and names.says(own_name(own), names.ID)
        if own not in taken and (spoken or "uuid" in own_name(own).lower()):
            if group.column(own).uniqueness > 0.9:
                take("event_id", own)
                break
    return columns


def _impressions(group: Group, person: str | None, thing: str | None) -> Role | None:
    taken = {own for own in (person, thing) if own}
    if thing is None:
        return None
    chance = _pick(group, names.SHOWN_CHANCE, taken, _NUMBERS)
    position = _pick(group, names.POSITION, taken, {"integer", "category"})
    clicked = _pick(group, names.CLICKED, taken, {"boolean", "integer", "number"})
    if position is None or (chance is None and clicked is None):
        return None
    found = {
        "user_id": person, "item_id": thing, "position": position, "p_action": chance,
        "policy": _pick(group, frozenset(["policy"]), taken, {"category", "boolean"}),
        "time": _moment(group, taken), "outcome": clicked,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in found.items() if own}
    if person is None:
        return Role("none", group, columns, "impressions without a customer id")
    return Role("impressions", group, columns, f"{position} is the place an item was shown at")


def _exposures(group: Group, person: str | None) -> Role | None:
    if person is None:
        return None
    taken = {person}
    chance = next((own for own in group.columns if own_name(own).lower() == "p_treated"), None)
    treated = _pick(group, frozenset(["treated", "is_treated", "treatment"]), taken, {"boolean"})
    taken |= {own for own in (chance, treated) if own}
    arm = _pick(group, names.ARM, taken, {"category", "boolean"})
    taken |= {arm} if arm else set()
    campaign = _pick(group, names.CAMPAIGN, taken, _ANY)
    if treated is None and chance is None and (arm is None or campaign is None):
        return None
    found = {
        "user_id": person, "campaign": campaign, "arm": arm, "treated": treated,
        "exposure_time": _moment(group, taken), "p_treated": chance,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in found.items() if own}
    return Role("exposures", group, columns, "it says who was treated and who was held out")


def label_columns(group: Group, taken: Iterable[str] = ()) -> list[str]:
    """Columns that look like what one wants to predict: two values and a name that says so.

    The last such column of the file comes first, as labels mostly stand at the end.
    """
    ids = set(taken)
    return [
        own for own in reversed(group.columns)
        if own not in ids
        and group.column(own).is_binary
        and names.says(own_name(own), names.LABEL)
    ]  # fmt: skip


def _labels_apart(roles: list[Role]) -> list[Role]:
    """A narrow table of customers with a label, beside other tables, is a file of labels."""
    wider = any(role.name in ("users", "events") and _width(role) > 3 for role in roles)
    return [
        Role("labels", role.group, role.columns, f"{labels[0]} is a label of each customer")
        if role.name == "users" and _width(role) <= 3 and wider
        and (labels := label_columns(role.group, role.columns.values()))
        else role
        for role in roles
    ]  # fmt: skip


def _plain_table(roles: list[Role]) -> list[Role]:
    """Without any customer id: the widest table that has a label; each row is a customer."""
    labelled = [role for role in roles if label_columns(role.group)]
    if not labelled:
        return roles
    best = max(labelled, key=_width)
    return [
        Role("users", role.group, {}, "it has a label but no id: each row is a customer")
        if role is best else role
        for role in roles
    ]  # fmt: skip
