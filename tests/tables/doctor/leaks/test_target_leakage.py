"""Columns that leak the label are found, honest ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.settings import TableSource
from propense.tables.doctor.leaks.column_views import read_columns
from propense.tables.doctor.leaks.labels import cells_of
from propense.tables.doctor.leaks.target_leakage import (
    RowViews,
    assign_folds,
    auc,
    group_cells,
    score_columns,
    sentence,
)
from tests.support.real_data import real_data

N = 4000


def scored(y: npt.NDArray[Any], **columns: npt.NDArray[Any]) -> dict[str, Any]:
    scores = score_columns("goal", y.astype(float), np.arange(len(y)), columns, len(y))
    return {score.column: score for score in scores}


def test_numeric_word_and_missing_leaks() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.1).astype(float)
    words = np.where(y > 0, "left", np.where(rng.random(N) < 0.5, "a", "b")).astype(object)
    closed = np.where(y > 0, rng.random(N), np.nan)
    honest = y + rng.normal(size=N)
    scores = scored(
        y, result=words, closed_at=closed, noisy=y * 10 + rng.normal(size=N), honest=honest,
        identity=np.array([f"id{i}" for i in range(N)], dtype=object),
    )  # fmt: skip
    assert [name for name, score in scores.items() if score.knows] == [
        "closed_at", "result", "noisy",
    ]  # fmt: skip
    assert scores["closed_at"].missing_auc == 1.0
    assert "is empty predicts 'goal'" in sentence(scores["closed_at"])
    assert 0.7 < scores["honest"].auc < 0.8
    assert scores["identity"].auc == pytest.approx(0.5, abs=0.02)


def test_non_monotone_number_is_found() -> None:
    """A number that tells by its middle has a rank AUC of .5; its bins tell all the same."""
    rng = np.random.default_rng(1)
    x = rng.random(N)
    y = (np.abs(x - 0.5) < 0.1).astype(float)
    assert scored(y, x=x)["x"].knows


def test_column_that_knows_the_whole_life() -> None:
    """At each moment most later leavers are still 0; the column knows who ever leaves."""
    rng = np.random.default_rng(2)
    n_users, n_times = 2000, 10
    leaves = rng.random(n_users) < 0.4
    when = rng.integers(0, n_times, n_users)
    users = np.repeat(np.arange(n_users), n_times)
    at = np.tile(np.arange(n_times), n_users)
    y = (leaves[users] & (at == when[users])).astype(float)
    y[leaves[users] & (at > when[users])] = np.nan
    result = np.where(leaves, "Withdrawn", "Pass").astype(object)
    (score,) = score_columns("leave", y, users, {"result": result}, n_users)
    assert score.auc < 0.95
    assert score.ever_auc > 0.99
    assert score.knows
    assert "ever comes true" in sentence(score)


def test_date_of_joining_is_no_leak() -> None:
    """Who joined earlier was asked more often and so has nearly always been positive once."""
    rng = np.random.default_rng(3)
    joined = rng.integers(0, 40, 3000)
    users = np.repeat(np.arange(3000), 40 - joined)
    as_of = np.concatenate([np.arange(day, 40) for day in joined])
    y = (rng.random(len(users)) < 0.15).astype(float)
    columns = {"joined": joined.astype(float)}
    (naive,) = score_columns("pay", y, users, columns, 3000)
    (score,) = score_columns("pay", y, users, columns, 3000, as_of)
    assert naive.ever_auc > 0.85
    assert score.ever_auc == pytest.approx(0.5, abs=0.02)


def test_everybody_is_positive_at_some_time() -> None:
    """Then whole lives tell nothing, and the moments are judged alone."""
    users = np.repeat(np.arange(200), 2)
    y = np.tile([0.0, 1.0], 200)
    shade = np.arange(200) % 3 * 1.0
    (score,) = score_columns("pay", y, users, {"shade": shade}, 200)
    assert score.ever_auc == score.auc
    assert not score.knows


def test_flag_of_one_period_is_found_in_its_part() -> None:
    """A flag of the test period says little about all rows, and everything about those of test."""
    rng = np.random.default_rng(4)
    n_users, n_times = 1000, 10
    users = np.repeat(np.arange(n_users), n_times)
    at = np.tile(np.arange(n_times), n_users)
    y = (rng.random(len(users)) < 0.3).astype(float)
    flag = y[at == n_times - 1]
    rows = RowViews(parts=np.where(at == n_times - 1, "test", "train").astype(object))
    (score,) = score_columns("pay", y, users, {"flag": flag}, n_users, at, rows)
    assert score.auc < 0.8
    assert (score.part, score.knows) == ("test", True)
    assert "in the test part" in sentence(score)


def test_column_is_judged_as_each_row_sees_it() -> None:
    """A time that is hidden where it lies after as_of tells by being hidden."""
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(500), 4)
    as_of = np.tile(np.arange(4), 500) * 10.0
    last = rng.integers(0, 40, 500)
    y = (last[users] <= as_of).astype(float)
    cells = np.where(last[users] <= as_of, as_of - last[users], np.nan)
    (score,) = score_columns("churn", y, users, {}, 500, None, RowViews(cells={"last": cells}))
    assert score.missing_auc == 1.0


def test_few_positives_say_nothing() -> None:
    y = np.zeros(500)
    y[:19] = 1
    assert scored(y, copy=y) == {}
    y[19] = 1
    assert scored(y, copy=y)["copy"].knows


def test_unasked_rows_do_not_count() -> None:
    y = np.tile([0.0, 1.0, np.nan], 200)
    score = scored(y, copy=np.nan_to_num(y))["copy"]
    assert score.rows == 400
    assert score.positives == 200


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_auc_is_the_chance_of_a_pair(rows: list[tuple[bool, int]]) -> None:
    y = np.array([row[0] for row in rows], dtype=float)
    score = np.array([row[1] for row in rows], dtype=float)
    if 0 < y.sum() < len(y):
        pairs = score[y > 0][:, None] - score[y == 0][None, :]
        assert auc(y, score) == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)


def test_groups_keep_ties_together() -> None:
    cells = np.repeat(np.arange(100.0), 7)
    group, n = group_cells(cells)
    assert n <= 65
    for value in range(100):
        assert len(set(group[cells == value].tolist())) == 1


def test_folds_are_even_and_fixed() -> None:
    counts = np.bincount(assign_folds(10_000))
    assert len(counts) == 5
    assert counts.min() > 1800
    assert assign_folds(10).tolist() == assign_folds(1000)[:10].tolist()


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "delimiter", "label", "positive", "knows", "strongest"),
    [
        ("telco_churn/WA_Fn-UseC_-Telco-Customer-Churn.csv", ",", "Churn", "Yes", [], "Contract"),
        (
            "online_shoppers/online_shoppers_intention.csv", ";", "Revenue", True, [], "PageValues"
        ),
        ("oulad/student.csv.gz", ",", None, "Withdrawn", ["final_result"], "final_result"),
    ],
)  # fmt: skip
def test_real_tables(
    file: str, delimiter: str, label: str | None, positive: object, knows: list[str],
    strongest: str,
) -> None:  # fmt: skip
    path = real_data(file)
    table: pa.Table = pyarrow.csv.read_csv(
        path, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter)
    )
    answers = table[label or "final_result"].to_pylist()
    y = np.array([answer == positive for answer in answers], dtype=float)
    names = [name for name in table.column_names if name != label]
    columns = cells_of(read_columns(table, TableSource(path=""), names[0], names))
    scores = scored(y, **columns)
    assert next(iter(scores)) == strongest
    assert [name for name, score in scores.items() if score.knows] == knows
