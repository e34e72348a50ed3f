"""Canaries: every column that knows the future is named and stops a run; honest ones pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense import pipeline
from propense.cli import main
from propense.errors import LeakError, SettingsError
from propense.schemas import RunFolder, SplitPlan
from propense.settings import Settings, parse_settings
from propense.tables.doctor.leaks.checks import ColumnFindings, check_columns, refuse_leaks
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.split import split
from tests.support.shops.leak_worlds import (
    DAY,
    END,
    FORMS,
    QUANTITIES,
    START,
    World,
    dates,
    make_world,
    search_columns,
    stamps,
    write_clean,
)  # fmt: skip

# Ibis calls a DuckDB method by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

CUT = END - 30 * DAY


def leaking(world: World) -> dict[str, Any]:
    """Columns that were filled in at the end of the log."""
    orders, spent, last = world.count(world.pays), world.paid(), world.last()
    tier = np.array(["low", "mid", "high"])[np.digitize(spent, np.quantile(spent, [0.5, 0.85]))]
    days_to_first = (world.first(world.pays) - world.joined) / DAY + world.joined / DAY
    return {
        "last_seen": stamps(last),
        "last_seen_day": stamps(np.floor(last / DAY) * DAY),
        "last_seen_text": dates(last),
        "last_seen_unix": last + START,
        "last_purchase_date": stamps(world.last(world.pays)),
        "lifetime_orders": orders.astype(np.int64),
        "n_events": world.count().astype(np.int64),
        "n_sessions": world.noisy(world.sessions()),
        "total_spent": spent,
        "total_spent_cents": world.noisy(np.round(spent * 100)),
        "log_spent": np.log1p(spent),
        "tier": tier.tolist(),
        "is_churned": last < CUT,
        "paid_in_test": np.where(orders > world.count(world.pays, CUT), "yes", "no").tolist(),
        "first_purchase_unix": days_to_first,
    }


def honest(world: World) -> dict[str, Any]:
    """Columns that were known before, or are hidden until they are."""
    rng, n = world.rng, world.n
    plan = np.where(world.rate * rng.gamma(4, 0.25, n) > 0.12, "paid", "free")
    return {
        "signup_date": stamps(world.joined.astype(float)),
        "signup_text": dates(world.joined.astype(float)),
        "first_seen": stamps(world.first()),
        "first_purchase": stamps(world.first(world.pays)),
        "age": rng.integers(18, 80, n),
        "country": rng.choice(["FR", "DE", "IT", "ES"], n).tolist(),
        "plan_at_signup": plan.tolist(),
        "expected_rate": world.rate * rng.lognormal(0, 0.3, n),
        "orders_before": world.count(world.pays, 24 * DAY).astype(np.int64),
        "spent_before": world.paid(24 * DAY),
    }


def settings_of(**more: Any) -> Settings:
    return parse_settings({
        "sources": {"shop": {"events": "events.csv"}},
        "goals": {"pay": {"action": "pay", "within": "14d"}},
        "users": {"path": "users.csv"}, "items": {"path": "items.csv"}, **more,
    })  # fmt: skip


Shop = tuple[RunFolder, SplitPlan, TableEngine]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A split of the world with every column."""
    root = tmp_path_factory.mktemp("leaks")
    run, engine = RunFolder(root), connect("duckdb", root / "scratch")
    world = make_world()
    sales = np.bincount(world.item, minlength=60)
    before = np.bincount(world.item[world.time < 60 * DAY], minlength=60)
    items = {
        "sales": sales, "views_so_far": np.round(sales * world.rng.lognormal(0, 0.05, 60)),
        "sales_at_start": before, "price": world.rng.lognormal(2, 1, 60),
    }  # fmt: skip
    write_clean(world, run.clean, leaking(world) | honest(world), items)
    return run, split(run, settings_of(), engine), engine


@pytest.fixture(scope="module")
def findings(shop: Shop) -> ColumnFindings:
    run, plan, engine = shop
    return check_columns(run, plan, settings_of(), engine)


@pytest.mark.parametrize("name", leaking(make_world(50)))
def test_column_that_knows_the_future_is_an_error(findings: ColumnFindings, name: str) -> None:
    (first, *_) = [finding for finding in findings.leaks if finding.column == name]
    assert first.remedy.startswith(f"name the columns to learn from in [users] features, without "
                                   f"{name!r}")  # fmt: skip
    assert f'known_before = ["{name}"]' in first.remedy


@pytest.mark.parametrize("name", honest(make_world(50)))
def test_honest_column_passes(findings: ColumnFindings, name: str) -> None:
    assert [finding for finding in findings.leaks if finding.column == name] == []
    assert name not in findings.left_out


def test_quantity_that_is_followed_is_named(findings: ColumnFindings) -> None:
    sentences = {finding.column: finding.sentence for finding in findings.leaks
                 if finding.code == "knows_future"}  # fmt: skip
    for name, quantity in (
        ("last_seen", "the time of the last event"),
        ("lifetime_orders", "the number of all 'pay'"),
        ("last_purchase_date", "the time of the last 'pay'"),
        ("total_spent", "money"),
        ("n_sessions", "the number of sessions"),
    ):
        assert quantity in sentences[name], name
        assert "'pay'" in sentences[name]


def test_sales_of_the_whole_log_are_a_snapshot_of_items(findings: ColumnFindings) -> None:
    columns = [finding.column for finding in findings.findings if finding.code == "item_snapshot"]
    assert sorted(columns) == ["sales", "views_so_far"]
    assert all("items" in finding.remedy for finding in findings.findings
               if finding.code == "item_snapshot")  # fmt: skip


def test_tables_without_a_time_of_validity_are_said_once(
    shop: Shop, findings: ColumnFindings
) -> None:
    snapshots = [finding for finding in findings.findings if finding.code == "snapshot"]
    assert [finding.table for finding in snapshots] == ["users", "items"]
    run, plan, engine = shop
    affirmed = settings_of(
        users={"path": "u.csv", "features": ["age"], "known_before": ["age"]},
        items={"path": "i.csv", "features": ["price"], "known_before": ["price"]},
    )
    assert check_columns(run, plan, affirmed, engine).warnings == []


def test_override_is_by_name(shop: Shop) -> None:
    """One column that is affirmed does not let another pass; the report says that it is used."""
    run, plan, engine = shop
    columns = ["age", "lifetime_orders", "last_seen"]
    users = {"path": "u.csv", "features": columns, "known_before": ["lifetime_orders"]}
    one = check_columns(run, plan, settings_of(users=users), engine)
    assert {finding.column for finding in one.leaks} == {"last_seen"}
    assert any("lifetime_orders" in warning.text.en for warning in one.warnings)
    users["known_before"] = ["lifetime_orders", "last_seen"]
    both = check_columns(run, plan, settings_of(users=users), engine)
    assert both.leaks == []
    assert both.left_out == []
    users["known_before"] = ["lifetime_order"]
    with pytest.raises(SettingsError, match="did you mean 'lifetime_orders'"):
        check_columns(run, plan, settings_of(users=users), engine)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small shop as files, with one column that knows the future."""
    folder = tmp_path_factory.mktemp("files")
    world = make_world(500, seed=3)
    rows = pa.table({
        "user_id": [f"u{user:04d}" for user in world.user],
        "action": np.where(world.pays, "pay", "view"),
        "event_time": dates(world.time.astype(float)), "value": world.money,
    })  # fmt: skip
    pa.csv.write_csv(rows, folder / "events.csv")
    pa.csv.write_csv(
        pa.table({
            "user_id": [f"u{user:04d}" for user in range(world.n)],
            "age": world.rng.integers(18, 80, world.n),
            "lifetime_orders": world.count(world.pays).astype(np.int64),
        }),
        folder / "users.csv",
    )  # fmt: skip
    (folder / "propense.toml").write_text(
        '[sources.shop]\nevents = "events.csv"\n[users]\npath = "users.csv"\n'
        '[clean]\nexact_duplicates = "keep"\n'
        '[goals.pay]\naction = "pay"\nwithin = "14d"\n'
    )
    return folder


def test_run_stops_with_both_remedies(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; a column that is affirmed by name lets the run go on, without cleaning again."""
    command = ["run", "--until", "split", "--settings", str(files / "propense.toml")]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "'lifetime_orders' knows the future" in error
    assert "'pay'" in error
    assert "in [users] features, without 'lifetime_orders'" in error
    assert '[users] known_before = ["lifetime_orders"]' in error
    cleaned = (files / "runs/main/clean/account.json").stat().st_mtime_ns
    assert main([*command, "--set", 'users.known_before=["lifetime_orders"]']) == 0
    assert (files / "runs/main/clean/account.json").stat().st_mtime_ns == cleaned
    findings = msgspec.json.decode((files / "runs/main/parts/columns.json").read_bytes())
    assert "known_before" in findings["warnings"][0]["text"]["en"]


def test_only_the_remedies_let_a_run_go_on(shop: Shop, findings: ColumnFindings) -> None:
    run, plan, engine = shop
    for accepts in (False, True):
        with pytest.raises(LeakError, match="lifetime_orders"):
            refuse_leaks(findings, settings_of(clean={"accept_guesses": accepts}))
    settings = settings_of(users={"path": "u.csv", "features": ["age", "country"]})
    without = check_columns(run, plan, settings, engine)
    refuse_leaks(without, settings)


@pytest.mark.slow
def test_check_says_the_same(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--settings", str(files / "propense.toml"), "--json"]) == 1
    diagnosis = msgspec.json.decode(capsys.readouterr().out)
    leaks = [one for one in diagnosis["findings"] if one["code"] == "knows_future"]
    settings = parse_settings(
        {"sources": {"shop": {"events": "events.csv"}}, "users": {"path": "users.csv"},
         "clean": {"exact_duplicates": "keep"},
         "goals": {"pay": {"action": "pay", "within": "14d"}}},
        folder=files,
    )  # fmt: skip
    with pytest.raises(LeakError) as caught:
        pipeline.run(settings, until="split")
    assert leaks[0]["sentence"] in str(caught.value)


@given(
    seed=st.integers(0, 10_000),
    quantity=st.sampled_from(QUANTITIES),
    form=st.sampled_from(sorted(FORMS)),
    noise=st.sampled_from([0.0, 0.03]),
)
@settings(max_examples=8)
def test_any_form_of_an_end_state_is_found(
    seed: int, quantity: str, form: str, noise: float
) -> None:
    world = make_world(1000, seed)
    column = FORMS[form](world.noisy(world.final(quantity), noise))
    assert search_columns(world, {"column": column}, {}) == ({"column"}, set())


@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.03, 0.12, 0.5]))
@settings(max_examples=6)
def test_no_honest_column_is_found(seed: int, rate: float) -> None:
    """What was known when a customer joined, what shows how active they are, and first times."""
    world = make_world(600, seed, rate)
    assert search_columns(world, *world.honest()) == (set(), set())


def test_time_that_is_written_anew_is_read_by_no_model() -> None:
    """A visit elsewhere comes with the visits here, too loosely to be an error."""
    world = make_world(2000, seed=7)
    visits = world.noisy(world.last(), 0.5)
    assert search_columns(world, {}, {"visit": visits}) == (set(), {"visit"})


def test_a_table_of_those_who_came_back_is_warned_of(tmp_path: Path) -> None:
    """A profile that only buyers have says who will buy."""
    run, engine = RunFolder(tmp_path), connect("duckdb", tmp_path / "scratch")
    world = make_world(1000, seed=5)
    back = ~np.isnan(world.last(world.pays & (world.time >= CUT)))
    age = pa.array(world.rng.integers(18, 80, world.n), mask=~back)
    write_clean(world, run.clean, {"age": age}, {"price": np.ones(60)})
    settings = settings_of(
        split={"test_from": "2024-07-29"}, goals={"pay": {"action": "pay", "within": "28d"}}
    )
    columns = check_columns(run, split(run, settings, engine), settings, engine)
    (warning,) = [one for one in columns.findings if one.code == "no_profile"]
    assert warning.severity == "warning"
    assert "valid_from" in warning.remedy
