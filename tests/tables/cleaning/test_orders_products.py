"""Several products in one JSON object: a row for each, and the object's money shared over them."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.trials import Outcome, command

COLUMNS = """user_id = "who", action = "what", event_time = "at", item_id = "p.products.sku",
 price = "p.products.price", count = "p.products.n", value = "p.revenue\""""


def cleaned(folder: Path, objects: list[Any], more: str = "", columns: str = COLUMNS) -> Outcome:
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(one) + "\n" for one in objects)
    (folder / "events.jsonl").write_text(lines, "utf-8")
    (folder / "propense.toml").write_text(
        f'[sources.shop]\nevents = "events.jsonl"\nproducts = "p.products"\n{more}\n'
        f'columns = {{ {columns.replace(chr(10), "")} }}\n[goals.pay]\naction = "pay"\n'
        'within = "1d"\n',
        "utf-8",
    )
    return command(folder, "clean", "--json")


def order(k: int, revenue: float | None, products: list[Any] | None, **more: Any) -> dict[str, Any]:
    inner = {} if products is None else {"products": products}
    return {"who": f"u{k}", "what": "pay", "at": f"2024-01-02T03:{k % 60:02d}:17Z",
            "p": {"revenue": revenue, **inner}, **more}  # fmt: skip


def product(sku: str, price: float, n: int) -> dict[str, Any]:
    return {"sku": sku, "price": price, "n": n}


def test_each_product_is_a_row_with_its_share(tmp_path: Path) -> None:
    done = cleaned(tmp_path, [
        order(1, 35.0, [product("a", 10, 3), product("b", 10, 1)]),
        order(2, 7.5, None), order(3, 9.99, []), order(4, None, [product("c", 1, 1)]),
    ])  # fmt: skip
    assert done.code == 0, done.error
    assert {(row["user_id"], row["item_id"], row["value"]) for row in done.events} == {
        ("u1", "a", 26_250_000), ("u1", "b", 8_750_000), ("u2", None, 7_500_000),
        ("u3", None, 9_990_000), ("u4", "c", None),
    }  # fmt: skip
    (file,) = done.accounts[0]["files"]
    assert file["physical_lines"] == 4
    assert "4 objects became 5 rows" in file["notes"][0]


def test_equal_products_stay_and_repeated_objects_go(tmp_path: Path) -> None:
    twice = order(1, 20.0, [product("a", 10, 1), product("a", 10, 1)], id="m1")
    other = order(2, 20.0, [product("a", 10, 1), product("b", 10, 1)], id="m2")
    for columns in (COLUMNS, COLUMNS + ', event_id = "id"'):
        done = cleaned(tmp_path, [twice, other, twice], columns=columns, more="")
        assert done.code == 0, done.error
        assert len(done.events) == 4
        assert done.money == 40
        assert done.rules()["duplicate"] == 2


def test_lists_within_lists(tmp_path: Path) -> None:
    visits = [
        {"who": "u1", "acts": [
            {"what": "view", "at": 1704164580},
            {"what": "pay", "at": 1704164590, "sum": 3.0,
             "items": [{"sku": "a", "price": 1, "n": 1}, {"sku": "b", "price": 2, "n": 1}]},
        ]},
        {"who": "u2", "acts": []},
        {"who": "u3", "acts": [
            {"what": "pay", "at": 1704164591, "sum": 5.0,
             "items": [{"sku": "a", "price": 1, "n": 1}, {"sku": "c", "price": 1, "n": 1}]},
            {"what": "pay", "at": 1704164592, "sum": 7.0,
             "items": [{"sku": "a", "price": 1, "n": 1}, {"sku": "b", "price": 1, "n": 1}]},
        ]},
    ]  # fmt: skip
    columns = """user_id = "who", action = "acts.what", event_time = "acts.at",
        item_id = "acts.items.sku", price = "acts.items.price", value = "acts.sum\""""
    (tmp_path / "x").mkdir()
    lines = "".join(json.dumps(one) + "\n" for one in visits)
    (tmp_path / "x" / "v.jsonl").write_text(lines, "utf-8")
    (tmp_path / "x" / "propense.toml").write_text(
        '[sources.shop]\nevents = "v.jsonl"\nproducts = "acts.items"\naction = "visit"\n'
        f'columns = {{ {" ".join(columns.split())} }}\n'
        '[clean]\nallow = { "unreadable time" = 0.5 }\n', "utf-8",
    )  # fmt: skip
    done = command(tmp_path / "x", "clean", "--json")
    assert done.code == 0, done.error
    rows = [(row["action"], row["item_id"] or "", row["value"]) for row in done.events]
    assert sorted(rows, key=str) == [
        ("pay", "a", 1_000_000), ("pay", "a", 2_500_000), ("pay", "a", 3_500_000),
        ("pay", "b", 2_000_000), ("pay", "b", 3_500_000), ("pay", "c", 2_500_000),
        ("view", "", None),
    ]  # fmt: skip
    assert done.rules()["unreadable time"] == 1


def test_money_of_both_kinds_is_refused(tmp_path: Path) -> None:
    objects = [order(1, 3.0, [product("a", 1, 1)])]
    mixed = 'fallbacks = { value = ["p.products.price"] }'
    assert "stand in different lists" in cleaned(tmp_path, objects, mixed).error
    assert "value_is" in cleaned(tmp_path, objects, 'value_is = "order"').error


def test_a_table_has_no_list(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user_id,action\nu1,pay\n", "utf-8")
    (tmp_path / "propense.toml").write_text(
        '[sources.t]\nevents = "t.csv"\nproducts = "items"\n', "utf-8"
    )
    done = command(tmp_path, "clean", "--json")
    assert done.code == 1
    assert "no JSON text" in done.error


cents = st.integers(1, 50_000).map(lambda n: n / 100)
baskets = st.lists(
    st.builds(product, st.sampled_from("abc"), st.sampled_from([0.0, 0.01, 9.99]),
              st.integers(1, 4)), max_size=5,
)  # fmt: skip


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.lists(st.tuples(cents, st.none() | baskets), min_size=1, max_size=8))
def test_shares_sum_to_the_money_of_their_object(orders: list[tuple[float, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = cleaned(
            Path(folder), [
                *(order(k, revenue, basket) for k, (revenue, basket) in enumerate(orders)),
                order(99, 1.0, [product("a", 1, 1)]),
            ],
            'value_is = "line"',
        )  # fmt: skip
        assert done.code == 0, done.error
        money: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        for row in done.events:
            money[row["user_id"]] += row["value"]
            rows[row["user_id"]] += 1
        for k, (revenue, basket) in enumerate(orders):
            assert money[f"u{k}"] == int(Decimal(str(revenue)) * 1_000_000)
            assert rows[f"u{k}"] == max(1, len(basket or []))


@pytest.mark.parametrize("n", [250_000])
def test_order_of_rows_is_kept(tmp_path: Path, n: int) -> None:
    from propense.tables.engine.json_columns import ELEMENT
    from tests.support.reading.dialects import rows_of, stage

    with (tmp_path / "e.jsonl").open("w") as file:
        for k in range(n):
            items = ",".join(f'{{"s": {k * 3 + i}}}' for i in range(k % 4))
            file.write(f'{{"k": {k}, "items": [{items}]}}\n')
    staging = stage([tmp_path / "e.jsonl"], tmp_path, products="items",
                    columns={"item_id": "items.s", "user_id": "k"})  # fmt: skip
    expected = [
        (str(k), str(k * 3 + i) if k % 4 else None, i)
        for k in range(n) for i in range(max(1, k % 4))
    ]  # fmt: skip
    assert rows_of(staging, ("k", "items.s", ELEMENT)) == expected
