"""`propense init` on exports of other systems: its proposal gives the right customers and money."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.trials import INPUTS, Outcome, command


def proposed(name: str, folder: Path) -> tuple[Outcome, Outcome]:
    """`init` of a trial without its settings, then `clean` with what `init` wrote."""
    target = folder / name
    shutil.copytree(INPUTS / name, target)
    (target / "propense.toml").unlink(missing_ok=True)
    started = command_init(target)
    assert started.code == 0, started.error
    return started, command(target, "clean", "--json")


def command_init(folder: Path) -> Outcome:
    return command(folder, "init", str(folder / "data"), "--json")


def lines(name: str) -> list[dict[str, object]]:
    (path,) = (INPUTS / name / "data").iterdir()
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_ga4(tmp_path: Path) -> None:
    started, cleaned = proposed("ga4", tmp_path)
    assert started.record["questions"] == []
    rows = lines("ga4")
    assert cleaned.code == 0
    assert len(cleaned.events) == len(rows)
    pseudo = {row["user_pseudo_id"] for row in rows}
    assert len({event["user_id"] for event in cleaned.events}) == len(pseudo)
    revenue = sum(row.get("ecommerce", {}).get("purchase_revenue", 0) for row in rows)  # type: ignore[attr-defined]
    assert cleaned.money == pytest.approx(revenue, abs=0.005)
    assert all(event["event_time"].microsecond or True for event in cleaned.events)
    times = {int(str(row["event_timestamp"])) for row in rows}
    assert {round(event["event_time"].timestamp() * 1e6) for event in cleaned.events} <= times
    bought = [event for event in cleaned.events if event["action"] == "purchase"]
    assert bought
    assert all(event["item_id"] for event in bought)


def test_segment_archive(tmp_path: Path) -> None:
    started, cleaned = proposed("segment-archive", tmp_path)
    assert started.record["questions"] == []
    rows = lines("segment-archive")
    assert len(cleaned.events) == len(rows)
    customers = {row["anonymousId"] for row in rows}  # each was used by one customer
    assert len({event["user_id"] for event in cleaned.events}) == len(customers)
    revenue = sum(row["properties"].get("revenue", 0) for row in rows)  # type: ignore[attr-defined]
    assert cleaned.money == pytest.approx(revenue, abs=0.005)
    assert all(event["item_id"] for event in cleaned.events)
    joined = cleaned.rules()
    assert joined["anonymous_id where user_id is missing"] > 0
    assert joined["identities from rows with both ids"] > 0


def test_refund_words(tmp_path: Path) -> None:
    started, cleaned = proposed("refund-words", tmp_path)
    assert started.record["questions"] == []
    assert 'refund_actions = ["Return", "Refund"]' in (started.folder / "propense.toml").read_text(
        "utf-8"
    )
    assert cleaned.money == 7558.63


def test_shopify_orders(tmp_path: Path) -> None:
    started, cleaned = proposed("shopify-orders", tmp_path)
    assert started.record["questions"] == []
    assert cleaned.code == 0, cleaned.error
    assert cleaned.money == 3040.01
    assert all("@" in event["user_id"] for event in cleaned.events)


def test_a_header_with_a_line_break(tmp_path: Path) -> None:
    started, cleaned = proposed("header-newline", tmp_path)
    assert started.record["questions"] == []
    assert cleaned.code == 0, cleaned.error
    assert len(cleaned.events) == 260


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [("excel-german", "amount", None), ("qty-words", "unit_price", "quantity")],
)
def test_money_and_counts_are_seen(
    name: str, value: str, count: str | None, tmp_path: Path
) -> None:
    started, _ = proposed(name, tmp_path)
    text = (started.folder / "propense.toml").read_text("utf-8")
    assert f'"{value}"' in text.split("columns = ")[1].splitlines()[0]
    if count is not None:
        assert f'count = "{count}"' in text


def test_chinese_times_and_money(tmp_path: Path) -> None:
    started, cleaned = proposed("gb18030-ok", tmp_path)
    text = (started.folder / "propense.toml").read_text("utf-8")
    assert 'event_time = "time"' in text
    assert 'value = "amount"' in text
    assert cleaned.code == 0, cleaned.error


def test_an_open_question_ends_with_3_and_guesses_can_be_accepted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = [f"u{i % 9},P{i % 5},{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024,{i}.50" for i in range(200)]
    text = "customer_id,sku,order_date,amount\n" + "\n".join(rows) + "\n"
    (tmp_path / "data" / "orders.csv").write_text(text)
    started = command_init(tmp_path)
    assert [question["key"] for question in started.record["questions"]] == [
        "sources.orders.date_order"
    ]
    assert started.record["sources"][0]["columns"]["amount"] == "number"
    assert command(tmp_path, "clean").code == 3
    assert command(tmp_path, "clean", "--accept-guesses").code == 0
    settings = tmp_path / "propense.toml"
    settings.write_text(settings.read_text().replace('# date_order = "day"', 'date_order = "day"'))
    assert command(tmp_path, "clean").code == 0
