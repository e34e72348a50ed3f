"""Equal rows of other people's logs: repeats where times tell them apart, pieces where not."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.trials import Outcome, command

SETTINGS = """[sources.log]
events = "data/*"
action = "pay"
columns = { user_id = "customer", item_id = "item", event_time = "time", price = "price" }
"""


def clean_log(folder: Path, form: str, step: timedelta, clean: str = "") -> Outcome:
    """Clean 40 rows, of which every fourth stands twice."""
    start = datetime(2024, 1, 1, 9, 3, 7)
    lines = ["customer,item,time,price"]
    for number in range(40):
        line = f"u{number % 9},i{number % 5},{(start + number * step).strftime(form)},5.00"
        lines += [line] * (2 if number % 4 == 0 else 1)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "log.csv").write_text("\n".join(lines) + "\n")
    (folder / "propense.toml").write_text(SETTINGS + clean)
    return command(folder, "clean", "--json")


MINUTES = [
    ("%Y-%m-%d %H:%M", timedelta(hours=5, minutes=11)),
    ("%Y-%m-%dT%H:%M:00Z", timedelta(hours=31, minutes=7)),
    ("%d.%m.%Y %H:%M", timedelta(hours=50, minutes=3)), ("%Y-%m-%d %H:00", timedelta(hours=7)),
    ("%Y-%m-%d", timedelta(days=1)),
]  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize(("form", "step"), MINUTES)
def test_equal_rows_of_a_minute_are_further_pieces(
    tmp_path: Path, form: str, step: timedelta
) -> None:
    outcome = clean_log(tmp_path, form, step)
    assert outcome.code == 0 and len(outcome.events) == 50 and outcome.money == 250.0
    notes = {rule["name"]: rule.get("note", "") for rule in outcome.accounts[0]["rules"]}
    assert notes["equal rows kept"].startswith("10 rows equal an earlier row")
    assert '[clean] exact_duplicates = "drop"' in notes["equal rows kept"]
    other = clean_log(tmp_path / "drop", form, step, '[clean]\nexact_duplicates = "drop"\n')
    assert len(other.events) == 40


def test_equal_rows_of_a_second_go_with_a_warning(tmp_path: Path) -> None:
    step = timedelta(hours=5, seconds=11)
    outcome = clean_log(tmp_path, "%Y-%m-%d %H:%M:%S", step)
    assert outcome.code == 0 and len(outcome.events) == 40
    (warning,) = [line for line in outcome.error.splitlines() if line.startswith("warning")]
    assert "'duplicate' sets aside 10 of 50 rows (20.0%)" in warning
    assert '[clean] exact_duplicates = "keep"' in warning
    keep = '[clean]\nexact_duplicates = "keep"\n'
    again = clean_log(tmp_path / "keep", "%Y-%m-%d %H:%M:%S", step, keep)
    assert len(again.events) == 50 and "warning" not in again.error
