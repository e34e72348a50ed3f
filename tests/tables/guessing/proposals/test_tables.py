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


def test_names_places_and_what_knows_the_outcome_are_no_features(tmp_path: Path) -> None:
    rows = [
        f"{i},Ann{i % 6},Lee{i % 5},{'Lyon' if i % 2 else 'Paris'},{75000 + i % 20},{i % 50 + 20},"
        f"{['Fully Paid', 'Charged Off', 'Current'][i % 3]},{i}.5,{i % 9},Jan-2019"
        for i in range(150)
    ]
    header = (
        "id,First Name,Last Name,Default Address City,Default Address Zip,age,loan_status,"
        "total_pymnt,recoveries,last_pymnt_d"
    )
    (tmp_path / "loans.csv").write_text("\n".join([header, *rows]) + "\n")
    guess = guess_settings(tmp_path)
    users = guess.settings.users
    assert users is not None
    assert users.features == ("Default Address City", "age")
    assert guess.settings.goals == {}
    assert '# column = "loan_status"\n# positive = "Charged Off"' in guess.toml
    assert any("loan_status" in remark for remark in guess.remarks)


def test_what_a_label_fills_is_no_feature(tmp_path: Path) -> None:
    rows = [
        f"L{i},{i % 40},{int(i % 3 == 0)},{f'2024-01-{i % 27 + 1:02d}' if i % 3 == 0 else ''}"
        for i in range(150)
    ]
    header = "Lead ID,Page Views,Converted,Converted Date"
    (tmp_path / "leads.csv").write_text("\n".join([header, *rows]) + "\n")
    users = guess_settings(tmp_path).settings.users
    assert users is not None
    assert users.features == ("Page Views",)
