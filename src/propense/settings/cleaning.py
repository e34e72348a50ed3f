"""Settings of the cleaning rules: [clean]."""

from __future__ import annotations

from typing import Literal

from propense.ids import PLACEHOLDER_IDS, tidy_id
from propense.settings.durations import seconds
from propense.settings.record import Record
from propense.settings.refunds import REFUND_ACTIONS, action_key


class Clean(Record, frozen=True):
    """The cleaning rules. Each rule counts the rows it dropped or mended."""

    duplicate_window: str = "auto"
    """Rows without event_id that are equal in every column but the time, and lie within this time
    of each other, are one event. "off" switches the rule off; "auto" is "1s" where a source's
    times are finer than a second, and "off" where they are not."""
    exact_duplicates: Literal["auto", "drop", "keep"] = "auto"
    """What to do with rows that are equal in every column. "auto" drops all but the first, except
    where a source's times are minutes or days: there they are further pieces, and kept."""
    value_range: tuple[float, float] | None = None
    """Values outside [low, high] are impossible, and all others are possible. Default: judged from
    the data."""
    negative_values: Literal["auto", "refund", "drop", "keep"] = "auto"
    """What to do with negative values of rows that are neither refunds nor returns: they become
    refunds, are set aside, or are kept under their own action. "auto" sets them aside, and asks
    where they are more than a few."""
    refund_actions: tuple[str, ...] = REFUND_ACTIONS
    """Actions whose values count as negative, in whatever spelling. The first of them is the action
    of rows that take a purchase back."""
    unmatched_returns: Literal["drop", "keep"] = "drop"
    """What to do with returns and cancellations of more than was bought before."""
    other_currencies: Literal["refuse", "drop"] = "refuse"
    """What to do with rows whose amount is in another currency than the project's, as the source's
    column `currency` says, and has no rate in exchange_rates. "drop" sets them aside."""
    max_set_aside: float = 0.1
    """Share of a table's rows that cleaning can lose, duplicates and returns not counted. More is
    an error."""
    allow: dict[str, float] = {}
    """Rule -> share of the rows that this rule alone can lose, for example
    { "no user id" = 0.25 }. Its rows do not count for max_set_aside."""
    placeholder_ids: tuple[str, ...] | None = None
    """Words that are no customer's id, in whatever case. Default: "undefined", "null", "0",
    "guest", "anonymous" and their like, the list of `propense.ids`."""
    id_zeros: Literal["auto", "strip", "keep"] = "auto"
    """What ids of customers are that differ in leading zeros alone, such as "00105" and "105": the
    same customer ("strip"), or several ("keep"). "auto" asks."""
    max_events_per_day: int = 5000
    """A user with more events on any one day is a bot from that day on."""
    earliest: str = "1990-01-01"
    """Earlier times are impossible."""
    until: str | None = None
    """The time at which the data was exported; later rows are from the future. Default: the last
    plausible event."""
    accept_guesses: bool = False
    """Whether data that can be read in two ways is read in the likelier one. Default: the run ends
    with the question."""
    unknown_items: Literal["keep", "drop"] = "keep"
    """What to do with events whose item is missing from the items table, if there is one."""

    @property
    def no_customer(self) -> tuple[str, ...]:
        """`placeholder_ids`, or the list where none are set, in lower case."""
        if self.placeholder_ids is None:
            return PLACEHOLDER_IDS
        return ("", *(tidy_id(word).lower() for word in self.placeholder_ids))

    @property
    def near_seconds(self) -> int | None:
        """Seconds of `duplicate_window`: 0 if it is off, None if the data decides.

        Raises SettingsError where it is no duration.
        """
        window = self.duplicate_window.strip()
        if window == "auto":
            return None
        if window == "off" or window.rstrip("smhdw ") in ("0", "00"):
            return 0
        return seconds(window)

    @property
    def refund_action(self) -> str:
        """The action of rows that take a purchase back."""
        return self.refund_actions[0] if self.refund_actions else "refund"

    def is_refund(self, action: str) -> bool:
        """Whether an action is one of `refund_actions`, in whatever spelling."""
        return action_key(action) in {action_key(word) for word in self.refund_actions}
