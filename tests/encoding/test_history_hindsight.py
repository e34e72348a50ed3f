"""Which rows lie in a stretch of hindsight, against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.history import Hindsight
from propense.schemas import NO_TIME

NEVER = int(np.iinfo(np.int64).max)
SPANS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 20) | st.none()), max_size=6
)
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40) | st.just(NO_TIME)), max_size=20)


@settings(deadline=None, max_examples=150)
@given(spans=SPANS, rows=ROWS, within=st.integers(0, 8))
def test_covered_rows(
    spans: list[tuple[int, int, int | None]], rows: list[tuple[int, int]], within: int
) -> None:
    plain = sorted(
        (user, 10**6 * begin + 5, NEVER if long is None else 10**6 * (begin + long) + 5)
        for user, begin, long in spans
    )
    columns = np.array(plain, np.int64).reshape(-1, 3).T
    hindsight = Hindsight(columns[0], columns[1], columns[2])
    users, as_of = np.array(rows, np.int64).reshape(-1, 2).T
    expected = [
        at != NO_TIME
        and any(
            user == owner and begin < (at + within) * 10**6 and at * 10**6 <= end
            for owner, begin, end in plain
        )
        for user, at in rows
    ]
    assert hindsight.covers(users, as_of, within).tolist() == expected
