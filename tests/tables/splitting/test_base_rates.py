"""Jumps of base rates: what chance and drift explain is none."""

from __future__ import annotations

import numpy as np
import pytest

from propense.schemas import PartCount, PlanWarning
from propense.tables.splitting.base_rates import RatesInTime, find_jumps
from propense.tables.splitting.cuts import Grid


def warnings_of(
    rates: tuple[float, float, float], n: int, users: int, drift: float = 0.0
) -> list[PlanWarning]:
    """Three parts of `n` rows each, after 20 as-of times of train."""
    counts = [
        PartCount(part, n, users, n, {"pay": round(n * rate)}, {"pay": n})
        for part, rate in zip(("train", "validation", "test"), rates, strict=True)
    ]
    time = RatesInTime(Grid(0, 1, 20), 1)
    odds = np.log(rates[0] / (1 - rates[0])) + drift * np.tile([-1, 1], 10)
    time.rows[0] = 1000
    time.positives[0] = np.round(1000 / (1 + np.exp(-odds)))
    return find_jumps(["pay"], counts, time)


@pytest.mark.parametrize(
    ("rates", "n", "users", "drift", "jumps"),
    [
        ((0.164, 0.164, 0.023), 2000, 500, 0.0, True),
        ((0.164, 0.150, 0.140), 2000, 500, 0.0, False),
        ((0.164, 0.164, 0.023), 2000, 10, 0.0, False),
        ((0.164, 0.164, 0.023), 2000, 500, 1.5, False),
        ((0.02, 0.02, 0.08), 2000, 500, 0.0, True),
        ((0.5, 0.5, 0.6), 20_000, 20_000, 0.0, False),
    ],
)
def test_a_jump_is_more_than_chance_and_drift_explain(
    rates: tuple[float, float, float], n: int, users: int, drift: float, jumps: bool
) -> None:
    warnings = warnings_of(rates, n, users, drift)
    assert bool(warnings) is jumps
    for warning in warnings:
        assert all(f"{rate:.1%}" in warning.text.en for rate in rates)


def test_folds_have_no_order_to_jump_in() -> None:
    counts = [PartCount(f"fold {i}", 9, 9, 9, {"pay": i}, {"pay": 9}) for i in range(3)]
    assert find_jumps(["pay"], counts, RatesInTime(None, 1)) == []
