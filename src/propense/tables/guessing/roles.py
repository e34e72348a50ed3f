"""The role of each group of files, and which of its columns are the project's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.documented_exports import recognise
from propense.tables.guessing.event_columns import (
    access_log,
    action_column,
    event_columns,
)
from propense.tables.guessing.experiments import exposures, find_experiment, impressions
from propense.tables.guessing.groups import Group
from propense.tables.guessing.id_names import user_score
from propense.tables.guessing.ids import ID_SCORE, KEY, Ids, find_ids, mentions_file
from propense.tables.guessing.role import WORDS, Role, RoleName, label_columns, pick, width
from propense.tables.guessing.time_columns import other_times, time_column
from propense.tables.sources.samples import own_name

_SINGLE: Final[tuple[RoleName, ...]] = (
    "users", "items", "identities", "exposures", "impressions",
)  # fmt: skip


def assign_roles(groups: Sequence[Group]) -> list[Role]:
    """A role for each group; of several that could be [users] or [items] the widest is it."""
    ids = find_ids(groups)
    roles = [_role(group, ids[group.paths]) for group in groups]
    roles = _with_identities(_separate_labels(roles))
    for single in _SINGLE:
        rivals = [role for role in roles if role.name == single]
        if len(rivals) > 1:
            best = max(rivals, key=lambda role: (mentions_file(role.group, single), width(role)))
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


def _role(group: Group, ids: Ids) -> Role:
    """The role of one group by itself."""
    if group.format == "access_log":
        return access_log(group, ids)
    if (export := recognise(group)) is not None and {"user_id", "event_time"} <= set(
        export.columns
    ):
        return Role("events", group, export.columns, f"it is {export.name}", export.settings)
    user, item = ids.user, ids.item
    used = {user} if user else set()
    device = pick(group, vocabulary.DEVICE, used, WORDS)
    if device is None and mentions_file(group, "identities"):
        device = next((own for own in group.columns if own not in used), None)
    if device and user and len(group.columns) <= 4 and time_column(group, {user, device}) is None:
        return Role("identities", group, {"user_id": user, "alias": device},
                    f"{user} and {device} are ids of one customer")  # fmt: skip
    impression = impressions(group, user, item)
    if impression is not None:
        return impression
    experiment = find_experiment(group, user)
    alone = user is not None and group.column(user).uniqueness >= KEY
    if experiment is not None and alone and user is not None:
        return Role(
            "users", group, {"user_id": user}, f"an experiment: {experiment.why}",
            experiment={"user_id": user, **experiment.columns}, outcomes=experiment.outcomes,
        )  # fmt: skip
    exposure = exposures(group, user)
    if exposure is not None:
        return exposure
    if user is not None:
        return _user_role(group, ids)
    if item is not None and group.column(item).uniqueness >= KEY and len(group.columns) > 1:
        return Role("items", group, {"item_id": item}, f"{item} is different in every row")
    if item is not None:
        why = f"it has items ({item}) and no column that looks like a customer's id"
        return Role("none", group, {"item_id": item}, why)
    return Role("none", group, {}, "no column looks like a customer's or an item's id")


def _user_role(group: Group, ids: Ids) -> Role:
    """Events if customers repeat with a time or an item, otherwise customers."""
    user = ids.user
    assert user is not None
    key = group.column(user)
    time = time_column(group, {user})
    acts = action_column(group, {user}, by_words=False)
    called_users = mentions_file(group, "users") and not _is_log(group, ids, time)
    unique = key.uniqueness >= KEY
    if acts and unique and (label_columns(group, {user}) or names.mentions(acts, _OF_STATES)):
        acts = None
    orders = unique and time is not None and _are_orders(group, user)
    if (not unique or acts or orders) and (time or ids.item) and not called_users:
        why = ids.why or (
            f"{user} is different in every sampled row, but {acts or 'its orders'} tell of events"
            if unique else f"{user} repeats in about {group.rows_about:,} rows"
        )  # fmt: skip
        why += f", {time} is a time" if time else ", without any time: order only"
        columns = event_columns(group, ids, time)
        used = {own for word, own in columns.items() if word != "event_time"}
        times = other_times(group, time, used)
        return Role("events", group, columns, why, rivals=ids.rivals, times=times)
    if key.uniqueness >= KEY:
        return Role("users", group, {"user_id": user},
                    ids.why or f"{user} is different in every row", rivals=ids.rivals)  # fmt: skip
    if called_users:
        return Role("users", group, {"user_id": user},
                    f"the file is called {group.name}; but {user} is not different in every "
                    "row", rivals=ids.rivals)  # fmt: skip
    return Role("none", group, {"user_id": user},
                f"{user} repeats, but there is neither a time nor an item")  # fmt: skip


def _is_log(group: Group, ids: Ids, time: str | None) -> bool:
    """Whether customers repeat beside times of events or items, whatever the file is called."""
    assert ids.user is not None
    uniqueness = group.column(ids.user).uniqueness
    if time is not None and not names.mentions(own_name(time), _OF_STATES | vocabulary.VALID_FROM):
        return uniqueness < _REPEATS
    return ids.item is not None and uniqueness < 0.5


def _are_orders(group: Group, user: str) -> bool:
    """Whether a file is called orders and numbers them in a column beside the customer."""
    return names.mentions(group.name, vocabulary.ORDER_NO) and any(
        names.mentions(own_name(own), vocabulary.ORDER_NO)
        and names.mentions(own_name(own), vocabulary.ID)
        for own in group.columns if own != user
    )  # fmt: skip


def _with_identities(roles: list[Role]) -> list[Role]:
    """A table that says which ids of a log, new in every row, are one lasting customer."""
    for log in roles:
        own = log.columns.get("user_id")
        if log.name != "events" or own is None or log.group.column(own).uniqueness < KEY:
            continue
        words = log.group.column(own).words
        for i, role in enumerate(roles):
            key = role.group.columns.get(own)
            if role is log or role.name not in ("users", "none") or key is None:
                continue
            lasting = [
                other for other, column in role.group.columns.items()
                if other != own and user_score(own_name(other)) >= ID_SCORE
                and column.uniqueness < KEY
            ]  # fmt: skip
            shared = len(words & key.words)
            if lasting and key.uniqueness >= KEY and shared >= 0.5 * len(words):
                columns = {"user_id": lasting[0], "alias": own}
                why = f"{own} is new in every row of {log.group.paths[0]}, {lasting[0]} lasts"
                roles[i] = Role("identities", role.group, columns, why)
    return roles


_REPEATS: Final = 0.9
"""Share of different ids below which a table has many rows of one customer."""
_OF_STATES: Final = frozenset(
    "last latest recent first original source updated modified changed snapshot birth "
    "birthday".split()
)
"""Words of columns that describe a customer's state and tell of no event."""


def _separate_labels(roles: list[Role]) -> list[Role]:
    """A narrow table of customers with a label, beside other tables, is a file of labels."""
    wider = any(role.name in ("users", "events") and width(role) > 3 for role in roles)
    return [
        Role("labels", role.group, role.columns, f"{labels[0]} is a label of each customer")
        if role.name == "users" and width(role) <= 3 and wider
        and (labels := label_columns(role.group, role.columns.values()))
        else role
        for role in roles
    ]  # fmt: skip


def _plain_table(roles: list[Role]) -> list[Role]:
    """Without any customer id: the widest table that has a label; each row is a customer."""
    labelled = [role for role in roles if label_columns(role.group)]
    if not labelled:
        return roles
    best = max(labelled, key=width)
    return [
        _rows_as_customers(role) if role is best else role
        for role in roles
    ]  # fmt: skip


def _rows_as_customers(role: Role) -> Role:
    why = "it has a label but no id: each row is a customer"
    experiment = find_experiment(role.group, None)
    if experiment is None:
        return Role("users", role.group, {}, why)
    why += f"; an experiment: {experiment.why}"
    return Role("users", role.group, {}, why, outcomes=experiment.outcomes)
