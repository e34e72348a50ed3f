"""Day, clock and zone in columns of their own are one time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from support.trials import Outcome, command

HEAD = '[sources.s]\nevents = "e.csv"\naction = "pay"\n'
MAPPED = 'columns = { user_id = "who", event_time = "Date", time_of_day = "Time"%s }\n'


def cleaned(folder: Path, rows: list[str], more: str = ', time_zone = "Zone"') -> Outcome:
    (folder / "e.csv").write_text("\n".join(["who,Date,Time,Zone", *rows]) + "\n", "utf-8")
    (folder / "propense.toml").write_text(HEAD + MAPPED % more, "utf-8")
    return command(folder, "clean", "--json")


def times(done: Outcome) -> list[datetime]:
    assert done.code == 0, done.error
    return [event["event_time"].astimezone(UTC).replace(tzinfo=None) for event in done.events]


def test_words_of_zones_are_offsets(tmp_path: Path) -> None:
    rows = ["u1,01/13/2024,20:49:01,PST", "u2,07/14/2024,8:49:01 PM,PDT", "u3,01/15/2024,,PST"]
    assert sorted(times(cleaned(tmp_path, rows))) == [
        datetime(2024, 1, 14, 4, 49, 1), datetime(2024, 1, 15), datetime(2024, 7, 15, 3, 49, 1),
    ]  # fmt: skip


def test_a_region_is_the_zone_of_all_times(tmp_path: Path) -> None:
    zone = "Eastern Time (US & Canada)"
    rows = [f"u1,2024-01-13,20:49:01,{zone}", f"u2,2024-07-13,20:49:01,{zone}"]
    assert sorted(times(cleaned(tmp_path, rows))) == [
        datetime(2024, 1, 14, 1, 49, 1), datetime(2024, 7, 14, 0, 49, 1),
    ]  # fmt: skip


def test_an_unknown_zone_is_local_time_and_noted(tmp_path: Path) -> None:
    done = cleaned(tmp_path, ["u1,2024-01-13,20:49:01,CST", "u2,2024-01-14,20:49:01,UTC"])
    assert sorted(times(done))[0] == datetime(2024, 1, 13, 20, 49, 1)
    assert "'CST'" in str(done.accounts[0]["files"][0]["notes"])


def test_several_regions_are_refused(tmp_path: Path) -> None:
    done = cleaned(tmp_path, ["u1,2024-01-13,20:49:01,London", "u2,2024-01-14,20:49:01,Tokyo"])
    assert done.code == 1
    assert "'London' and 'Tokyo'" in done.error


def test_a_clock_without_zone(tmp_path: Path) -> None:
    done = cleaned(tmp_path, ["u1,2024-01-13,20:49,x", "u2,13.01.2024,00:49,x"], "")
    assert sorted(times(done)) == [datetime(2024, 1, 13, 0, 49), datetime(2024, 1, 13, 20, 49)]


def test_a_column_of_many_words_is_no_column_of_zones(tmp_path: Path) -> None:
    rows = [f"u{n},2024-01-13,20:49:01,note {n}" for n in range(201)]
    done = cleaned(tmp_path, rows)
    assert done.code == 1 and "'Zone' holds more than 200 words" in done.error
    (tmp_path / "more").mkdir()
    rows = [f"u{n},2024-01-13,20:49:01,{'' if n == 200 else f'note {n}'}" for n in range(201)]
    assert cleaned(tmp_path / "more", rows).code == 0
