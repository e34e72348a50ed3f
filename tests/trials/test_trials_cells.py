"""Cells of other people's files through the whole of `init` and `clean`."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.trials import Outcome, command

HEAD = "customer_id,product_id,action,event_time,amount"


def log(rows: int = 40, name: str = "c{i}") -> str:
    lines = [
        f"{name.format(i=i % 9)},P{i % 7},{'pay' if i % 2 else 'view'},"
        f"2024-{1 + i % 3:02d}-{1 + i % 28:02d} 10:{i:02d}:00,{f'{i}.50' if i % 2 else ''}"
        for i in range(rows)
    ]
    return "\n".join([HEAD, *lines]) + "\n"


def started(folder: Path, files: dict[str, bytes]) -> Outcome:
    (folder / "data").mkdir()
    for name, content in files.items():
        (folder / "data" / name).write_bytes(content)
    return command(folder, "init", str(folder / "data"), "--json")


@pytest.mark.parametrize(
    ("codec", "name"),
    [("big5", "陳許功蓋臺灣{i}"), ("shift_jis", "田中さくら{i}"), ("koi8-r", "Ольга{i}"),
     ("iso8859-2", "Łuťka{i}")],
)  # fmt: skip
def test_init_asks_for_an_encoding_in_doubt(codec: str, name: str, tmp_path: Path) -> None:
    outcome = started(tmp_path, {"log.csv": log(name=name).encode(codec)})
    assert outcome.code == 0, outcome.error
    (question,) = [q for q in outcome.record["questions"] if q["key"].endswith(".encoding")]
    assert any(name.format(i=1) in str(choice) for choice in question["choices"])
    assert command(tmp_path, "clean").code == 3
    accepted = command(tmp_path, "clean", "--accept-guesses")
    assert {event["user_id"] for event in accepted.events} == {name.format(i=i) for i in range(9)}


def test_init_sets_no_encoding_where_the_files_differ(tmp_path: Path) -> None:
    text = log(name="Zoë{i}")
    later = text.replace(" 10:", " 15:")
    outcome = started(tmp_path, {"a1.csv": text.encode("cp1252"), "a2.csv": later.encode()})
    assert outcome.code == 0, outcome.error
    cleaned = command(tmp_path, "clean")
    assert cleaned.code == 0, cleaned.error
    assert {event["user_id"] for event in cleaned.events} == {f"Zoë{i}" for i in range(9)}


def cleaned(folder: Path, files: dict[str, str], more: str = "") -> Outcome:
    (folder / "data").mkdir()
    for name, content in files.items():
        (folder / "data" / name).write_text(content)
    (folder / "propense.toml").write_text(
        '[sources.s]\nevents = "data/*"\ncolumns = { user_id = "customer_id", item_id = '
        '"product_id", action = "action", event_time = "event_time", value = "amount" }\n' + more
    )
    return command(folder, "clean")


def test_an_unreadable_amount_is_shown_with_its_place(tmp_path: Path) -> None:
    outcome = cleaned(tmp_path, {"log.csv": log().replace(".50", ".50 dozen")})
    message = " ".join(outcome.error.split())
    assert outcome.code == 1
    assert "such as '1.50 dozen' of column 'amount' (data/log.csv line 3)" in message
    assert "set_aside" not in message and "these rows stay, without an amount" in message
    (tmp_path / "again").mkdir()
    allowed = cleaned(
        tmp_path / "again", {"log.csv": log().replace(".50", ".50 dozen")},
        '[clean]\nallow = { "unreadable value" = 0.5 }\n',
    )  # fmt: skip
    assert (allowed.code, len(allowed.events), allowed.money) == (0, 40, 0)


def test_a_percentage_is_no_amount(tmp_path: Path) -> None:
    outcome = cleaned(tmp_path, {"log.csv": log().replace(",1.50", ",15%")})
    assert outcome.rules()["unreadable value"] == 1
    assert outcome.money == sum(i + 0.5 for i in range(3, 40, 2))


def test_thousands_by_a_letter_are_read_with_and_without_settings(tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    text = log().replace(".50", ".50k")
    wanted = sum(1000 * i + 500 for i in range(1, 40, 2))
    assert cleaned(tmp_path / "hand", {"log.csv": text}).money == wanted
    (tmp_path / "init").mkdir()
    assert started(tmp_path / "init", {"log.csv": text.encode()}).code == 0
    assert command(tmp_path / "init", "clean", "--accept-guesses").money == wanted


def test_a_file_whose_dates_lie_closer_in_another_order_is_asked_about(tmp_path: Path) -> None:
    first = "".join(f"c{i},P1,pay,{13 + i}/01/2024 10:00:00,1.00\n" for i in range(15))
    second = "".join(f"c{i},P2,pay,03/{1 + i:02d}/2024 10:00:00,1.00\n" for i in range(12))
    outcome = cleaned(tmp_path, {"p1.csv": f"{HEAD}\n{first}", "p2.csv": f"{HEAD}\n{second}"})
    message = " ".join(outcome.error.split())
    assert outcome.code == 3
    assert 'date_order = "day" # the dates of data/p2.csv span 2024-01-03 to 2024-12-03' in message
    assert (
        'date_order = "month" # the dates of data/p2.csv span 2024-03-01 to 2024-03-12' in message
    )
