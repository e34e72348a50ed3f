"""A group's part in a project, and the small searches that find its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import BOOLEAN, ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.sources.samples import own_name

RoleName = Literal[
    "events", "users", "items", "identities", "exposures", "impressions", "labels", "none"
]

WORDS: Final = frozenset(["category", "text", "boolean", "integer"])
NUMBERS: Final = frozenset(["integer", "number"])
ANY: Final = frozenset(["category", "text", "boolean", "integer", "number", "empty"])


@dataclass(frozen=True)
class Role:
    """A group's part in the project, with the file's own names of its columns."""

    name: RoleName
    group: Group
    columns: dict[str, str] = field(default_factory=dict)
    """Canonical name -> own name."""
    why: str = ""
    settings: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Further settings of the source, such as `where`: the value and the reason."""
    actions: Mapping[str, str] = field(default_factory=dict)
    """Word in the log -> the action it means, as answered."""
    experiment: dict[str, str] = field(default_factory=dict)
    """Of a table of customers who were treated or held out: the columns of [exposures]."""
    outcomes: tuple[str, ...] = ()
    """Columns that were counted after the treatment."""
    rivals: tuple[str, ...] = ()
    """Columns that could be the customer as well as `columns["user_id"]`."""
    times: tuple[str, ...] = ()
    """Columns that could be the time as well as `columns["event_time"]`; without it, those that are
    named like a time and cannot be read."""


def pick(
    group: Group, words: frozenset[str], used: Iterable[str], kinds: Iterable[str]
) -> str | None:
    """The first free column of one of the kinds whose name holds one of the words."""
    spent, allowed = set(used), set(kinds)
    exact = [own for own in group.columns if own_name(own).lower() in words]
    for own in [*exact, *group.columns]:
        if own in spent or group.column(own).kind not in allowed:
            continue
        if names.mentions(own_name(own), words):
            return own
    return None


def label_columns(group: Group, used: Iterable[str] = ()) -> list[str]:
    """Columns that look like what one wants to predict: two values and a name that says so.

    The last such column of the file comes first, as labels are mostly at the end.
    """
    ids = set(used)
    return [
        own for own in reversed(group.columns)
        if own not in ids
        and group.column(own).is_binary and not _is_amount(group.column(own))
        and (
            (names.mentions(own_name(own), vocabulary.LABEL) and _is_of_label(group, own))
            or names.is_word(own_name(own), frozenset(["result", "final_result"]))
        )
    ]  # fmt: skip


def _is_of_label(group: Group, own: str) -> bool:
    """Whether a word of labels in a name stands for the column: "default", and no default city."""
    parts = names.parts_of(own_name(own))
    if not names.mentions(parts[-1] if parts else "", vocabulary.LABEL):
        spoken = {word.lower() for word in group.column(own).words} <= _YES_OR_NO
        return spoken and not set(parts) & _DEFAULTS
    return True


_YES_OR_NO: Final = BOOLEAN | frozenset("1.0 0.0 -1 ja nein oui non si sí".split())
_DEFAULTS: Final = frozenset(
    "address shipping billing card language currency store method group city country".split()
)
"""What a customer has a default of."""


def outcome_columns(group: Group, used: Iterable[str] = ()) -> dict[str, str]:
    """Columns that are known only after what is to be predicted -> why, in a table of customers."""
    labels, spent = label_columns(group, used), set(used)
    endings = [
        own for own, column in group.columns.items()
        if own not in spent and own not in labels and column.kind == "category"
        and 2 <= column.n_distinct <= MOST_ENDINGS
        and names.mentions(own_name(own), vocabulary.STATUS)
        and any(names.mentions(word, vocabulary.ENDED) for word in column.words)
    ]  # fmt: skip
    outcomes = dict.fromkeys(endings, "its words tell how it ended: it may be the label")
    if not labels and not endings:
        return {}
    label_words = frozenset(
        word for own in labels for word in names.words_of(own_name(own)) & vocabulary.LABEL
        if word not in ("y", "target", "label", "default", "revenue", "outcome")
    )  # fmt: skip
    for own in group.columns:
        if own in spent or own in labels or own in outcomes:
            continue
        words = names.words_of(own_name(own))
        if words & vocabulary.REPAID and words & (vocabulary.SO_FAR | vocabulary.RECOVERED):
            outcomes[own] = "it tells what was paid until the end, which the label knows too"
        elif words & vocabulary.RECOVERED:
            outcomes[own] = "it tells what was paid after the end, which the label knows too"
        elif words & label_words:
            outcomes[own] = f"it is filled by what {labels[0]} tells"
    return outcomes


MOST_ENDINGS: Final = 12
"""A status with more words is no label."""


def _is_amount(column: ColumnProfile) -> bool:
    """Whether two numbers are two amounts and no yes and no, such as 0 and 12.50."""
    if column.kind not in NUMBERS or column.low is None or column.high is None:
        return False
    return column.high - column.low != 1 and not (column.low == -1 and column.high == 1)


def width(role: Role) -> int:
    return len(role.group.columns)


def only(roles: Sequence[Role], name: RoleName) -> Role | None:
    """The role of that name, of which there is at most one."""
    return next((role for role in roles if role.name == name), None)
