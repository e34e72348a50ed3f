"""Who is a customer: ids however they are spelt; counters and personal columns are no features."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from propense.settings import Settings
from propense.tables.guessing.guess import guess_settings
from propense.tables.guessing.ids import user_score
from propense.tables.guessing.names import parts_of
from propense.tables.guessing.nested import with_nested


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def guess(folder: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Settings:
    write(folder / "table.csv", header, rows)
    return guess_settings(folder).settings


SPELLINGS = (
    "user_id", "UserId", "userID", "USERID", "CUSTID", "cust_no", "CLIENTNO", "CLIENTNUM",
    "client number", "Client No.", "customer-code", "CustomerNumber", "member id", "memberid",
    "household_key", "msno", "用户ID", "用户id", "会员id", "会员编号", "学员编号", "学号", "客户号",
    "买家ID", "kundennummer", "Kunden-Nr.", "Mitgliedsnummer", "Numéro client", "numero_cliente",
    "id_cliente", "klantnummer", "ＵｓｅｒＩＤ", "policyholder id", "student_number",
    "Subscriber Key", "accountNo",
)  # fmt: skip
NO_IDS = (
    "user_agent", "customer_name", "member_level", "user_type", "customer_city", "客户姓名",
    "用户等级",
    "number of customers", "client_age", "account_manager", "userscore", "contact_flag",
)  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_usual_spelling_is_a_customers_id(name: str, tmp_path: Path) -> None:
    assert user_score(name) >= 0.9, parts_of(name)
    rows = [[f"K{i * 7919 % 10_000:04d}", i % 50 + 20, "ab"[i % 2]] for i in range(300)]
    settings = guess(tmp_path, [name, "age", "churn"], rows)
    assert settings.users is not None
    assert settings.users.columns == {"user_id": name}


@pytest.mark.parametrize("name", NO_IDS)
def test_what_describes_a_customer_is_no_id(name: str) -> None:
    assert user_score(name) < 0.9


@pytest.mark.parametrize("name", ["ID", "id", "编号", "ID_code", "Id"])
def test_a_bare_id_counts_where_it_differs_in_every_row(name: str, tmp_path: Path) -> None:
    rows = [[1000 + i * 3, i % 50 + 20, i % 2] for i in range(300)]
    settings = guess(tmp_path, [name, "age", "churn"], rows)
    assert settings.users is not None
    assert settings.users.columns == {"user_id": name}
    assert settings.users.features == ("age",)


@pytest.mark.parametrize("name", ["", "index", "Unnamed: 0", "row", "序号", "RowNumber"])
def test_a_counter_of_rows_is_neither_id_nor_feature(name: str, tmp_path: Path) -> None:
    rows = [[i, f"C{i * 31 % 997:05d}", i % 50 + 20, i % 2] for i in range(300)]
    settings = guess(tmp_path, [name, "CustomerId", "age", "Exited"], rows)
    assert settings.users is not None
    assert settings.users.columns == {"user_id": "CustomerId"}
    assert settings.users.features == ("age",)


def _customer(i: int) -> list[object]:
    return [
        f"u{i}", f"Person{'abcdefghij'[i % 10]} Name{i}", f"person{i}@example.com",
        f"+49 30 {1_000_000 + i}", f"{i} High Street", f"10.0.{i // 250}.{i % 250}",
        f"4000 1234 5678 {1000 + i}", f"19{i % 60 + 30:02d}-0{i % 9 + 1}-11", i % 40, i % 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "names",
    [
        ("Full Name", "E-Mail", "phone", "address", "ip", "card", "date of birth"),
        ("姓名", "邮箱", "手机号", "地址", "IP地址", "银行卡", "生日"),
        ("c1", "c2", "c3", "c4", "c5", "c6", "c7"),  # by what they hold
    ],
)
def test_personal_columns_are_no_features_and_say_why(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    write(
        tmp_path / "t.csv",
        ["user_id", *names, "visits", "churn"],
        [_customer(i) for i in range(300)],
    )
    guessed = guess_settings(tmp_path)
    assert guessed.settings.users is not None
    assert guessed.settings.users.features == ("visits",)
    assert guessed.toml.count("personal:") == len(names)


@pytest.mark.parametrize(("name", "cell"), [("Email", "p{}@example.com"), ("手机号", "138{:08d}")])
def test_an_address_names_customers_where_nothing_else_does(
    name: str, cell: str, tmp_path: Path
) -> None:
    rows = [
        [cell.format(i % 40), f"P{i % 7}", f"2024-01-{i % 28 + 1:02d} 10:00:00"] for i in range(200)
    ]
    settings = guess(tmp_path, [name, "sku", "created_at"], rows)
    (source,) = settings.sources.values()
    assert source.columns["user_id"] == name
    rows = [[f"u{i % 40}", cell.format(i % 40), *row[1:]] for i, row in enumerate(rows)]
    settings = guess(tmp_path, ["customer_id", name, "sku", "created_at"], rows)
    (source,) = settings.sources.values()
    assert source.columns["user_id"] == "customer_id"


def test_cells_with_their_type_are_no_columns_of_their_own() -> None:
    typed = ['{"$numberLong": "1001"}', None, '{"$numberLong": "1002"}']
    assert with_nested({"customer": typed}) == {"customer.$numberLong": ["1001", None, "1002"]}
    assert list(with_nested({"a": ['{"id": 1}']})) == ["a", "a.id"]
