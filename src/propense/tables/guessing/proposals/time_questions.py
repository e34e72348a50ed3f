"""Which column is the time of an event, where none shows it or several do."""

from __future__ import annotations

from datetime import UTC, datetime

from propense.tables.guessing.groups import Group
from propense.tables.guessing.role import Role
from propense.tables.questions import Choice, Question

_EXAMPLES = 2


def time_question(role: Role, key: str) -> Question | None:
    """The question for `columns.event_time` of the source `key`, or None where it is clear."""
    if not role.times:
        return None
    group, chosen = role.group, role.columns.get("event_time")
    unread = [own for own in role.times if not group.column(own).is_time]
    columns = list(dict.fromkeys(filter(None, [*unread, chosen, *role.times])))
    sentence = "which column is the time of the event?"
    if unread:
        sentence = (
            f"{unread[0]!r} is named like a time but cannot be read: which column is the time of "
            "the event? (set time_format too)"
        )
    choices = [Choice(own, _effect(group, own)) for own in columns]
    if chosen is None:
        choices.append(
            Choice(
                "",
                "none: the order of the rows counts, or of a column that you map as columns.order",
            )
        )
    shown = [own for own in columns if group.cells[own]]
    return Question(
        key=f"{key}.columns.event_time",
        sentence=sentence,
        choices=choices,
        examples=[
            ", ".join(f"{own} = {group.cells[own][row]}" for own in shown)
            for row in range(min(_EXAMPLES, len(group.cells[shown[0]])))
        ] if shown else [],
    )  # fmt: skip


def _effect(group: Group, own: str) -> str:
    column = group.column(own)
    missing = f", {column.n_missing / column.n:.0%} empty" if column.n_missing else ""
    if not column.is_time or column.low is None or column.high is None:
        return f"such as {min(column.words, default='')!r}{missing}"
    first, last = (datetime.fromtimestamp(one, UTC).date() for one in (column.low, column.high))
    return f"{first} to {last} in the sample{missing}"
