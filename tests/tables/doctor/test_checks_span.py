"""The span of times."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propense.tables.doctor.checks_span import check_span

YEAR = 365 * 24


@given(st.integers(20, 300), st.integers(1, 600), st.booleans())
def test_a_time_far_outside_is_found(n: int, years: int, before: bool) -> None:
    start = 450_000
    hours = start + np.arange(n)
    assert check_span(hours, np.ones(n, np.int64)) == []
    far = start - 4 * YEAR - years * 24 * 30 if before else start + n + 4 * YEAR + years * 24 * 30
    findings = check_span(np.sort(np.append(hours, far)), np.ones(n + 1, np.int64))
    assert len(findings) == int(abs(far - start) > 5 * YEAR)
    if findings:
        assert findings[0].count == 1 and "(1 events)" in findings[0].examples[0]


def test_the_remedy_names_the_bounds() -> None:
    hours = np.concatenate([[0], 473_352 + np.arange(0, 30 * 24, 24), [596_136]])
    (finding,) = check_span(hours, np.ones(len(hours), np.int64))
    assert finding.sentence.startswith("times span 1970-01-01 to 2038-01-03")
    assert 'earliest = "2023-12-02"' in finding.remedy and finding.count == 2


def test_long_logs_and_short_ones_are_right() -> None:
    hours = np.arange(0, 20 * YEAR, 24)
    assert check_span(hours, np.ones(len(hours), np.int64)) == []
    assert check_span(hours[[0, -1]], np.ones(2, np.int64)) == []
