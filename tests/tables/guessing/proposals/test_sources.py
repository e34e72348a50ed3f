"""The sources that `init` writes: refunds, many unknown words, choices, cancellations."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from propense.settings import parse_settings
from propense.settings.refunds import REFUND_ACTIONS
from propense.tables.guessing.guess import Guess, guess_settings


def log(folder: Path, words: list[str], name: str = "log", money: str = "") -> Guess:
    """A log whose words carry money, or those in `money` alone."""
    rows = [
        f"u{i % 40},P{i % 5},2024-0{i % 6 + 1}-{i % 27 + 1:02d} 10:00:00,{word},"
        + (f"{i % 9 + 1}.50" if not money or word in money.split(",") else "")
        for i in range(600)
        for word in [words[i % len(words)]]
    ]
    header = "customer_id,sku,time,action,amount\n"
    (folder / f"{name}.csv").write_text(header + "\n".join(rows) + "\n")
    return guess_settings(folder)


@pytest.mark.parametrize("name", ["refunds", "retouren", "shop_returns", "Rückerstattung", "退款"])
def test_a_file_of_refunds_gives_money_back(name: str, tmp_path: Path) -> None:
    rows = [f"u{i % 40},P{i % 5},2024-01-{i % 27 + 1:02d},{i % 9 + 1}.50" for i in range(200)]
    text = "customer_id,sku,date,amount\n" + "\n".join(rows) + "\n"
    (tmp_path / f"{name}.csv").write_text(text)
    (source,) = guess_settings(tmp_path).settings.sources.values()
    assert source.action == "refund"


@pytest.mark.parametrize("name", ["orders", "returning_buys"])
def test_other_files_with_money_are_payments(name: str, tmp_path: Path) -> None:
    rows = [f"u{i % 40},P{i % 5},2024-01-{i % 27 + 1:02d},{i % 9 + 1}.50" for i in range(200)]
    text = "customer_id,sku,date,amount\n" + "\n".join(rows) + "\n"
    (tmp_path / f"{name}.csv").write_text(text)
    (source,) = guess_settings(tmp_path).settings.sources.values()
    assert source.action == "pay"


def test_words_of_refunds_that_cleaning_does_not_know_are_mapped(tmp_path: Path) -> None:
    guess = log(tmp_path, ["purchase", "MONEY BACK", "Refund"])
    assert guess.settings.sources["log"].actions == {"MONEY BACK": "refund"}
    assert guess.settings.clean.refund_actions == REFUND_ACTIONS
    asked = log(tmp_path, ["purchase", "MONEY BACK", "brak"])
    (question,) = asked.questions
    assert all(choice.value["MONEY BACK"] == "refund" for choice in question.choices)
    assert {"MONEY BACK": "refund", "brak": "refund"} in [one.value for one in question.choices]


@pytest.mark.parametrize("word", ["User Returned", "returning_visit", "return_policy"])
def test_a_visit_gives_no_money_back(word: str, tmp_path: Path) -> None:
    guess = log(tmp_path, ["purchase", word], money="purchase")
    assert not guess.settings.sources["log"].actions
    assert not guess.questions
    assert log(tmp_path, ["purchase", word]).settings.sources["log"].actions == {word: "refund"}


def test_of_many_unknown_words_those_with_the_most_money_are_asked_about(tmp_path: Path) -> None:
    words = [f"{letter}{letter}x" for letter in "bcdfghjklmnpqrs"]
    guess = log(tmp_path, words)
    (question,) = guess.questions
    assert question.key == "sources.log.actions"
    assert len(question.choices[0].value) == 12
    assert any("3 more words" in remark for remark in guess.remarks)


def test_two_columns_of_cancelled_orders(tmp_path: Path) -> None:
    rows = [
        f"u{i % 40},P{i % 5},2024-01-{i % 27 + 1:02d},{number},{number},{i % 9 + 1}.50"
        for i in range(200)
        for number in [f"C{i + 500}" if i % 20 == 0 else str(i + 500)]
    ]
    header = "customer_id,sku,date,invoice_no,order_no,amount\n"
    (tmp_path / "lines.csv").write_text(header + "\n".join(rows) + "\n")
    cancelled = guess_settings(tmp_path).settings.sources["lines"].cancelled
    assert cancelled is not None and cancelled.starts_with == "C"


def uncommented(text: str) -> list[str]:
    """The text with one commented setting made a setting, or with one commented table."""
    lines, texts = text.splitlines(), []
    blocks: list[list[int]] = []
    in_table = False
    for i, line in enumerate(lines):
        if line.startswith("# ["):
            in_table = True
            blocks.append([i])
        elif not line.startswith("#"):
            in_table = False
        elif re.match(r"# [\w.\"'-]+ = ", line):
            blocks[-1:] = [[*blocks[-1], i]] if in_table else [*blocks[-1:], [i]]
    for block in blocks:
        changed = [old.removeprefix("# ") if i in block else old for i, old in enumerate(lines)]
        texts.append("\n".join(changed))
    return texts


@pytest.mark.parametrize("header", ["customer_id", "buyer_id"])
def test_every_commented_choice_is_toml_without_its_sign(header: str, tmp_path: Path) -> None:
    rows = [
        f"b{i % 70},c{i % 80},P{i % 60},Q{i % 61},{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024,"
        f"2024-01-{i % 27 + 1:02d} 10:00:00,{['purchase', 'brak'][i % 2]},{i % 90 + 1}.250,"
        f"{['EUR', 'USD'][i % 2]}"
        for i in range(400)
    ]
    (tmp_path / "log.csv").write_text(
        f"{header},member_id,sku,product_id,date,shipped_at,action,amount,currency\n"
        + "\n".join(rows) + "\n"
    )  # fmt: skip
    (tmp_path / "users.csv").write_text(
        "member_id,age,churned,converted\n"
        + "".join(f"c{i},{i % 50},{i % 2},{i % 3 % 2}\n" for i in range(80))
    )
    guess = guess_settings(tmp_path)
    assert "Another choice for" in guess.toml
    texts = uncommented(guess.toml)
    assert len(texts) > 4
    for text in texts:
        parse_settings(tomllib.loads(text), folder=tmp_path)


@pytest.mark.parametrize(
    ("words", "per_order", "action"),
    [
        (["Order Completed", "Order Cancelled"], 1, None),
        (["已支付", "待付款", "已退款"], 1, None),
        (["Order Completed", "Order Cancelled"], 2, "remark"),
        (["Kauf", "Stornierung"], 1, "remark"),
    ],
)
def test_words_of_what_became_of_orders_are_no_actions(
    words: list[str], per_order: int, action: str | None, tmp_path: Path
) -> None:
    rows = [
        f"u{i % 40},P{i % 5},2024-0{i % 6 + 1}-{i % 27 + 1:02d} 10:00:00,{i // per_order + 500},"
        f"{words[i % len(words)]},{i % 9 + 1}.50"
        for i in range(300)
    ]
    header = "customer_id,sku,time,order_id,remark,amount\n"
    (tmp_path / "orders.csv").write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    guess = guess_settings(tmp_path)
    assert guess.settings.sources["orders"].columns.get("action") == action
    asked = [question.key for question in guess.questions]
    assert ("sources.orders.where" in asked) == (action is None)


def test_stages_of_sales_are_asked_about_and_choices_of_equal_money_are_one(
    tmp_path: Path,
) -> None:
    stages = ["Closed Won", "Closed Lost", "Prospecting", "Negotiation/Review"]
    rows = [
        f"a{i % 20},2024-0{i % 6 + 1}-{i % 27 + 1:02d},{['New', 'Existing'][i % 2]} Business,"
        f"{stages[i % 4]},{i % 9 + 1}.50"
        for i in range(200)
    ]
    header = "Account ID,Close Date,Type,Stage,Amount"
    (tmp_path / "report.csv").write_text("\n".join([header, *rows]) + "\n")
    questions = {one.key: one for one in guess_settings(tmp_path).questions}
    assert set(questions) == {"sources.report.actions", "sources.report.where"}
    where = questions["sources.report.where"].choices[0].value
    assert where == {"Stage": ["Closed Won"]}
    sums = [one.effect.rpartition("net ")[2] for one in questions["sources.report.actions"].choices]
    assert len(set(sums)) == len(sums)


def test_the_name_of_an_event_with_tickets_is_an_item(tmp_path: Path) -> None:
    rows = [
        f"{i},2024-01-{i % 27 + 1:02d},a{i % 20}@x.org,{['Gala', 'Workshop'][i % 2]},{i % 9}.50,VIP"
        for i in range(200)
    ]
    header = "Order #,Order Date,Email,Event Name,Total Paid,Ticket Type"
    (tmp_path / "report.csv").write_text("\n".join([header, *rows]) + "\n")
    guess = guess_settings(tmp_path)
    source = guess.settings.sources["report"]
    assert (source.columns["item_id"], source.action) == ("Event Name", "pay")
    assert not guess.questions
