"""Lists judged over time: the figures are plain means, their differences are paired."""

from __future__ import annotations

import numpy as np
import pytest

from propense.evaluation.cut_records import POOLED, CutRow
from propense.evaluation.judging.cuts import ScoredCut, judge_cuts
from propense.evaluation.report.page.cuts import cuts_html


def scored(name: str, seed: int, n: int = 400) -> ScoredCut:
    rng = np.random.default_rng(seed)
    user = np.sort(rng.integers(0, 120, n))
    first = np.zeros(n, bool)
    first[np.unique(user, return_index=True)[1]] = True
    good = np.clip(rng.normal(0.4, 0.2, n), 0, 1)
    return ScoredCut(
        name, user, first, user < 30,
        {
            ("network", "live"): good,
            ("ease", "live"): np.clip(good - 0.1 + rng.normal(0, 0.02, n), 0, 1),
            ("network", "frozen"): np.clip(good - 0.05, 0, 1),
        },
    )  # fmt: skip


def judged(cuts: list[ScoredCut]) -> dict[tuple[str, ...], CutRow]:
    rows = judge_cuts(cuts, "network", 400, np.random.default_rng(0))
    return {(row.cut, row.protocol, row.customers, row.counts, row.model): row for row in rows}


def test_each_figure_is_the_mean_of_its_moments():
    cuts = [scored("2024-01-01T00:00:00Z", 1), scored("2024-02-01T00:00:00Z", 2)]
    rows = judged(cuts)
    one = cuts[0]
    chosen = {
        ("successive", "all"): np.ones(400, bool), ("first", "all"): one.is_first,
        ("successive", "cold"): one.is_cold, ("successive", "warm"): ~one.is_cold,
        ("first", "cold"): one.is_first & one.is_cold,
    }  # fmt: skip
    for (protocol, customers), mask in chosen.items():
        row = rows[one.cut, protocol, customers, "live", "ease"]
        assert row.rows == mask.sum()
        assert row.ndcg10 == pytest.approx(one.ndcg10["ease", "live"][mask].mean())
    pooled = rows[POOLED, "successive", "all", "live", "network"]
    both = np.concatenate([each.ndcg10["network", "live"] for each in cuts])
    assert (pooled.rows, pooled.ndcg10) == (800, pytest.approx(both.mean()))
    low, high = pooled.interval
    assert low < pooled.ndcg10 < high and pooled.paired is None


def test_a_paired_difference_is_sure_where_the_figures_overlap():
    rows = judged([scored("2024-01-01T00:00:00Z", 1)])
    assert {cut for cut, *_ in rows} == {"2024-01-01T00:00:00Z"}
    ease = rows["2024-01-01T00:00:00Z", "successive", "all", "live", "ease"]
    paired = ease.paired
    assert paired is not None and paired.against == "network"
    assert paired.low < paired.value < paired.high < -0.08
    frozen = rows["2024-01-01T00:00:00Z", "successive", "all", "frozen", "network"]
    assert frozen.paired is not None and frozen.paired.high < 0


def test_the_page_shows_the_pooled_cuts_and_is_empty_without_any():
    cuts = [scored("2024-01-01T00:00:00Z", 1), scored("2024-02-01T00:00:00Z", 2)]
    page = cuts_html(judge_cuts(cuts, "network", 50, np.random.default_rng(0)))
    assert (
        "800" in page and "cuts in time: 2" in page and page.index("network") < page.index("EASE")
    )
    assert cuts_html([]) == ""
