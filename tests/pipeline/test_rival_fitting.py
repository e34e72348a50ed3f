"""Rivals are fitted side by side, and what they become does not depend on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.errors import TrainError
from propense.pipeline import rival_fitting
from propense.progress import NoProgress
from propense.schemas import TRAIN
from support.training_worlds import rising_dataset, settings

FEW = {"goals": ["tree", "lightgbm", "mlp", "lightgbm_raw"], "items": ["markov"], "trials": 2}


def files_of(folder: Path) -> dict[str, bytes]:
    """What was fitted; notes tell how long it took."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "notes.json"
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return rising_dataset(tmp_path_factory.mktemp("rising"), 60)


def asked(threads: int):
    return settings(rivals=FEW, train={"threads": threads, "seed": 3})


def test_side_by_side_as_one_after_the_other(dataset, tmp_path):
    for threads in (1, 2):
        rival_fitting.fit_rivals(dataset, asked(threads), tmp_path / str(threads), NoProgress())
    alone, together = files_of(tmp_path / "1"), files_of(tmp_path / "2")
    assert len(alone) >= 5
    assert alone == together


def test_the_error_of_one_is_told_and_those_waiting_do_not_begin(dataset, tmp_path, monkeypatch):
    begun = []

    def fail(name, *rest):
        begun.append(name)
        raise TrainError(f"{name} cannot")

    monkeypatch.setattr(rival_fitting, "fit_goal_rival", fail)
    with pytest.raises(TrainError, match="cannot"):
        rival_fitting.fit_rivals(dataset, asked(1), tmp_path, NoProgress())
    assert begun == ["tree"]
    assert not (tmp_path / "items").exists()


def test_rows_that_are_left_out_are_told_of(dataset, tmp_path):
    few = settings(rivals=FEW | {"goals": ["tree"], "items": [], "max_rows": 50})
    rival_fitting.fit_rivals(dataset, few, tmp_path, NoProgress())
    notes = rival_fitting.open_rivals(tmp_path)[0]["pay"]["tree"].notes
    everything = int((dataset.rows.part == TRAIN).sum())
    assert notes.rows <= 50 < notes.rows_available == everything
    assert any(f"of {everything} rows, of whole users" in remark for remark in notes.remarks)
