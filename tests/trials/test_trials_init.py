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
    baskets = [row["properties"].get("products") or [None] for row in rows]  # type: ignore[attr-defined]
    assert len(cleaned.events) == sum(map(len, baskets)) > len(rows)
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
    assert "refund_actions" not in (started.folder / "propense.toml").read_text("utf-8")
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


@pytest.mark.few(1)
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


def init_and_clean(folder: Path, name: str, text: str) -> tuple[Outcome, Outcome, str]:
    """`init` of one file, `clean` with what it wrote, and the text it wrote."""
    (folder / "data").mkdir()
    (folder / "data" / name).write_text(text, "utf-8")
    started = command_init(folder)
    assert started.code == 0, started.error
    return started, command(folder, "clean", "--json"), (folder / "propense.toml").read_text()


def as_lines(objects: list[dict[str, object]]) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def test_products_of_segment_are_rows(tmp_path: Path) -> None:
    objects: list[dict[str, object]] = []
    for k in range(40):
        products = [{"product_id": f"P{k % 7}", "price": 2.5, "quantity": 2},
                    {"product_id": f"P{k % 5 + 7}", "price": 5.0, "quantity": 1}]  # fmt: skip
        properties: dict[str, object] = {"product_id": f"P{k % 7}"}
        if k % 2:
            properties = {"order_id": k, "revenue": 10.01, "products": products[: k % 4]}
        objects.append({
            "messageId": f"m{k}", "type": "track", "anonymousId": f"a{k % 9}",
            "event": "Order Completed" if k % 2 else "Product Viewed", "userId": f"u{k % 9}",
            "originalTimestamp": f"2024-01-{k // 2 + 1:02d}T08:{k:02d}:00.000Z",
            "properties": properties,
        })  # fmt: skip
    started, cleaned, text = init_and_clean(tmp_path, "events.jsonl", as_lines(objects))
    assert started.record["questions"] == []
    assert 'products = "properties.products"' in text
    assert cleaned.code == 0, cleaned.error
    assert len(cleaned.events) == 50
    assert cleaned.money == pytest.approx(200.2)
    assert all(event["item_id"] for event in cleaned.events)


def test_actions_of_matomo_are_rows(tmp_path: Path) -> None:
    objects: list[dict[str, object]] = []
    for k in range(40):
        actions: list[dict[str, object]] = [
            {"type": "action", "timestamp": 1704300000 + 5000 * k, "url": "https://ex.org/"}
        ]
        if k % 2:
            items = [{"itemSKU": f"S{k % 6 + i}", "quantity": 1, "price": 4.0} for i in range(2)]
            for more in (10, 20):
                actions.append({"type": "ecommerceOrder", "timestamp": 1704300000 + 5000 * k + more,
                                "revenue": 8.5, "itemDetails": items})  # fmt: skip
        objects.append({
            "idVisit": k, "visitorId": f"{k % 9:016x}", "userId": f"u{k % 9}",
            "serverTimestamp": 1704300000 + 5000 * k, "actionDetails": actions,
        })  # fmt: skip
    _, cleaned, text = init_and_clean(tmp_path, "visits.jsonl", as_lines(objects))
    assert "[{" not in text
    assert 'action = "actionDetails.type"' in text
    assert cleaned.code == 0, cleaned.error
    assert len(cleaned.events) == 40 + 20 * 4
    assert cleaned.money == pytest.approx(340)


@pytest.mark.few(2)
@pytest.mark.parametrize(("currency", "unit"), [("eur", 100), ("jpy", 1), ("KRW", 1), ("USD", 100)])
def test_charges_of_stripe_are_in_the_smallest_unit(
    tmp_path: Path, currency: str, unit: int
) -> None:
    objects: list[dict[str, object]] = [
        {"id": f"ch_{k}", "object": "charge", "amount": 1999 + k, "created": 1706000000 + 86000 * k,
         "amount_refunded": 100 if k == 4 else 0, "currency": currency, "customer": f"cus_{k % 9}",
         "status": "succeeded"} for k in range(40)
    ]  # fmt: skip
    _, cleaned, text = init_and_clean(tmp_path, "charges.jsonl", as_lines(objects))
    assert ("value_unit = 0.01" in text) == (unit == 100)
    assert f'currency = "{currency.upper()}"' in text
    assert cleaned.code == 0, cleaned.error
    assert cleaned.money == pytest.approx((sum(1999 + k for k in range(40)) - 100) / unit)


def test_paypal_joins_day_and_clock(tmp_path: Path) -> None:
    rows = ["Date,Time,TimeZone,Type,Currency,Gross,From Email Address,Transaction ID,Item ID"]
    rows += [
        f"01/{k // 2 + 10:02d}/2024,{k % 24:02d}:49:01,PST,Website Payment,EUR,{k + 1}.95,"
        f"p{k % 9}@ex.org,T{k},SKU-{k % 7}" for k in range(40)
    ]  # fmt: skip
    _, cleaned, text = init_and_clean(tmp_path, "paypal.csv", "\n".join(rows) + "\n")
    assert 'time_of_day = "Time", time_zone = "TimeZone"' in text
    assert cleaned.code == 0, cleaned.error
    first = min(event["event_time"] for event in cleaned.events)
    assert first.isoformat()[:19] == "2024-01-10T08:49:01"


def test_klaviyo_and_amplitude_say_what_was_done(tmp_path: Path) -> None:
    objects: list[dict[str, object]] = [
        {"type": "event", "id": f"ev{k}",
         "attributes": {"timestamp": 1704314941 + 7000 * k, "event_properties": {"$value": k + 1}},
         "relationships": {
             "profile": {"data": {"type": "profile", "id": f"01H{k % 9}"}},
             "metric": {"data": {"type": "metric", "id": ["Placed Order", "Viewed"][k % 2]}}}}
        for k in range(40)
    ]  # fmt: skip
    _, _, text = init_and_clean(tmp_path, "events.jsonl", as_lines(objects))
    assert 'action = "relationships.metric.data.id"' in text
    other = tmp_path / "amplitude"
    other.mkdir()
    objects = [
        {"user_id": f"u{k % 9}", "device_id": f"d{k % 9}", "event_time": f"2024-01-{k + 1:02d}",
         "event_type": ["revenue_amount", "view"][k % 2], "event_properties": {"$revenue": 4.5}}
        for k in range(31)
    ]  # fmt: skip
    _, _, text = init_and_clean(other, "events.jsonl", as_lines(objects))
    assert "[goals.pay]" in text


def test_snowplow_visitors_without_login_keep_their_cookie(tmp_path: Path) -> None:
    rows = ["collector_tstamp\tevent\tuser_id\tdomain_userid\tnetwork_userid"]
    rows += [
        f"2024-01-{k % 28 + 1:02d} 10:{k:02d}:01\tpage_view\t{f'u{k % 9}' if k % 4 == 0 else ''}"
        f"\tdom{k % 9}\tn{k % 9}" for k in range(60)
    ]  # fmt: skip
    _, cleaned, text = init_and_clean(tmp_path, "events.tsv", "\n".join(rows) + "\n")
    assert 'anonymous_id = "domain_userid"' in text
    assert cleaned.code == 0, cleaned.error
    assert len(cleaned.events) == 60


_KINDS = (("refund", "refund_value"), ("purchase", "purchase_revenue"))


def test_a_refund_read_as_value_is_not_refunded_besides(tmp_path: Path) -> None:
    events = [
        {"event_name": kind, "event_timestamp": str(1673593003000000 + k * 3_600_000_000),
         "user_pseudo_id": f"{k % 9}.1", "items": [{"item_id": f"S{k % 7}"}],
         "ecommerce": {"transaction_id": f"t{k}", money: 40.0 if kind == "purchase" else 15.0}}
        for k in range(45)
        for kind, money in [_KINDS[k % 5 > 0]]
    ]  # fmt: skip
    _, cleaned, _ = init_and_clean(tmp_path, "events.jsonl", as_lines(events))
    assert cleaned.code == 0, cleaned.error
    assert cleaned.money == 36 * 40 - 9 * 15
