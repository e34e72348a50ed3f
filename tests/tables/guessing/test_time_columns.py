"""`propense init` on the columns that could be the time of an event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from propense.tables.guessing.guess import Guess, guess_settings


def guess_of(folder: Path, columns: dict[str, Callable[[int], str]]) -> Guess:
    """The guess for 120 rows of 12 customers with these further columns."""
    header = ",".join(["customer_id", "sku", "amount", *columns])
    rows = [
        ",".join(
            [str(1000 + i % 12), f"P{i % 7}", f"{i % 9}.50", *(of(i) for of in columns.values())]
        )
        for i in range(120)
    ]  # fmt: skip
    (folder / "log.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return guess_settings(folder)


def day(i: int, month: int = 0) -> str:
    return f"2024-0{1 + month + i // 28}-{1 + i % 28:02d} 10:0{i % 7}:00"


def empty(i: int) -> str:
    return day(i, 1) if i % 3 else ""


CONSTANT = "2023-01-01 00:00:00"


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"{installed_at}": lambda _: "1672531200",
          "{created_at}": lambda i: str(1675886173 + 9000 * i)}, "{created_at}"),
        ({"Attributed Touch Time": day, "Install Time": day, "Event Time": lambda i: day(i, 1)},
         "Event Time"),
        ({"Solved at": empty, "Updated at": lambda i: day(i, 1), "Created at": day}, "Created at"),
        ({"Delivered at": day, "Ordered at": day}, "Ordered at"),
        ({"batch_date": lambda _: CONSTANT, "sale_date": day}, "sale_date"),
        ({"date": lambda i: f"{1 + i % 28}-ene-24 03:31 p. m."}, "date"),
        ({"ordered_at": lambda i: f"{1 + i % 28:02d}0{1 + i // 28}2024"}, "ordered_at"),
        ({"Time": lambda i: f"\"{1 + i % 28:02d}/0{1 + i // 28}/23, 21:20:4{i % 9}\""}, "Time"),
        ({"注文日時": lambda i: f"令和6年{1 + i // 28}月{1 + i % 28}日 9時0{i % 9}分"}, "注文日時"),
    ],
)  # fmt: skip
def test_the_time_of_the_event_itself(
    columns: dict[str, Callable[[int], str]], chosen: str, tmp_path: Path
) -> None:
    guess = guess_of(tmp_path, columns)
    (source,) = guess.settings.sources.values()
    assert source.columns["event_time"] == chosen
    assert [question.key for question in guess.questions] == []


@pytest.mark.parametrize(
    ("columns", "choices"),
    [
        ({"time_stamp": lambda i: f"{1 + i % 9:02d}{1 + i % 28:02d}"}, ["time_stamp", ""]),
        ({"DAY": lambda i: str(5 + 3 * i)}, ["DAY", ""]),
        ({"ordered_at": lambda i: f"{1 + i % 28} янв 2024"}, ["ordered_at", ""]),
        ({"sale_date": lambda i: day(i)[:10], "paid_on_date": lambda i: day(i, 1)[:10]},
         ["sale_date", "paid_on_date"]),
        ({"updated_at": day, "order_date": lambda i: f"{1 + i % 28} янв 2024"},
         ["order_date", "updated_at"]),
    ],
)  # fmt: skip
def test_a_time_in_doubt_is_a_question(
    columns: dict[str, Callable[[int], str]], choices: list[str], tmp_path: Path
) -> None:
    guess = guess_of(tmp_path, columns)
    (question,) = guess.questions
    assert question.key == "sources.log.columns.event_time"
    assert [choice.value for choice in question.choices] == choices


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("order_hour_of_day", lambda i: str(i % 24)), ("days_since_prior_order", lambda i: str(i)),
        ("time_of_day", lambda i: ("morning", "night")[i % 2]),
    ],
)  # fmt: skip
def test_parts_and_lengths_of_times_are_no_question(
    name: str, cell: Callable[[int], str], tmp_path: Path
) -> None:
    assert guess_of(tmp_path, {name: cell}).questions == ()
