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
    outcome = started(tmp_path, {"a1.csv": text.encode("cp1252"), "a2.csv": text.encode()})
    assert outcome.code == 0, outcome.error
    cleaned = command(tmp_path, "clean")
    assert cleaned.code == 0, cleaned.error
    assert {event["user_id"] for event in cleaned.events} == {f"Zoë{i}" for i in range(9)}
