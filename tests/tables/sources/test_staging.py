"""Any table written in a guessable dialect is read back, or there is a question or a refusal."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.support.reading.dialects import Case, cases, outcome, sampled

QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


@QUICK
@given(cases())
def test_a_table_in_any_dialect_is_read_back(case: Case) -> None:
    verdict, words = outcome(case)
    assert verdict != "DIFFERENT", words


@QUICK
@given(cases())
def test_init_reads_it_too(case: Case) -> None:
    verdict, words = sampled(case)
    assert verdict != "DIFFERENT", words
