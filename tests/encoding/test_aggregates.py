"""Aggregates against a plain reading of their definition, and against the future."""

from __future__ import annotations

import datetime as dt
import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.aggregates import AggregateSpec, aggregate_names, aggregates
from propense.encoding.encoder import Encoder, Lexicon
from propense.encoding.history import slice_users
from propense.encoding.items import ContentSpec
from propense.encoding.profiles import Profiles, ProfileSpec
from propense.encoding.vocabulary import Vocabulary
from propense.schemas import NO_TIME, Histories
from support.encoding_runs import DAY

ZONE = "America/New_York"
START = 1_700_000_000
SPEC = AggregateSpec(
    timed=True, has_events=True, actions=(2, 3), action_names=("view", "pay"), sources=(2, 3),
    source_names=("app", "web"), windows=(7 * DAY, 30 * DAY), window_names=("7d", "30d"),
    time_zone=ZONE, weighted=True, valued=True, itemed=True, until=START + 100 * DAY,
)  # fmt: skip
ORDER_ONLY = AggregateSpec(
    timed=False,
    actions=(2, 3),
    action_names=("view", "pay"),
    windows=(),
    until=0,
    weighted=True,
    valued=True,
    itemed=True,
)

Row = tuple[int, int, int, int, float | None, float]
"""time, action, item, source, value, count"""

ROWS = st.tuples(
    st.integers(0, 60 * DAY).map(lambda t: START + t - t % 1800), st.integers(1, 4),
    st.integers(0, 4), st.integers(0, 3),
    st.none() | st.sampled_from([0.1, 19.99, -5.0, 1e7, 3.0]), st.sampled_from([1.0, 2.5]),
)  # fmt: skip
LOGS = st.lists(st.lists(ROWS, max_size=9), min_size=1, max_size=4)
TIMES = st.integers(-2 * DAY, 70 * DAY).map(lambda t: START + t - t % 1800)


def histories_of(logs: list[list[Row]], timed: bool = True) -> Histories:
    logs = [sorted(log, key=lambda row: row[:2]) if timed else log for log in logs]
    rows = [row for log in logs for row in log]
    time = [row[0] for row in rows] if timed else [k for log in logs for k in range(len(log))]
    return Histories(
        np.array([f"u{k}" for k in range(len(logs))], object),
        np.concatenate([[0], np.cumsum([len(log) for log in logs])]).astype(np.int64),
        np.array(time, np.int64),
        np.array([row[1] for row in rows], np.int16),
        np.array([row[2] for row in rows], np.int32),
        np.array([row[3] for row in rows], np.int16),
        np.array([math.nan if row[4] is None else row[4] for row in rows], np.float32),
        np.array([row[5] for row in rows], np.float32),
        timed,
    )


def expected_row(log: list[Row], as_of: int) -> dict[str, float]:
    """Every aggregate by its definition, one customer at one moment."""
    nan = math.nan
    past = sorted([row for row in log if row[0] < as_of], key=lambda row: row[:2])
    ends = {"7d": as_of - 7 * DAY, "30d": as_of - 30 * DAY, "all": -(10**18)}
    within = {name: [row for row in past if row[0] >= low] for name, low in ends.items()}
    local = [dt.datetime.fromtimestamp(row[0], ZoneInfo(ZONE)) for row in past]
    out: dict[str, float] = {f"events_{name}": len(rows) for name, rows in within.items()}

    def since(rows: list[Row]) -> float:
        return (as_of - rows[-1][0]) / DAY if rows else nan

    for index, action in ((2, "view"), (3, "pay")):
        for name, rows in within.items():
            out[f"{action}_{name}"] = sum(row[1] == index for row in rows)
        mine = [row for row in past if row[1] == index]
        out[f"{action}_share"] = len(mine) / len(past) if past else nan
        out[f"{action}_days_since"] = since(mine)
    for index, source in ((2, "app"), (3, "web")):
        mine = [row for row in past if row[3] == index]
        out[f"source_{source}_all"] = len(mine)
        out[f"source_{source}_days_since"] = since(mine)
    for name, rows in within.items():
        out[f"value_{name}"] = sum(row[4] for row in rows if row[4] is not None)
    values = [row[4] for row in past if row[4] is not None]
    out["value_events"] = len(values)
    out["value_mean"] = sum(values) / len(values) if values else nan
    out["value_last"] = values[-1] if values else nan
    for name, rows in within.items():
        out[f"count_{name}"] = sum(row[5] for row in rows)
        out[f"view_count_{name}"] = sum(row[5] for row in rows if row[1] == 2)
        out[f"pay_count_{name}"] = sum(row[5] for row in rows if row[1] == 3)
    out["distinct_items"] = len({row[2] for row in past if row[2] >= 2})
    for name, low in ends.items():
        out[f"active_days_{name}"] = len(
            {day.date() for day, row in zip(local, past, strict=True) if row[0] >= low}
        )
    for name, length in (("7d", 7 * DAY), ("30d", 30 * DAY)):
        recent = len(within[name])
        before = sum(as_of - 2 * length <= row[0] < as_of - length for row in past)
        out[f"trend_{name}"] = (recent - before) / (recent + before) if recent + before else nan
    times = sorted({row[0] for row in past})
    gaps = np.diff(times) / DAY
    out["days_since_first"] = (as_of - times[0]) / DAY if times else nan
    out["days_since_last"] = since(past)
    out["gap_days_mean"] = float(gaps.mean()) if len(gaps) else nan
    out["gap_days_sd"] = float(gaps.std()) if len(gaps) else nan
    n_night = sum(day.hour < 6 or day.hour >= 22 for day in local)
    out["night_share"] = n_night / len(past) if past else nan
    out["weekend_share"] = sum(day.weekday() >= 5 for day in local) / len(past) if past else nan
    return out


@settings(deadline=None, max_examples=80)
@given(LOGS, st.lists(st.tuples(st.integers(0, 3), TIMES), min_size=1, max_size=6))
def test_every_number_is_its_definition(logs: list[list[Row]], rows: list[tuple[int, int]]) -> None:
    rows = [(user % len(logs), as_of) for user, as_of in rows]
    made, names = aggregates(
        histories_of(logs), np.array([u for u, _ in rows], np.int32),
        np.array([t for _, t in rows], np.int64), SPEC,
    )  # fmt: skip
    assert made.dtype == np.float32 and made.shape == (len(rows), len(names))
    for numbers, (user, as_of) in zip(made, rows, strict=True):
        expected = expected_row(logs[user], as_of)
        assert set(expected) == set(names)
        for name, number in zip(names, numbers.tolist(), strict=True):
            # The deviation of nearly equal gaps loses half its digits to cancellation.
            near = 1e-3 if name == "gap_days_sd" else 1e-6
            assert number == pytest.approx(expected[name], rel=1e-5, abs=near, nan_ok=True), name


@settings(deadline=None, max_examples=60)
@given(LOGS, st.lists(ROWS, max_size=4), st.integers(0, 3), TIMES)
def test_nothing_at_or_after_the_moment_is_read(
    logs: list[list[Row]], later: list[Row], user: int, as_of: int
) -> None:
    user %= len(logs)
    after = [(as_of + abs(row[0] - START), *row[1:]) for row in later]
    more = [log + after if k == user else log for k, log in enumerate(logs)]
    rows = np.array([user], np.int32), np.array([as_of], np.int64)
    before, _ = aggregates(histories_of(logs), *rows, SPEC)
    with_future, _ = aggregates(histories_of(more), *rows, SPEC)
    assert before.tobytes() == with_future.tobytes()


@settings(deadline=None, max_examples=40)
@given(LOGS, st.lists(st.tuples(st.integers(0, 3), TIMES), min_size=1, max_size=5), st.booleans())
def test_a_row_has_the_same_bits_alone_and_in_bulk(
    logs: list[list[Row]], rows: list[tuple[int, int]], timed: bool
) -> None:
    histories, spec = histories_of(logs, timed), SPEC if timed else ORDER_ONLY
    user = np.array([u % len(logs) for u, _ in rows], np.int32)
    as_of = np.array([t for _, t in rows], np.int64) if timed else np.full(len(rows), NO_TIME)
    bulk, _ = aggregates(histories, user, as_of, spec)
    for row, owner in enumerate(user.tolist()):
        alone, _ = aggregates(
            slice_users(histories, owner, owner + 1), np.zeros(1, np.int32),
            as_of[row : row + 1], spec,
        )  # fmt: skip
        assert alone.tobytes() == bulk[row : row + 1].tobytes()


def test_a_row_without_a_moment_sees_everything_and_is_dated_by_the_spec() -> None:
    log: list[Row] = [(START, 2, 2, 2, None, 1.0), (START + 10 * DAY, 3, 3, 2, 5.0, 1.0)]
    made, names = aggregates(
        histories_of([log]), np.zeros(2, np.int32), np.array([NO_TIME, START + 100 * DAY]), SPEC
    )
    assert made[0].tobytes() == made[1].tobytes()
    late: list[Row] = [*log, (START + 200 * DAY, 2, 2, 2, None, 1.0)]
    made, names = aggregates(histories_of([late]), np.zeros(1, np.int32), np.array([NO_TIME]), SPEC)
    assert made[0, names.index("events_all")] == 3
    assert 0 < made[0, names.index("days_since_last")] < 1e-4


def test_order_only_is_counts_only() -> None:
    log: list[Row] = [(0, 2, 2, 2, 4.0, 1.0), (0, 3, 2, 2, None, 2.0), (0, 2, 3, 2, 6.0, 1.0)]
    made, names = aggregates(
        histories_of([log, []], timed=False), np.array([0, 1], np.int32),
        np.full(2, NO_TIME), ORDER_ONLY,
    )  # fmt: skip
    first = dict(zip(names, made[0].tolist(), strict=True))
    assert first == {
        "events_all": 3, "view_all": 2, "view_share": pytest.approx(2 / 3), "view_events_since": 0,
        "pay_all": 1, "pay_share": pytest.approx(1 / 3), "pay_events_since": 1, "value_all": 10,
        "value_events": 2, "value_mean": 5, "value_last": 6, "distinct_items": 2,
        "count_all": 4, "view_count_all": 2, "pay_count_all": 2,
    }  # fmt: skip
    assert made[1, names.index("events_all")] == 0
    assert np.isnan(made[1, names.index("pay_events_since")])


def test_night_is_from_22_to_6_and_the_weekend_two_days() -> None:
    zone = ZoneInfo(ZONE)
    friday = dt.datetime(2026, 1, 30, tzinfo=zone)
    for hour, night, weekend in ((5, 1, 0), (6, 0, 0), (21, 0, 0), (22, 1, 0), (24, 1, 1),
                                 (60, 0, 1), (72, 1, 0)):  # fmt: skip
        time = int(friday.timestamp()) + hour * 3600
        made, names = aggregates(
            histories_of([[(time, 2, 2, 2, None, 1.0)]]), np.array([0], np.int32),
            np.array([time + 1]), SPEC,
        )  # fmt: skip
        shares = [made[0, names.index(name)] for name in ("night_share", "weekend_share")]
        assert shares == [night, weekend], hour


def test_columns_that_would_say_nothing_are_not_made() -> None:
    plain = AggregateSpec(actions=(2,), action_names=("view",))
    made, names = aggregates(
        histories_of([[(START, 2, 2, 2, 5.0, 2.0)]]), np.array([0], np.int32),
        np.array([START + DAY]), plain,
    )  # fmt: skip
    assert not [name for name in names if "value" in name or "count" in name or "item" in name]
    assert made[0, names.index("view_all")] == made[0, names.index("events_all")] == 1


def test_without_events_there_are_no_columns() -> None:
    spec = AggregateSpec(has_events=False)
    made, names = aggregates(histories_of([[], []]), np.array([1], np.int32), np.array([5]), spec)
    assert made.shape == (1, 0) and names == aggregate_names(spec) == ()


def test_sums_of_money_are_exact_beyond_float32() -> None:
    log: list[Row] = [(START + k, 2, 2, 2, 0.1, 1.0) for k in range(1000)]
    log.append((START + 2000, 2, 2, 2, 3e12, 1.0))
    made, names = aggregates(
        histories_of([log]), np.zeros(2, np.int32), np.array([START + 1500, START + 3000]), SPEC
    )
    value = names.index("value_all")
    assert made[0, value] == np.float32(100)
    assert made[1, value] == np.float32(3e12)


def test_rows_in_any_order_and_chunk_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    logs = [
        [(START + int(t) * 3600, 2 + int(t) % 2, int(t) % 4, 2, float(t), 1.0)
         for t in rng.integers(0, 1000, rng.integers(0, 12))]
        for _ in range(30)
    ]  # fmt: skip
    histories = histories_of(logs)
    lexicon = Lexicon(
        Vocabulary(("view", "pay")), Vocabulary(("app", "web")), Vocabulary(("a", "b", "c")), 5,
        True, ProfileSpec(), ContentSpec(), SPEC, (2,), False, 1.0,
    )  # fmt: skip
    encoder = Encoder.of(lexicon, (), np.zeros(0, np.float32))
    profiles = Profiles(
        np.zeros((30, 0), np.float32), np.zeros((30, 0), np.int32), np.zeros((30, 0), np.int64),
        np.full(30, NO_TIME), {},
    )  # fmt: skip
    user = rng.integers(0, 30, 100).astype(np.int32)
    as_of = START + rng.integers(0, 1000, 100) * 3600
    whole = encoder.features(histories, profiles, user, as_of).numeric
    assert whole.tobytes() == aggregates(histories, user, as_of, SPEC)[0].tobytes()
    monkeypatch.setattr("propense.encoding.encoder.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("propense.encoding.encoder._EVENTS_AT_ONCE", 10)
    assert encoder.features(histories, profiles, user, as_of).numeric.tobytes() == whole.tobytes()
