"""Every rule of cleaning events on rows whose fate is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from propense.errors import QuestionError, SettingsError, SourceError
from propense.schemas import Account, RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.accounts import read_accounts
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read


def run(
    engine: TableEngine, folder: Path, sources: dict[str, Any], **more: Any
) -> tuple[Account, list[dict[str, Any]], list[dict[str, Any]]]:
    """Account of events, clean rows, set-aside rows."""
    settings = parse_settings({"sources": sources, **more}, folder)
    out = RunFolder(folder / "run")
    accounts = clean(read(settings, engine), settings, engine, out)
    assert read_accounts(out.clean / "account.json") == accounts
    assert all(account.balances for account in accounts)
    rows = engine.read_parquet(out.clean / "events").to_pyarrow().to_pylist()
    aside = engine.read_parquet(out.clean / "set_aside" / "events.parquet").to_pyarrow()
    return accounts[0], rows, aside.to_pylist()


def dropped(account: Account) -> dict[str, int]:
    return {rule.name: rule.dropped for rule in account.rules if rule.dropped}


def mended(account: Account) -> dict[str, int]:
    return {rule.name: rule.mended for rule in account.rules if rule.mended}


def write(folder: Path, text: str, name: str = "log.csv") -> dict[str, Any]:
    (folder / name).write_text(text, encoding="utf-8")
    return {"events": name}


def test_the_first_rule_that_fits_takes_the_row(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,action,event_time,value
,a,view,2024-01-01 10:00:07,
u1,a,view,never,
u1,a,,2024-01-01 10:00:07,
u1,a,view,1980-01-01 10:00:07,
u1,a,view,2024-06-01 10:00:07,
u1,a,view,2024-01-01 10:00:07,
u1,a,view,2024-01-01 10:00:07,
u1,a,pay,2024-01-01 11:00:07,-5
u1,a,pay,2024-01-01 12:00:07,inf
u1,zzz,view,2024-01-01 13:00:07,
u2,b,pay,2024-01-02 10:00:07,12.50
""")  # fmt: skip
    (tmp_path / "items.csv").write_text("item_id,level\na,1\nb,2\n")
    account, rows, aside = run(
        duckdb_engine, tmp_path, {"app": source},
        items={"path": "items.csv"},
        clean={"until": "2024-03-01", "unknown_items": "drop", "negative_values": "drop"},
    )  # fmt: skip
    assert dropped(account) == {
        "no user id": 1, "unreadable time": 1, "no action": 1, "before earliest": 1,
        "after until": 1, "duplicate": 1, "impossible value": 2, "unknown item": 1,
    }  # fmt: skip
    assert (account.n_in, account.n_out) == (11, 2)
    assert sorted((row["user_id"], row["value"]) for row in rows) == [
        ("u1", None), ("u2", 12_500_000),
    ]  # fmt: skip
    lost = {row["row"]: (row["reason"], row["event_time"], row["file"]) for row in aside}
    assert lost[3] == ("unreadable time", "never", "log.csv")
    assert lost[8][0] == "duplicate"


def test_near_duplicates_leave_the_first_of_a_chain(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    source = write(tmp_path, """user_id,item_id,action,event_time,note
u,a,view,2024-01-01 10:00:00.0,p
u,a,view,2024-01-01 10:00:00.5,q
u,a,view,2024-01-01 10:00:00.9,p
u,a,view,2024-01-01 10:00:01.8,p
u,a,view,2024-01-01 10:00:02.9,p
u,b,view,2024-01-01 10:00:00.1,p
""")  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert dropped(account) == {"near duplicate": 2}
    assert sorted((row["item_id"], row["event_time"].second) for row in rows) == [
        ("a", 0), ("a", 0), ("a", 2), ("b", 0),
    ]  # fmt: skip


def test_kept_duplicates_of_one_moment(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    line = "u,a,pay,2024-01-01 10:00:00\n"
    source = write(tmp_path, "user_id,item_id,action,event_time\n" + line * 3)
    account, rows, _ = run(
        duckdb_engine, tmp_path, {"app": source}, clean={"exact_duplicates": "keep"}
    )
    assert dropped(account) == {} and len(rows) == 3


def test_one_event_id_is_one_event(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,action,event_time,event_id
u,a,view,2024-01-01 10:05:00,e1
u,a,view,2024-01-01 10:00:00,e1
u,a,view,2024-01-01 10:00:00,e2
u,a,view,2024-01-01 10:00:00,e3
""")  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert dropped(account) == {"duplicate": 1}
    assert sorted((row["event_id"], row["event_time"].minute) for row in rows) == [
        ("e1", 0), ("e2", 0), ("e3", 0),
    ]  # fmt: skip


def test_returns_take_from_rows_before_them(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """invoice,user_id,item_id,event_time,count,price
1,u,a,2024-01-01 10:00:00,2,5
2,u,a,2024-01-02 10:00:00,2,6
C3,u,a,2024-01-03 10:00:00,-2,6
4,u,a,2024-01-04 10:00:00,3,5
C5,u,a,2024-01-05 10:00:00,-7,5
C6,u,b,2024-01-01 10:00:00,-1,5
7,u,b,2024-01-02 10:00:00,1,5
8,u,b,2024-01-03 10:00:00,1,0
""") | {"action": "pay", "cancelled": {"column": "invoice", "starts_with": "C"}}  # fmt: skip
    account, rows, aside = run(duckdb_engine, tmp_path, {"shop": source})
    assert dropped(account) == {"cancellation without its purchase": 1}
    assert mended(account) == {
        "cancellation": 1, "partial cancellation": 1, "cancellation cut": 1,
    }  # fmt: skip
    assert sorted((row["item_id"], row["value"], row["count"]) for row in rows) == [
        ("a", -25_000_000, 5.0), ("a", -12_000_000, 2.0), ("a", 10_000_000, 2.0),
        ("a", 12_000_000, 2.0), ("a", 15_000_000, 3.0), ("b", 0, 1.0), ("b", 5_000_000, 1.0),
    ]  # fmt: skip
    assert account.money == 5.0
    assert [row["invoice"] for row in aside] == ["C6"]


def test_refunds_become_negative_and_stay(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,action,event_time,value
u,a,pay,2024-01-01,"$1,200.50"
u,a,refund,2024-01-02,20
u,b,refund,2024-01-03,-30
u,b,pay,2024-01-03,what
""")  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert {row["value"] for row in rows} == {1_200_500_000, -20_000_000, -30_000_000, None}
    assert mended(account) == {"sign of refunds": 1, "unreadable value": 1}


def test_actions_are_renamed_and_spelt_alike(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,act,event_time
17850.0,a,Buy,2024-01-01
17851.0,a,buy,2024-01-02
u3,a,View,2024-01-03
u3,a,view ,2024-01-04
u3,a,view,2024-01-05
""") | {"columns": {"action": "act"}, "actions": {"buy": "pay"}}  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert sorted(row["action"] for row in rows) == ["pay", "pay", "view", "view", "view"]
    assert {row["user_id"] for row in rows} == {"17850", "17851", "u3"}
    assert mended(account) == {"user ids written as decimals": 2, "spelling of actions": 1}


def test_a_bot_goes_from_the_day_on_on_which_it_shows(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    rows = [f"bot,i{n},view,2024-01-02 10:{n:02d}:00" for n in range(12)]
    rows += [
        "bot,i,view,2024-01-01 10:00:00",
        "bot,i,view,2024-01-09 10:00:00",
        *[f"u,i{n},view,2024-01-{n + 1:02d}" for n in range(12)],
    ]
    source = write(tmp_path, "user_id,item_id,action,event_time\n" + "\n".join(rows))
    account, rows, _ = run(
        duckdb_engine, tmp_path, {"app": source}, clean={"max_events_per_day": 10}
    )
    assert dropped(account) == {"bot": 13}
    times = [row["event_time"].isoformat() for row in rows if row["user_id"] == "bot"]
    assert times == ["2024-01-01T10:00:00"]


def test_the_future_is_judged_from_the_data(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    rows = [f"u,i{n},view,2024-01-{n + 1:02d},5" for n in range(28)]
    rows += ["u,x,view,2099-01-01,5", "u,y,view,2024-01-05,5000000"]
    source = write(tmp_path, "user_id,item_id,action,event_time,value\n" + "\n".join(rows))
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert dropped(account) == {"after until": 1, "impossible value": 1} and len(rows) == 28
    note = next(rule.note for rule in account.rules if rule.name == "after until")
    assert "2024-01-28" in note


def test_a_shifted_clock_is_set_right(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    rows = [f"u,i{n},view,2024-01-01 {n:02d}:00:00,2024-01-01 {n + 8:02d}:00:02" for n in range(9)]
    rows += ["u,late,view,2024-01-03 10:00:00,2024-01-03 12:00:00"]
    source = write(tmp_path, "user_id,item_id,action,event_time,received_time\n" + "\n".join(rows))
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    times = {row["item_id"]: row["event_time"].isoformat() for row in rows}
    assert times["i0"] == "2024-01-01T08:00:00" and times["late"] == "2024-01-03T12:00:00"
    assert mended(account) == {"clock skew": 10}


def test_order_without_times(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, "u a\nv b\nu c\nu a\n", "log.txt") | {
        "columns": {"user_id": "1", "item_id": "2"}, "action": "view",
    }  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert account.n_out == 4
    assert sorted((row["user_id"], row["order"], row["item_id"]) for row in rows) == [
        ("u", 0, "a"), ("u", 1, "c"), ("u", 2, "a"), ("v", 0, "b"),
    ]  # fmt: skip
    assert all(row["event_time"] is None for row in rows)


def test_unreadable_times_name_file_row_and_value(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    source = write(tmp_path, "user_id,action,event_time\nu,view,2024-01-01\nu,view,x1\nu,view,x2\n")
    with pytest.raises(SourceError, match=r"log.csv line 3, column 'event_time': time 'x1'.*2 of"):
        run(duckdb_engine, tmp_path, {"app": source})


def test_some_sources_with_times_and_some_without(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    one = write(tmp_path, "user_id,action,event_time\nu,view,2024-01-01\n")
    two = write(tmp_path, "user_id,action\nu,view\n", "other.csv")
    with pytest.raises(SourceError, match=r"\[sources.two\] has no event_time"):
        run(duckdb_engine, tmp_path, {"one": one, "two": two})


def test_nothing_left_says_which_rule(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, "user_id,action,event_time\n,view,2024-01-01\n")
    with pytest.raises(
        SourceError, match=r"cleaning leaves none of 1 rows: the rule .no user id. sets aside 1"
    ):
        run(duckdb_engine, tmp_path, {"app": source})


def test_until_must_be_a_moment(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, "user_id,action,event_time\nu,view,2024-01-01\n")
    with pytest.raises(SettingsError, match="until = 'soon'"):
        run(duckdb_engine, tmp_path, {"app": source}, clean={"until": "soon"})


def test_an_order_number_is_no_event_id(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,event_time,event_id,value
u,a,2024-01-01 10:00:00,1,5
u,b,2024-01-01 10:00:00,1,6
u,a,2024-01-02 10:00:00,2,5
u,c,2024-01-02 10:00:00,2,7
u,c,2024-01-02 10:00:00,2,8
""") | {"action": "pay"}  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert dropped(account) == {} and len(rows) == 5
    (note,) = [rule.note for rule in account.rules if rule.name == "order numbers"]
    assert "map it as order_id" in note


def test_negative_values_are_asked_about(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,action,event_time,value
u,sale,2024-01-01 10:00:00,50
u,sale,2024-01-02 10:00:00,-20
u,view,2024-01-03 10:00:00,
""")  # fmt: skip
    with pytest.raises(QuestionError, match=r"they are refunds: net money 30.00"):
        run(duckdb_engine, tmp_path, {"app": source})
    for answer, net in (("refund", 30.0), ("drop", 50.0), ("keep", 30.0)):
        account, _, _ = run(
            duckdb_engine, tmp_path, {"app": source}, clean={"negative_values": answer}
        )
        assert account.money == net


def test_actions_that_sound_like_refunds_are_asked_about(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    source = write(tmp_path, """user_id,action,event_time,value
u,pay,2024-01-01 10:00:00,50
u,partial refund of order,2024-01-02 10:00:00,20
""")  # fmt: skip
    with pytest.raises(QuestionError, match=r"(?s)'partial refund of order'.*net money 30.00"):
        run(duckdb_engine, tmp_path, {"app": source})
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source}, clean={"accept_guesses": True})
    assert account.money == 30.0 and {row["action"] for row in rows} == {"pay", "refund"}


def test_refunded_rows_and_times_of_refunds(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,kind,event_time,value,back,refund_time
u,Sale,2024-01-01 10:00:00,50,12.5,2024-02-01
u,Money-Back,2024-01-02 10:00:00,20,,
""") | {"action": "pay", "refunded": {"column": "kind", "values": ["money-back"]}}  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert account.money == 30.0
    source["refunded"] = "back"
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": source})
    assert account.money == 57.5 and (account.n_in, account.n_out, account.added) == (2, 3, 1)
    (refund,) = [row for row in rows if row["action"] == "refund"]
    assert refund["event_time"].isoformat() == "2024-02-01T00:00:00"


def test_rows_of_totals_are_set_aside(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,item_id,action,event_time,value
u1,a,pay,2024-01-01 10:00:00,5
u2,Total,pay,2024-01-02 10:00:00,7
,Zwischensumme:,,,12
Total,,,,12
,,,合计,12
,,,,12
""")  # fmt: skip
    allowed = {"allow": {"no user id": 1.0}}
    account, rows, _ = run(duckdb_engine, tmp_path, {"shop": source}, clean=allowed)
    assert dropped(account) == {"total row": 3, "no user id": 1}
    assert sorted(row["user_id"] for row in rows) == ["u1", "u2"]


def test_rows_of_totals_of_a_log_without_times(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, "user_id,item_id,value\nu1,a,5\nu2,,7\nTotale,,12\nSumme,b,1\n")
    account, rows, _ = run(duckdb_engine, tmp_path, {"shop": {**source, "action": "pay"}})
    assert dropped(account) == {"total row": 1}
    assert sorted(row["user_id"] for row in rows) == ["Summe", "u1", "u2"]


def test_files_without_times_are_in_the_order_of_their_numbers(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    for number in (10, 9, 1):
        write(tmp_path, f"user_id,item_id,action\nu,i{number},view\n", f"part-{number}.csv")
    account, rows, _ = run(duckdb_engine, tmp_path, {"app": {"events": "part-*.csv"}})
    assert [row["item_id"] for row in sorted(rows, key=lambda row: row["order"])] == [
        "i1", "i9", "i10",
    ]  # fmt: skip
    note = next(rule.note for rule in account.rules if rule.name == "order of files")
    assert "part-1.csv, part-9.csv, part-10.csv;" in note


def test_words_that_are_no_customer_are_told(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    users = ["u1", "u2", *["guest"] * 3, "Guest", *["NULL"] * 2, " ", "-"]
    source = write(tmp_path, "user_id,item_id,action\n" + "".join(
        f"{user},i{n},view\n" for n, user in enumerate(users)
    ))  # fmt: skip
    allowed = {"allow": {"no user id": 1.0}}
    account, _, _ = run(duckdb_engine, tmp_path, {"app": source}, clean=allowed)
    note = next(rule.note for rule in account.rules if rule.name == "no user id")
    assert note == (
        "'guest' (4), 'null' (2), empty cells (1), '-' (1); [clean] placeholder_ids sets the words"
    )


def test_a_total_below_orders_with_shared_totals(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    source = write(tmp_path, """user_id,item_id,order_id,value
u1,a,1,30
u1,b,1,30
u2,a,2,10
Total,,,40
""") | {"action": "pay", "value_is": "order"}  # fmt: skip
    account, rows, _ = run(duckdb_engine, tmp_path, {"shop": source})
    assert dropped(account) == {"total row": 1}
    assert sum(row["value"] for row in rows) == 40_000_000


def test_a_refund_has_no_impossible_time(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    source = write(tmp_path, """user_id,event_time,value,back,refund_time
u,2024-01-01 10:00:01,50,12.5,2099-02-01
v,2024-01-02 10:00:01,50,12.5,1900-02-01
w,2024-01-05 10:00:01,50,,
""") | {"action": "pay", "refunded": "back"}  # fmt: skip
    _, rows, _ = run(duckdb_engine, tmp_path, {"app": source}, clean={"until": "2024-03-01"})
    times = {str(row["event_time"])[:10] for row in rows if row["action"] == "refund"}
    assert times == {"2024-01-01", "2024-01-02"}
