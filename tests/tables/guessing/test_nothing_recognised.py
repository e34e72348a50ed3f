"""What `init` says where it recognises nothing: lines that run as they stand, or none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.guessing.guess import guess_settings
from support.trials import command


def refusal(folder: Path, name: str, header: str, row: Callable[[int], Sequence[object]]) -> str:
    rows = [",".join(map(str, row(i))) for i in range(200)]
    (folder / name).write_text("\n".join([header, *rows] if header else rows) + "\n", "utf-8")
    with pytest.raises(SourceError) as raised:
        guess_settings(folder)
    return str(raised.value)


def _time(i: int) -> str:
    return f"2024-0{1 + i // 28}-{1 + i % 28:02d} 10:00:0{i % 7}"


def test_lines_of_a_table_without_a_header_run(tmp_path: Path) -> None:
    message = refusal(
        tmp_path, "UserBehavior.csv", "",
        lambda i: (i % 40 + 1, 226800 + i % 58, 2520 + i % 5, ["pv", "cart", "buy"][i % 3],
                   1512204090 + 977 * i),
    )  # fmt: skip
    lines = re.findall(r"`([^`]+)`", message)
    (tmp_path / "propense.toml").write_text("\n".join(lines) + "\n")
    outcome = command(tmp_path, "clean", "--json")
    assert outcome.code == 0, outcome.error
    assert len({event["user_id"] for event in outcome.events}) == 40
    assert {event["action"] for event in outcome.events} == {"pv", "cart", "buy"}


@pytest.mark.parametrize(
    ("header", "row", "user"),
    [
        ("Müţteri,Ürün,Tarih,Tutar", lambda i: (i % 25, f"P{i % 9}", _time(i), i), "Müţteri"),
        ("order_id,user_id,order_dow", lambda i: (i, i % 30, i % 7), "user_id"),
    ],
)
def test_lines_are_settings(
    header: str, row: Callable[[int], Sequence[object]], user: str, tmp_path: Path
) -> None:
    lines = re.findall(r"`([^`]+)`", refusal(tmp_path, "satis.csv", header, row))
    settings = parse_settings(tomllib.loads("\n".join(lines)), folder=tmp_path)
    (source,) = settings.sources.values()
    assert source.columns["user_id"] == user
    assert source.action is not None


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Store,Date,Sales,Customers", lambda i: (i % 15, _time(i), i * 7, 400 + i)),
        ("Title,Send Date,Total Opens", lambda i: (f"News {i}", _time(i), i)),
        ("itemid,property,value", lambda i: (i % 40, 790 + i % 3, f"n{i}")),
    ],
)
def test_no_lines_where_nothing_can_be_the_customer(
    header: str, row: Callable[[int], Sequence[object]], tmp_path: Path
) -> None:
    message = refusal(tmp_path, "train.csv", header, row)
    assert "`" not in message
    assert "customer's id" in message


def test_a_file_that_came_near_stands_first(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.csv").write_text("aisle_id,aisle\n1,x\n2,y\n3,z\n")
    message = refusal(tmp_path, "orders.csv", "order_id,user_id,dow", lambda i: (i, i % 30, i % 7))
    assert message.index("orders.csv") < message.index("a.csv")
