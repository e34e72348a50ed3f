"""Files that hold the same events again: exports of several days, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import Outcome, command


def clean(folder: Path, files: dict[str, list[str]], more: str = "", *words: str) -> Outcome:
    (folder / "data").mkdir(exist_ok=True)
    for name, rows in files.items():
        text = "\n".join(["who,sku,at,status,amount", *rows])
        (folder / "data" / name).write_text(text + "\n")
    (folder / "propense.toml").write_text(
        '[sources.shop]\nevents = "data/*"\naction = "pay"\nwhere = {}\n'
        f'columns = {{ user_id = "who", item_id = "sku", event_time = "at", value = "amount" }}\n'
        f"{more}"
    )
    return command(folder, "clean", "--json", *words)


def rows(n: int, status: str, clock: bool, first: int = 0) -> list[str]:
    return [
        f"c{i % 9},S{i % 13},2024-01-{i % 27 + 1:02d}{f' 10:{i % 60:02d}:{i % 53:02d}' * clock},"
        f"{status},{i % 31 + 0.5}" for i in range(first, first + n)
    ]  # fmt: skip


def test_a_later_export_with_another_status_counts(tmp_path: Path) -> None:
    files = {
        "a.csv": rows(60, "processing", clock=True),
        "b.csv": rows(40, "processing", clock=True) + rows(40, "completed", True, 40),
    }
    asked = clean(tmp_path, files)
    assert asked.code == 3 and "overlapping_files" in asked.error
    assert "60 of 60 rows of data/a.csv" in asked.error
    everything = clean(tmp_path, {}, 'overlapping_files = "keep"\n')
    assert everything.code == 0 and len(everything.events) == 100  # equal rows go all the same
    latest = clean(tmp_path, {}, "", "--accept-guesses")
    assert latest.code == 0 and len(latest.events) == 80
    assert latest.rules() == {"older export": 60}


def test_full_exports_of_days(tmp_path: Path) -> None:
    twice = ["c1,S1,2024-01-05,new,7"] * 2
    files = {
        "a.csv": [*rows(40, "new", clock=False), *twice],
        "b.csv": [*rows(60, "new", clock=False), *twice],
    }
    asked = clean(tmp_path, files)
    assert asked.code == 3 and "overlapping_files" in asked.error
    latest = clean(tmp_path, {}, 'overlapping_files = "latest"\n')
    assert latest.code == 0 and len(latest.events) == 62
    assert clean(tmp_path, {}, 'overlapping_files = "keep"\n').rules() == {}


@pytest.mark.parametrize("clock", [True, False])
def test_files_of_their_own_are_no_question(clock: bool, tmp_path: Path) -> None:
    files = {
        "a.csv": rows(60, "new", clock), "b.csv": rows(60, "new", clock, 60),
        "c.csv": rows(6, "old", clock) + rows(60, "old", clock, 200),
    }  # fmt: skip
    outcome = clean(tmp_path, files)
    assert outcome.code == 0 and len(outcome.events) == 186
