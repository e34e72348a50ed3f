"""The language of `among`: which customers a goal is asked about at an as-of time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from propense.errors import SettingsError, nearest
from propense.settings import seconds

GRAMMAR: Final = (
    'write "active", "active within 90d", "ever ACTION" or "never ACTION", joined by " and "; '
    'put an action with spaces in quotes: ever "sign up"'
)
_JOINT: Final = re.compile(r'\s+and\s+(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""The word "and" outside quotes."""
_WITHIN: Final = re.compile(r"^active\s+within\s+(.+)$")
_ACTION: Final = re.compile(r'^(ever|never)\s+(?:"([^"]+)"|(\S+))$')


@dataclass(frozen=True)
class Clause:
    """One condition on the events before the as-of time."""

    kind: Literal["active", "ever", "never"]
    action: str | None = None
    within: int | None = None
    """Seconds before the as-of time in which "active" looks; None is without limit."""


def parse_among(text: str | None, goal: str) -> tuple[Clause, ...]:
    """The clauses of `text`, all of which must hold; every goal asks about active customers.

    A customer is active with at least one event before the as-of time, so "never pay" asks about
    those who were seen and have not paid.

    >>> parse_among("active within 90d and never pay", "first_pay")[2]
    Clause(kind='never', action='pay', within=None)

    Raises SettingsError naming the goal and the clause.
    """
    clauses = [Clause("active")]
    for part in [] if text is None else _JOINT.split(text.strip()):
        action = _ACTION.match(part)
        within = _WITHIN.match(part)
        if part == "active":
            continue
        if within:
            try:
                clauses.append(Clause("active", within=seconds(within[1])))
            except SettingsError as error:
                raise SettingsError(f"[goals.{goal}] among = {text!r}: {error}") from error
        elif action and action[1] == "ever":
            clauses.append(Clause("ever", action[2] or action[3]))
        elif action:
            clauses.append(Clause("never", action[2] or action[3]))
        else:
            raise SettingsError(f"[goals.{goal}] among: {part!r} is not understood; {GRAMMAR}")
    return tuple(clauses)


def check_action(action: str, actions: Iterable[str], where: str) -> None:
    """Raise SettingsError unless the data has `action`, naming the most similar one."""
    words = set(actions)
    if action not in words:
        raise SettingsError(
            f"{where} names the action {action!r}, which no event has; {nearest(action, words)}"
        )


def in_words(clauses: tuple[Clause, ...]) -> str:
    """The clauses as the report says them.

    >>> in_words(parse_among("active within 90d and never pay", "first_pay"))
    'customers active within 90 days who never did "pay"'
    """
    windows = [clause.within for clause in clauses if clause.within is not None]
    words = "customers seen before"
    if windows:
        words = f"customers active within {duration_in_words(min(windows))}"
    others = [f'{clause.kind} did "{clause.action}"' for clause in clauses if clause.action]
    return words + (f" who {' and '.join(others)}" if others else "")


def duration_in_words(n_seconds: int) -> str:
    """A duration in its largest whole unit.

    >>> duration_in_words(2_592_000), duration_in_words(3_600)
    ('30 days', '1 hour')
    """
    n, unit = _whole_units(n_seconds)
    word = {"d": "day", "h": "hour", "m": "minute", "s": "second"}[unit]
    return f"{n} {word}" + ("" if n == 1 else "s")


def duration_as_setting(n_seconds: int) -> str:
    """A duration as a settings file writes it.

    >>> duration_as_setting(2_592_000)
    '30d'
    """
    n, unit = _whole_units(n_seconds)
    return f"{n}{unit}"


def _whole_units(n_seconds: int) -> tuple[int, str]:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if n_seconds % size == 0:
            return n_seconds // size, unit
    return n_seconds, "s"
