"""Columns that know the future, in many forms and worlds, beside columns that were known before."""

from __future__ import annotations

from benchmarks.proof import Proof
from tests.support.shops.leak_worlds import FORMS, QUANTITIES, make_world, search_columns

KIND = "truth"
CLAIM = (
    "a column that follows the end of the log is found in any monotone form, also with 5 % of "
    "wrong cells, and no column that was known before is"
)
WORLDS = ((500, 0.12), (1000, 0.03), (1000, 0.12), (1000, 0.5), (3000, 0.12))
"""Customers, and events a day of an average one."""
SEEDS = 8
DETECTED = 0.98
DETECTED_NOISY = 0.90
"""Least shares of leaks that are found, as they are and with wrong cells; worlds of 500 customers
and buckets of a quantity are the hardest."""
NOISE = 0.05


def prove() -> Proof:
    """Counts leaks that are found and honest columns that are not."""
    shares = {0.0: [0, 0], NOISE: [0, 0]}
    n_honest, wrong = 0, []
    for seed in range(SEEDS):
        for n, rate in WORLDS:
            world = make_world(n, seed, rate)
            for noise, counts in shares.items():
                columns = {
                    f"{quantity} {form}": change(world.noisy(world.final(quantity), noise))
                    for quantity in QUANTITIES for form, change in FORMS.items()
                }  # fmt: skip
                leaks, _ = search_columns(world, columns, {}, "user" if seed % 2 else "time")
                counts[0] += len(leaks)
                counts[1] += len(columns)
            numbers, times = world.honest()
            leaks, late = search_columns(world, numbers, times)
            n_honest += len(numbers) + len(times)
            wrong += sorted(leaks | late)
    exact, noisy = (counts[0] / counts[1] for counts in shares.values())
    passed = exact >= DETECTED and noisy >= DETECTED_NOISY and not wrong
    return Proof(
        CLAIM, KIND, "pass" if passed else "fail",
        f"{exact:.1%} of {shares[0.0][1]:,} leaks, {noisy:.1%} with 5 % of wrong cells; "
        f"{len(wrong)} of {n_honest:,} honest columns stopped {sorted(set(wrong)) or ''}".strip(),
        f"{DETECTED:.0%}, {DETECTED_NOISY:.0%} and 0",
    )  # fmt: skip
