"""`propense init` on ids, experiments and codes that other columns look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from propense.errors import SourceError
from propense.tables.guessing.guess import Guess, guess_settings


def table(folder: Path, header: str, row: Callable[[int], Sequence[object]], name: str) -> Guess:
    """The guess for 120 rows."""
    rows = [",".join(map(str, row(i))) for i in range(120)]
    (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return guess_settings(folder)


def _time(i: int) -> str:
    return f"2024-0{1 + i // 28}-{1 + i % 28:02d} 10:00:0{i % 7}"


@pytest.mark.parametrize("item", ["sku", "product_id"])
@pytest.mark.parametrize("counter", ["item_id", "line_item_id"])
def test_an_item_that_no_row_repeats_is_a_number_of_rows(
    counter: str, item: str, tmp_path: Path
) -> None:
    guess = table(
        tmp_path, f"{counter},created_at,customer_id,{item},row_total",
        lambda i: (i + 1, _time(i), 1000 + i % 12, f"S{i % 6}", f"{i % 9 + 1}.50"),
        "sales_order_item",
    )  # fmt: skip
    assert guess.settings.sources["sales_order_item"].columns["item_id"] == item


@pytest.mark.parametrize(
    ("group", "arms"),
    [
        ("group", ("control", "treatment")), ("test_group", ("A", "control")),
        ("x", ("Kontrollgruppe", "Mail")), ("分组", ("对照组", "实验组")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("paid", ["12.50", "{}.50"])
def test_a_table_of_an_experiment(
    group: str, arms: tuple[str, str], paid: str, tmp_path: Path
) -> None:
    guess = table(
        tmp_path, f"user_id,{group},converted,revenue",
        lambda i: (5000 + i, arms[i % 2], int(i % 3 == 0), paid.format(i) if i % 3 == 0 else 0),
        "ab_results",
    )  # fmt: skip
    settings = guess.settings
    assert settings.exposures is not None
    assert settings.exposures.columns == {"user_id": "user_id", "arm": group}
    assert settings.users is not None
    assert set(settings.users.features) <= {group}
    assert [goal.column for goal in settings.goals.values()] == ["converted"]
    held_out = next(arm for arm in arms if "on" in arm.lower() or "对照" in arm)
    assert f"'{held_out}' of {group} was held out" in guess.toml


def test_two_amounts_are_no_label(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "user_id,age,revenue", lambda i: (i + 500, 20 + i % 40, i % 2 * 12.5), "people"
    )
    assert not guess.settings.goals


@pytest.mark.parametrize("name", ["contacts", "export"])
def test_the_number_of_a_contact_is_its_id_rather_than_the_address(
    name: str, tmp_path: Path
) -> None:
    guess = table(
        tmp_path, "Record ID,First Name,Email,Lead Status,Create Date",
        lambda i: (80001 + 3 * i, f"A{i}", f"h{i}@ex.org", ("OPEN", "NEW")[i % 2],
                   f"2024-02-{i % 28 + 1:02d} 12:00"), name,
    )  # fmt: skip
    users = guess.settings.users
    assert users is not None
    assert users.columns == {"user_id": "Record ID"}
    assert users.valid_from == "Create Date"
    assert "Email" not in users.features


def test_codes_that_name_the_row_are_no_features_and_times_are_times(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "Email Address,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,LEID,EUID,n",
        lambda i: (f"m{i}@ex.org", i % 5 + 1, _time(i), _time(i), 9000 + i, f"e{i:09d}", 7 + i),
        "members",
    )  # fmt: skip
    assert guess.settings.users is not None
    assert guess.settings.users.features == ("MEMBER_RATING", "OPTIN_TIME", "CONFIRM_TIME")
    assert guess.toml.count("different in nearly every row") == 3


@pytest.mark.parametrize("name", ["User full name", "客户姓名", "Kunde Name"])
def test_a_name_is_the_customer_where_nothing_else_is_and_a_remark_says_so(
    name: str, tmp_path: Path
) -> None:
    guess = table(
        tmp_path, f"id,Time,{name},Event name",
        lambda i: (i, _time(i), f"Student {i % 12}", ("Course viewed", "Quiz started")[i % 2]),
        "logs",
    )  # fmt: skip
    assert guess.settings.sources["logs"].columns["user_id"] == name
    assert any("is a name" in remark for remark in guess.remarks)


def test_names_of_members_and_titles_of_goods(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "订单编号,买家会员名,买家实际支付金额,订单创建时间,宝贝标题",
        lambda i: (10**9 + i, f"tb_{i % 12}", f"{i % 9}.50", _time(i), f"货 {i % 6}"), "orders",
    )  # fmt: skip
    columns = guess.settings.sources["orders"].columns
    assert (columns["user_id"], columns["item_id"]) == ("买家会员名", "宝贝标题")


def test_where_nothing_is_recognised_the_columns_and_lines_to_write_are_shown(
    tmp_path: Path,
) -> None:
    with pytest.raises(SourceError) as raised:
        table(tmp_path, "zxa,zxb,zxc", lambda i: (f"q{i % 9}", _time(i), i * 0.5), "things")
    message = str(raised.value)
    assert "'zxa' (9 different of 120)" in message
    assert "[sources.things]" in message
    assert 'user_id = "zxa"' in message
    assert 'event_time = "zxb"' in message


@pytest.mark.parametrize("name", ["train_user", "customers", "users.behaviors.Purchase"])
def test_customers_that_repeat_beside_times_are_a_log(name: str, tmp_path: Path) -> None:
    guess = table(
        tmp_path, "user_id,item_id,time", lambda i: (f"u{i % 30}", f"P{i % 9}", _time(i)), name
    )
    (source,) = guess.settings.sources.values()
    assert source.columns == {"user_id": "user_id", "item_id": "item_id", "event_time": "time"}
    assert guess.settings.users is None


def test_versions_of_customers_are_no_log(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "user_id,plan,updated_at", lambda i: (f"u{i % 60}", "ab"[i % 2], _time(i)),
        "users",
    )  # fmt: skip
    assert guess.settings.users is not None


def test_ids_that_are_new_in_every_order_are_led_back_to_customers(tmp_path: Path) -> None:
    lines = [f"c{i},p{i % 40},Lyon" for i in range(120)]
    header = "customer_id,customer_unique_id,customer_city"
    (tmp_path / "customers.csv").write_text("\n".join([header, *lines]) + "\n")
    guess = table(
        tmp_path, "order_id,customer_id,order_status,order_purchase_timestamp",
        lambda i: (f"o{i}", f"c{i}", "delivered", _time(i)), "shop_orders",
    )  # fmt: skip
    (source,) = guess.settings.sources.values()
    assert source.columns["user_id"] == "customer_id"
    assert guess.settings.identities is not None
    assert guess.settings.identities.columns == {
        "user_id": "customer_unique_id", "alias": "customer_id",
    }  # fmt: skip


def test_a_row_for_each_lead_is_no_log(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "Lead ID,Last Activity,Converted,Created Date",
        lambda i: (f"L{i}", ["Email Opened", "SMS Sent"][i % 2], int(i % 5 == 0), _time(i)),
        "leads",
    )  # fmt: skip
    assert guess.settings.users is not None
    assert [goal.column for goal in guess.settings.goals.values()] == ["Converted"]


def test_an_e_mail_address_names_a_customer_before_a_phone_number(tmp_path: Path) -> None:
    guess = table(
        tmp_path, "ID,Bill-to Name,Contact Phone Number,From Email Address,Date,Total,Refunded",
        lambda i: (
            i + 1, f"Ann Lee{chr(97 + i % 20)}", f"+1 77555501{i % 20:02d}" if i % 2 else "",
            f"a{i % 20}@x.org", _time(i), f"{i}.50", f"{i}.50" if i % 9 == 1 else "",
        ),
        "orders",
    )  # fmt: skip
    columns = guess.settings.sources["orders"].columns
    assert columns["user_id"] == "From Email Address"
    assert columns["order_id"] == "ID"
