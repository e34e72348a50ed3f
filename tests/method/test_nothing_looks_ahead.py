"""Nothing looks ahead: what later rows bring changes nothing that was known before them.

Drawn worlds and one of named customers are cleaned, split and encoded twice: whole, and as they
were at a moment. `benchmarks/proofs/method/nothing_looks_ahead.py` draws two thousand worlds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from propense.tables.engine.engine import connect
from support.shops.live import live_differences
from support.shops.messy import (
    DAY,
    LIMIT,
    START,
    MessyLog,
    Outcome,
    compare,
    draw_log,
    row_of,
)

WORLDS = 10
PLAIN = [draw_log(seed, plain=True) for seed in range(1000, 1003)]
CUT = 20
Outcomes = tuple[Outcome, Outcome, list[str]]


def _named() -> MessyLog:
    """Customers with a fate of their own; the log is cut on day 20."""

    def at(day: float) -> int:
        return round(day * DAY) * 1000

    rows = [
        row_of(at(10.5), "buyer", "pay", "a", "", 2, 5.0, "1"),
        row_of(at(11.5), "buyer", "pay", "b", "", 1, 6.0, "2"),
        row_of(at(13.5), "buyer", "pay", "a", "", -2, 5.0, "C1"),
        row_of(at(25.5), "buyer", "pay", "b", "", -1, 6.0, "C2"),
        *[row_of(at(8 + day), "bot", "view", "i1") for day in range(5)],
        *[row_of(at(22) + n * 60_000, "bot", "view", f"i{n}") for n in range(3 * LIMIT)],
        row_of(at(23), "bot", "view", "i1"),
        *[row_of(at(9.5 + day), "", "view", "i2", "phone") for day in range(3)],
        row_of(at(9.2), "joined", "view", "i1"),
        row_of(at(24.5), "joined", "view", "i1", "phone"),
        row_of(at(25.5), "joined", "view", "i1"),
        row_of(at(8.5), "first", "view", "i1"),
        row_of(at(9.5), "first", "view", "i2", "kiosk"),
        row_of(at(10.5), "", "view", "i3", "kiosk"),
        row_of(at(26.5), "second", "view", "i4", "kiosk"),
        row_of(at(27.5), "first", "view", "i4"),
    ]
    return MessyLog(rows, at(CUT))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("worlds")
    engine = connect("duckdb", folder / "scratch")
    logs = [_named(), *PLAIN, *[draw_log(seed) for seed in range(WORLDS)]]
    compared = compare(logs, folder, engine)
    engine.con.disconnect()
    return compared


def test_the_whole_log_and_the_log_as_it_was_say_the_same(outcomes: Outcomes) -> None:
    """Histories, features, labels and targets of every moment before a world's cut."""
    full, _, faults = outcomes
    assert not faults, "\n".join(faults[:10])
    assert len({user.partition("-")[0] for user, _ in full.labels}) > WORLDS


def test_the_service_knew_the_same(outcomes: Outcomes, tmp_path: Path) -> None:
    """A live store that has seen the rows before a time holds the history of the whole log."""
    faults = live_differences(PLAIN, outcomes[0], tmp_path)
    assert not faults, "\n".join(faults[:10])
    assert live_differences(PLAIN, outcomes[0], tmp_path / "apart", joins=False)


def _events(outcome: Outcome, user: str) -> list[tuple[Any, ...]]:
    return [
        (_day(event), event["action"], event["item_id"], event["value"])
        for event in outcome.events.get(user, [])
    ]


def _day(event: dict[str, Any]) -> int:
    at: datetime = event["event_time"].replace(tzinfo=UTC)
    return int(at.timestamp() - START) // DAY


def _days_asked(outcome: Outcome, user: str) -> set[int]:
    """Days on which goals are asked about a customer."""
    return {(as_of - START) // DAY for name, as_of in outcome.labels if name == user}


def test_a_cancellation_acts_from_its_own_time_on(outcomes: Outcomes) -> None:
    full, then, _ = outcomes
    before = [
        (10, "pay", "a", 10_000_000), (11, "pay", "b", 6_000_000), (13, "refund", "a", -10_000_000),
    ]  # fmt: skip
    assert _events(then, "buyer") == before
    assert _events(full, "buyer") == [*before, (25, "refund", "b", -6_000_000)]


def test_labels_net_within_their_window(outcomes: Outcomes) -> None:
    full = outcomes[0].labels
    day = {day: full["buyer", START + day * DAY] for day in range(11, 22)}
    assert day[11]["pay"] == 1 and day[11]["money"] == -4_000_000
    assert day[12]["pay"] == 0 and day[12]["money"] == -10_000_000


def test_a_bot_was_none_before(outcomes: Outcomes) -> None:
    full, then, _ = outcomes
    assert _events(full, "bot")[:5] == _events(then, "bot")
    assert len(_events(full, "bot")) == 5
    assert max(_days_asked(full, "bot")) == 22 - 3, "what a bot does later is not in the log"


def test_an_id_is_joined_from_the_first_row_that_shows_it(outcomes: Outcomes) -> None:
    full, then, _ = outcomes
    assert len(_events(full, "joined")) == 6 and len(_events(then, "joined")) == 1
    assert min(_days_asked(full, "joined")) == 25
    assert len(_events(then, "phone")) == 3 and not _events(full, "phone")


def test_a_shared_id_was_the_first_customers_until_the_second_came(outcomes: Outcomes) -> None:
    full, then, _ = outcomes
    assert len(_events(then, "first")) == 3 and not _events(then, "kiosk")
    assert len(_events(full, "first")) == 3 and len(_events(full, "kiosk")) == 1
    assert not {10, 11, 20, 26} & _days_asked(full, "first")
    assert 27 in _days_asked(full, "first")
