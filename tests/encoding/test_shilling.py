"""Who pushes an item weighs less, and nobody else does."""

from __future__ import annotations

import numpy as np
import pytest

from propense.encoding.shilling import Log, find_support, lowest, weigh_customers
from propense.schemas import FIRST_KNOWN, Histories

DAY = 86_400
N_ITEMS = 102
PUSHED = 60
Successes = list[tuple[int, int]]
"""(time, item) of each success."""


def histories_of(customers: list[Successes], timed: bool = True) -> Histories:
    customers = [sorted(customer) for customer in customers]
    lengths = [len(customer) for customer in customers]
    flat = [event for customer in customers for event in customer]
    n = len(flat)
    return Histories(
        user_ids=np.array([f"u{number}" for number in range(len(customers))], object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        time=np.array([time for time, _ in flat], np.int64),
        action=np.full(n, 2, np.int16), item=np.array([item for _, item in flat], np.int32),
        source=np.zeros(n, np.int16), value=np.full(n, np.nan, np.float32),
        count=np.ones(n, np.float32), timed=timed,
    )  # fmt: skip


def crowd(n: int = 2_000, seed: int = 0) -> list[Successes]:
    """Honest customers over a year: some items are far more popular, many take a single one."""
    rng = np.random.default_rng(seed)
    taste = 1 / np.arange(1, N_ITEMS - FIRST_KNOWN + 1)
    taste /= taste.sum()
    customers = []
    for _ in range(n):
        start, size = int(rng.integers(365 * DAY)), int(min(rng.geometric(0.25), 20))
        items = rng.choice(len(taste), size, p=taste) + FIRST_KNOWN
        times = start + np.append(0, rng.integers(60 * DAY, size=size - 1))
        customers.append(list(zip(times.tolist(), items.tolist(), strict=True)))
    return customers


def weigh(customers: list[Successes], timed: bool = True) -> np.ndarray:
    histories = histories_of(customers, timed)
    every = np.ones(histories.n_events, bool)
    return weigh_customers(histories, histories.offsets[1:], every, N_ITEMS)


def attackers(n: int, days: int, times: int, others: int = 0, aged: int = 0) -> list[Successes]:
    """Customers who succeed with one item `times` times, `aged` days after another one."""
    rng = np.random.default_rng(9)
    customers = []
    for _ in range(n):
        start = 300 * DAY + int(rng.integers(days * DAY))
        customer = [(start + int(rng.integers(DAY)), PUSHED) for _ in range(times)]
        customer += [
            (start + int(rng.integers(DAY)), int(rng.integers(FIRST_KNOWN, N_ITEMS)))
            for _ in range(others)
        ]
        if aged:
            customer.append((start - aged * DAY, int(rng.integers(FIRST_KNOWN, N_ITEMS))))
        customers.append(customer)
    return customers


def test_honest_customers_weigh_one_nearly_all_of_them() -> None:
    customers = crowd()
    weights = weigh(customers)
    assert ((weights > 0) & (weights <= 1)).all()
    assert (weights < 1).mean() <= 0.005


@pytest.mark.parametrize(
    ("days", "times", "others", "aged"),
    [(3, 1, 0, 0), (3, 8, 0, 0), (60, 8, 0, 0), (3, 6, 9, 0), (60, 6, 9, 0), (3, 6, 9, 40)],
)
def test_attackers_count_little_however_they_go_about_it(
    days: int, times: int, others: int, aged: int
) -> None:
    honest = crowd()
    fakes = attackers(40, days, times, others, aged)
    weights = weigh([*honest, *fakes])
    honest_successes = sum(item == PUSHED for customer in honest for _, item in customer)
    pushed = float(weights[len(honest) :].sum()) * times
    assert pushed < 40 * times / 2
    assert pushed <= 2.5 * honest_successes, "the item more than doubles, and a half"
    assert (1 - weights[: len(honest)]).mean() < 0.015


def test_without_times_narrow_customers_are_still_seen() -> None:
    honest = crowd()
    weights = weigh([*honest, *attackers(40, 3, 8)], timed=False)
    assert weights[len(honest) :].max() < 0.2 and (weights[: len(honest)] < 1).mean() <= 0.005


def test_a_new_item_that_all_take_is_no_fraud() -> None:
    """Old and new customers alike take what has just come out."""
    rng = np.random.default_rng(3)
    customers = crowd()
    for customer in customers:
        if customer[0][0] > 250 * DAY and rng.random() < 0.3:
            customer.append((customer[0][0] + int(rng.integers(20 * DAY)), N_ITEMS - 1))
    weights = weigh(customers)
    takers = np.array([any(item == N_ITEMS - 1 for _, item in customer) for customer in customers])
    assert takers.sum() > 100 and weights[takers].mean() > 0.9


def test_only_what_is_learned_from_is_looked_at() -> None:
    customers = [*crowd(300), *attackers(40, 3, 8)]
    histories = histories_of(customers)
    nothing = histories.offsets[:-1]
    every = np.ones(histories.n_events, bool)
    assert (weigh_customers(histories, nothing, every, N_ITEMS) == 1).all()
    assert (weigh_customers(histories, histories.offsets[1:], ~every, N_ITEMS) == 1).all()


def test_few_customers_are_not_judged() -> None:
    assert (weigh([[(0, 2)], [(DAY, 2)], [(DAY, 3), (2 * DAY, 4)]]) == 1).all()
    assert weigh([[]]).tolist() == [1.0]


def test_where_nearly_all_histories_are_short_nobody_is_called_narrow() -> None:
    rng = np.random.default_rng(4)
    taste = 1 / np.arange(1, 21)
    customers = [
        [(int(rng.integers(400)) * DAY, int(rng.choice(20, p=taste / taste.sum())) + FIRST_KNOWN)]
        for _ in range(1000)
    ]
    customers += [[(k * DAY, 30 + k) for k in range(6)] for _ in range(10)]
    assert (weigh(customers) == 1).all()


def test_support_says_when_and_how_much() -> None:
    histories = histories_of([[(5, 3), (9, 4), (11, 4)], [], [(7, 3)]])
    support = find_support(histories, histories.offsets[1:], np.ones(4, bool), 10)
    assert support.user.tolist() == [0, 0, 2] and support.item.tolist() == [3, 4, 3]
    assert support.times.tolist() == [1, 2, 1] and support.first_time.tolist() == [5, 9, 7]
    assert np.allclose(support.share, [1 / 3, 2 / 3, 1]) and support.begun.tolist() == [5, 5, 7]
    assert support.breadth.tolist() == [2, 2, 1]


def test_sums_and_minima_over_stretches_are_those_counted_by_hand() -> None:
    rng = np.random.default_rng(0)
    item, time = rng.integers(4, size=60), rng.integers(50, size=60)
    amount = rng.random(60)
    asked, begin = rng.integers(5, size=30), rng.integers(-5, 55, size=30)
    expected = [
        amount[(item == i) & (time >= b) & (time < b + 7)].sum()
        for i, b in zip(asked, begin, strict=True)
    ]
    assert np.allclose(Log(item, time, amount).between(asked, begin, 7), expected)
    first = rng.integers(50, size=40)
    stop = first + rng.integers(1, 10, size=40)
    minima = [amount[a:b].min() for a, b in zip(first, stop, strict=True)]
    assert np.array_equal(lowest(amount, first, stop), minima)
