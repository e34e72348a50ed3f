"""The role of each group of files, and which of its columns are the project's words."""

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
    user_columns = {group.paths: _user_column(group) for group in groups}
    item_columns = {group.paths: _item_column(group, user_columns[group.paths]) for group in groups}
    _by_content(groups, user_columns)
    roles = [_role(group, user_columns[group.paths], item_columns[group.paths]) for group in groups]
    roles = _separate_labels(roles)
    for single in ("users", "items", "identities", "exposures", "impressions"):
        rivals = [role for role in roles if role.name == single]
        if len(rivals) > 1:
            best = max(rivals, key=lambda role: (_file_mentions(role.group, single), _width(role)))
            roles = [
                Role("none", role.group, role.columns,
                     f"looks like {single} too, but {best.group.paths[0]} has more columns; "
                     "join what you need into one file")
                if role in rivals and role is not best else role
                for role in roles
            ]  # fmt: skip
    if not any(role.name in ("events", "users") for role in roles):
        roles = _plain_table(roles)
    return roles


def _width(role: Role) -> int:
    return len(role.group.columns)


def _file_mentions(group: Group, role: str) -> bool:
    """Whether the last word of the file name is the role: users.csv, but not user_logins.csv."""
    return names.mentions(group.name.rsplit("_", 1)[-1], names.ROLE_OF_FILE[role])


def _user_column(group: Group) -> str | None:
    """The column of the customer's id, by its name."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if column.is_time or column.kind in ("empty", "text", "boolean"):
            continue
        score = names.user_score(own_name(own))
        if score < 0.9 and own_name(own).lower() == "id" and _file_mentions(group, "users"):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _item_column(group: Group, user: str | None) -> str | None:
    """The column of the item's id, by its name."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if own == user or column.is_time or column.kind in ("empty", "boolean", "number"):
            continue
        score = names.item_score(own_name(own))
        if (
            score < 0.9
            and own_name(own).lower() in ("id", "code")
            and _file_mentions(group, "items")
        ):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _by_content(groups: Sequence[Group], user_columns: dict[tuple[str, ...], str | None]) -> None:
    """Where no name says it: a column whose cells are ids that another file names customers by."""
    customer_ids: set[str] = set()
    for group in groups:
        user = user_columns[group.paths]
        if user is not None:
            customer_ids |= group.column(user).words
    if len(customer_ids) < 20:
        return
    for group in groups:
        if user_columns[group.paths] is not None:
            continue
        for own, column in group.columns.items():
            small_number = column.is_numeric and len(column.words) and (column.high or 0) < 1000
            if len(column.words) >= 20 and not small_number and not column.is_time:
                shared = len(column.words & customer_ids) / len(column.words)
                if shared > 0.8 and names.item_score(own_name(own)) == 0:
                    user_columns[group.paths] = own
                    break


def _pick(group: Group, words: frozenset[str], used: set[str], kinds: set[str]) -> str | None:
    """The first free column of one of the kinds whose name holds one of the words."""
    exact = [own for own in group.columns if own_name(own).lower() in words]
    for own in [*exact, *group.columns]:
        if own in used or group.column(own).kind not in kinds:
            continue
        if names.mentions(own_name(own), words):
            return own
    return None


_WORDS: Final = {"category", "text", "boolean", "integer"}
_NUMBERS: Final = {"integer", "number"}
_ANY: Final = {"category", "text", "boolean", "integer", "number", "empty"}


def _role(group: Group, user: str | None, thing: str | None) -> Role:
    """The role of one group by itself."""
    if group.format == "access_log":
        return _access_log(group, user, thing)
    used = {user} if user else set()
    device = _pick(group, names.DEVICE, used, _WORDS)
    if device is None and _file_mentions(group, "identities"):
        device = next((own for own in group.columns if own not in used), None)
    if device and user and len(group.columns) <= 4 and _time_column(group, {user, device}) is None:
        return Role("identities", group, {"user_id": user, "alias": device},
                    f"{user} and {device} are ids of one customer")  # fmt: skip
    impression = _impressions(group, user, thing)
    if impression is not None:
        return impression
    exposure = _exposures(group, user)
    if exposure is not None:
        return exposure
    if user is not None:
        return _user_role(group, user, thing)
    if thing is not None and group.column(thing).uniqueness >= KEY and len(group.columns) > 1:
        return Role("items", group, {"item_id": thing}, f"{thing} is different in every row")
    return Role("none", group, {}, "no column looks like a customer's or an item's id")


def _access_log(group: Group, user: str | None, thing: str | None) -> Role:
    """A web server's log: customer by parameter, login or address; item by parameter or path."""
    columns = group.columns
    login = columns["remote_user"]
    why = "a web server's access log; "
    if user is not None and user.startswith("query:"):
        why += f"customers by the parameter {own_name(user)}"
    elif login.n_filled > 0.5 * login.n:
        user, why = "remote_user", why + "customers by login"
    else:
        user, why = "remote_host", why + "customers by network address, as there is no login"
    steps = [own for own in columns if own.startswith("path:")]
    many = [own for own in steps if columns[own].n_distinct >= 10]
    spoken = [
        own for before, own in pairwise(steps) if own in many and _mentions_item(columns[before])
    ]
    item = thing if thing and thing.startswith("query:") else next(iter(spoken or many), None)
    event_columns = _event_columns(group, user, item, "time")
    if "action" not in event_columns:
        few = item != "path:1" and steps and 1 < columns["path:1"].n_distinct <= 30
        event_columns["action"] = "path:1" if few else "method"
    fields = ("bytes", "status", "method", "remote_host")
    event_columns = {
        word: own for word, own in event_columns.items()
        if word in ("user_id", "action") or own not in fields
    }  # fmt: skip
    return Role("events", group, event_columns, why)


def _mentions_item(step: ColumnProfile) -> bool:
    """Whether a step of addresses is a word for items, as in /courses/."""
    return any(names.mentions(word.removesuffix("s"), names.THING) for word, _ in step.common)


def _user_role(group: Group, user: str, thing: str | None) -> Role:
    """Events if customers repeat with a time or an item, otherwise customers."""
    key = group.column(user)
    time = _time_column(group, {user})
    acts = _pick(group, names.ACTION, {user}, _WORDS)
    called_users = _file_mentions(group, "users")
    if (key.uniqueness < KEY or acts) and (time or thing) and not called_users:
        why = f"{user} repeats in about {group.rows_about:,} rows"
        why += f", {time} is a time" if time else ", without any time: order only"
        return Role("events", group, _event_columns(group, user, thing, time), why)
    if key.uniqueness >= KEY:
        return Role("users", group, {"user_id": user}, f"{user} is different in every row")
    if called_users:
        return Role("users", group, {"user_id": user},
                    f"the file is called {group.name}; but {user} is not different in every "
                    "row")  # fmt: skip
    return Role("none", group, {"user_id": user},
                f"{user} repeats, but there is neither a time nor an item")  # fmt: skip


def _time_column(group: Group, used: set[str]) -> str | None:
    """The column of event times: one named like it, and not like the time of signing up."""
    times = [own for own, column in group.columns.items() if column.is_time and own not in used]
    ranked = sorted(
        times,
        key=lambda own: (
            own_name(own).lower() not in ("event_time", "time", "timestamp", "ts", "datetime"),
            names.mentions(own_name(own), names.VALID_FROM),
            not names.mentions(own_name(own), names.TIME),
        ),
    )
    return ranked[0] if ranked else None


def _event_columns(group: Group, user: str, thing: str | None, time: str | None) -> dict[str, str]:
    columns = {"user_id": user}
    used = {user}

    def take(canonical: str, own: str | None) -> None:
        if own is not None and own not in used:
            columns[canonical] = own
            used.add(own)

    take("item_id", thing)
    take("event_time", time)
    action = _pick(group, names.ACTION, used, {"category"}) or _pick(
        group, frozenset(["type"]), used, {"category"}
    )
    if action is not None and group.column(action).n_distinct <= 200:
        take("action", action)
    take("count", _pick(group, names.COUNT, used, {"integer", "number"}))
    money = _pick(group, names.MONEY, used, _NUMBERS)
    if money is not None:
        take("value", money)
    else:
        price = _pick(group, names.PRICE, used, _NUMBERS)
        take("price" if "count" in columns else "value", price)
    for own in group.columns:
        spoken = names.mentions(own_name(own), names.RECORD) and names.mentions(
            own_name(own), names.ID
        )
        if own not in used and (spoken or "uuid" in own_name(own).lower()):
            if group.column(own).uniqueness > 0.9:
                take("event_id", own)
                break
    return columns


def _impressions(group: Group, user: str | None, thing: str | None) -> Role | None:
    used = {own for own in (user, thing) if own}
    if thing is None:
        return None
    chance = _pick(group, names.SHOWN_CHANCE, used, _NUMBERS)
    position = _pick(group, names.POSITION, used, {"integer", "category"})
    clicked = _pick(group, names.CLICKED, used, {"boolean", "integer", "number"})
    if position is None or (chance is None and clicked is None):
        return None
    columns_of = {
        "user_id": user, "item_id": thing, "position": position, "p_action": chance,
        "policy": _pick(group, frozenset(["policy"]), used, {"category", "boolean"}),
        "time": _time_column(group, used), "outcome": clicked,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in columns_of.items() if own}
    if user is None:
        return Role("none", group, columns, "impressions without a customer id")
    return Role(
        "impressions", group, columns, f"{position} is the position at which an item was shown"
    )


def _exposures(group: Group, user: str | None) -> Role | None:
    if user is None:
        return None
    used = {user}
    chance = next((own for own in group.columns if own_name(own).lower() == "p_treated"), None)
    treated = _pick(group, frozenset(["treated", "is_treated", "treatment"]), used, {"boolean"})
    used |= {own for own in (chance, treated) if own}
    arm = _pick(group, names.ARM, used, {"category", "boolean"})
    used |= {arm} if arm else set()
    campaign = _pick(group, names.CAMPAIGN, used, _ANY)
    if treated is None and chance is None and (arm is None or campaign is None):
        return None
    columns_of = {
        "user_id": user, "campaign": campaign, "arm": arm, "treated": treated,
        "exposure_time": _time_column(group, used), "p_treated": chance,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in columns_of.items() if own}
    return Role("exposures", group, columns, "it has treated and held-out customers")


def label_columns(group: Group, used: Iterable[str] = ()) -> list[str]:
    """Columns that look like what one wants to predict: two values and a name that says so.

    The last such column of the file comes first, as labels are mostly at the end.
    """
    ids = set(used)
    return [
        own for own in reversed(group.columns)
        if own not in ids
        and group.column(own).is_binary
        and names.mentions(own_name(own), names.LABEL)
    ]  # fmt: skip


def _separate_labels(roles: list[Role]) -> list[Role]:
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
