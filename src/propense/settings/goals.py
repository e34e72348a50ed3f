"""Settings of what is asked: [goals.NAME] and [recommend]."""

from __future__ import annotations

from typing import Literal

from propense.settings.durations import seconds
from propense.settings.record import Count, Record


class Goal(Record, frozen=True):
    """One question about a customer. It has exactly one of action, absent, value_of, column."""

    action: str | None = None
    """The customer does this action within the horizon."""
    absent: str | None = None
    """The customer does no such action ("*": nothing at all) within the horizon."""
    value_of: str | None = None
    """Money of this action within the horizon, net of refunds."""
    column: str | None = None
    """Label column that the data already has."""
    positive: str | int | float | bool | None = None
    """Value of the label column that counts as 1."""
    path: str | None = None
    """File of labels [user_id, as_of?, column]. Default: the users table."""
    columns: dict[str, str] = {}
    """Canonical name -> column name in the label file."""
    as_of: str | None = None
    """One date or time for all label rows ("2014-07-20"), or a column of the label file."""
    within: str | None = None
    """The horizon, for example "30d". Of label columns also "0d": the label is known at as_of."""
    among: str | None = None
    """Customers the question is about: "active within 90d", "ever ACTION", "never ACTION", joined
    by "and"."""
    cost: float | None = None
    """Cost of acting on one customer."""
    benefit: float | None = None
    """Benefit of acting on a positive. With `cost` it sets the threshold by money instead of F1."""

    @property
    def within_seconds(self) -> int | None:
        """Seconds of `within`. Raises SettingsError where it is no duration."""
        if self.within is None:
            return None
        return seconds(self.within, none=self.column is not None)

    @property
    def kind(self) -> Literal["binary", "value"]:
        return "value" if self.value_of is not None else "binary"


class Recommend(Record, frozen=True):
    """The list of items to show next."""

    positive: tuple[str, ...] = ()
    """Actions that count as success. Default: every action."""
    weights: dict[str, float] = {}
    """Action -> its weight in training. Default: 1."""
    repeat: bool = False
    """True if customers take the same item again."""
    k: Count = 10
    """Length of the lists."""
    only_catalogue: bool = True
    """Where there is an [items] table, lists show only its items, and items that were sent to the
    service since. False shows every item that events name."""
    popularity_step: str = "1h"
    """What is popular now is counted in steps so long, "10s" to "1d": a list sees the events up to
    the beginning of its step."""
