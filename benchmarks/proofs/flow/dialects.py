"""Tables in every guessable dialect are read back, by `clean` and by `init`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.proof import Proof
from tests.support.reading.dialects import Case, cases, outcome, sampled

KIND = "truth"
CLAIM = (
    "any table in a guessable dialect is read back, asked about or refused; never a silent change"
)
EXAMPLES = 20_000
"""Half of them are read as `clean` does, half as `init` does."""


def prove() -> Proof:
    counts: Counter[str] = Counter()
    examples: list[str] = []
    for reading in (outcome, sampled):
        _try(reading, counts, examples)
    figure = ", ".join(f"{n:,} {name}" for name, n in counts.most_common())
    if examples:
        figure += f"; such as {examples[0][:300]}"
    status = "fail" if counts["DIFFERENT"] else "pass"
    return Proof(CLAIM, KIND, status, f"{counts.total():,} tables: {figure}", "none DIFFERENT")


def _try(
    reading: Callable[[Case], tuple[str, str]], counts: Counter[str], examples: list[str]
) -> None:
    @seed(1)
    @settings(
        max_examples=EXAMPLES // 2, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases())
    def each(case: Case) -> None:
        verdict, words = reading(case)
        counts[verdict] += 1
        if verdict == "DIFFERENT":
            examples.append(words)

    each()
