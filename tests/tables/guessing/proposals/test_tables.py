"""The tables of customers and items that `init` writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

from propense.settings import parse_settings
from propense.tables.guessing.guess import guess_settings


def test_two_ids_of_a_table_of_customers_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"c{i},m{i // 2},{i % 50},{i % 2}\n" for i in range(300))
    (tmp_path / "users.csv").write_text("customer_id,member_id,age,churned\n" + rows)
    guess = guess_settings(tmp_path)
    (question,) = guess.questions
    assert question.key == "users.columns.user_id"
    assert {choice.value for choice in question.choices} == {"customer_id", "member_id"}
    assert guess.settings.users is not None
    assert guess.settings.users.features == ("age",)
    raw = tomllib.loads(guess.toml.replace('# columns.user_id = "m', 'columns.user_id = "m', 1))
    chosen = parse_settings(raw, folder=tmp_path)
    assert chosen.users is not None and chosen.users.columns == {"user_id": "member_id"}
    assert chosen.open_questions == ()
    answered = guess_settings(tmp_path, answer=lambda question: "member_id")
    assert answered.settings.users is not None
    assert answered.settings.users.features == ("age",)
    assert not answered.questions
