"""Ids that lost their leading zeros in some files are a question, and both answers work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import command

SETTINGS = """[sources.log]
events = "data/*"
action = "pay"
columns = { user_id = "customer", item_id = "item", event_time = "time", price = "price" }
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(("answer", "n"), [("strip", 12), ("keep", 24)])
def test_lost_zeros(tmp_path: Path, answer: str, n: int) -> None:
    (tmp_path / "data").mkdir()
    for name, month, form in (("jan", 1, "{:05d}"), ("feb", 2, "{}")):
        lines = ["customer,item,time,price"] + [
            f"{form.format(101 + i % 12)},i{i % 5},2024-0{month}-{i % 27 + 1:02d} 10:00:{i:02d},5"
            for i in range(36)
        ]
        (tmp_path / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(SETTINGS)
    outcome = command(tmp_path, "clean")
    assert outcome.code == 3
    assert 'id_zeros = "strip" # yes, a program has lost the zeros: 12 customers' in " ".join(
        outcome.error.split()
    )
    assert 'id_zeros = "keep" # no: 24 customers' in " ".join(outcome.error.split())
    (tmp_path / "propense.toml").write_text(f'{SETTINGS}[clean]\nid_zeros = "{answer}"\n')
    outcome = command(tmp_path, "clean", "--json")
    assert outcome.code == 0 and outcome.money == 360.0
    assert len({row["user_id"] for row in outcome.events}) == n
