"""The published leave-one-out protocol on Amazon Beauty, by its published numbers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from propense.encoding.dataset import encode
from propense.schemas import TEST, VALIDATION, SplitPlan
from propense.settings import parse_settings
from support.encoding_runs import event, make_run


@pytest.mark.data
def test_beauty_leaves_one_out_for_every_customer(tmp_path: Path, data_folder: Path) -> None:
    with gzip.open(data_folder / "amazon-beauty" / "Beauty.txt.gz", "rt") as lines:
        rows = [line.split() for line in lines]
    logs = {row[0]: [event(None, "buy", item) for item in row[1:]] for row in rows}
    plan = SplitPlan(by="leave_one_out", timed=False, goals=[], counts=[])
    made = encode(
        make_run(tmp_path / "beauty", logs, plan),
        parse_settings({"sources": {"a": {"events": "x"}}, "recommend": {}}),
    )
    histories, targets = made.histories, made.targets
    assert (histories.n_users, histories.n_events) == (22_363, 198_502)
    assert np.bincount(targets.part).tolist() == [0, 22_363, 22_363]
    assert (np.diff(targets.item_offsets) == 1).all()
    last = histories.offsets[1:][targets.user]
    back = np.where(targets.part == TEST, 1, 2)
    assert (targets.end == last - back).all()
    assert (targets.items == histories.item[targets.end]).all()
    n_train = made.train_end - histories.offsets[:-1]
    assert n_train.sum() == 198_502 - 2 * 22_363
    of_last = targets.part == VALIDATION
    assert (targets.end[of_last] == made.train_end[targets.user[of_last]]).all()
