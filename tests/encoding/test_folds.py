"""The keyed deal: stable, balanced, the same as sklearn would balance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from propense.encoding.folds import assign_folds, assign_parts, parts_of_fold, unit_hash

IDS = [f"user {i}" for i in range(5000)]
FRACTIONS = (0.8, 0.15, 0.05)


def test_unit_hash_is_uniform_and_depends_on_every_argument() -> None:
    u = unit_hash(IDS, 0, "part")
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.bincount((u * 10).astype(int), minlength=10)
    assert abs(counts - 500).max() < 90
    for other in (unit_hash(IDS, 1, "part"), unit_hash(IDS, 0, "fold")):
        assert abs(np.corrcoef(u, other)[0, 1]) < 0.05


def test_a_customer_keeps_the_part_when_others_come_and_go() -> None:
    whole = assign_parts(IDS, FRACTIONS, seed=3)
    assert (assign_parts(IDS[2000:2500], FRACTIONS, seed=3) == whole[2000:2500]).all()
    shares = np.bincount(whole, minlength=3) / len(IDS)
    assert shares == pytest.approx(FRACTIONS, abs=0.02)
    assert (assign_parts(IDS, FRACTIONS, seed=4) != whole).mean() > 0.1


@pytest.mark.parametrize("k", [2, 5, 7])
def test_folds_are_as_balanced_as_sklearns(k: int) -> None:
    classes = (np.random.default_rng(0).random(997) < 0.11).astype(np.int8)
    folds = assign_folds(IDS[:997], k, 0, classes)
    theirs = np.empty(997, dtype=int)
    for i, (_, test) in enumerate(StratifiedKFold(k).split(classes, classes)):
        theirs[test] = i
    for mine in (folds, theirs):
        sizes = np.bincount(mine, minlength=k)
        positives = np.bincount(mine[classes == 1], minlength=k)
        assert sizes.max() - sizes.min() <= 1
        assert positives.max() - positives.min() <= 1


def test_a_fold_run_tests_its_fold_and_validates_on_a_share_of_the_rest() -> None:
    folds = assign_folds(IDS, 5, 0)
    seen = np.zeros(len(IDS), dtype=int)
    for i in range(5):
        parts = parts_of_fold(IDS, folds, i, 0, FRACTIONS)
        assert ((parts == 2) == (folds == i)).all()
        rest = parts[folds != i]
        assert (rest == 1).mean() == pytest.approx(0.15 / 0.95, abs=0.02)
        seen += parts == 2
    assert (seen == 1).all()


def test_a_whole_group_goes_to_one_part_of_a_fold() -> None:
    groups = np.array([f"g{i % 40}" for i in range(4000)], dtype=object)
    folds = assign_folds(groups, 4, 0)
    parts = parts_of_fold(groups, folds, 1, 0, FRACTIONS)
    for group in set(groups):
        assert len(set(parts[groups == group].tolist())) == 1
