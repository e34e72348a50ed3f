"""The education world: its dirt is counted, its truth is true, its rules are kept."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import tomllib
import weakref
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from propense.errors import SettingsError, SourceError
from propense.settings import parse_settings, read_settings
from propense.worlds.education import education
from propense.worlds.education.calendar import START_SECONDS
from propense.worlds.education.customers import CITY_TIERS
from propense.worlds.education.education import generate_education
from propense.worlds.education.simulation import Chunk
from propense.worlds.output import world_hash
from support.education_world import DAYS, N_USERS, World

END_MS = (START_SECONDS + DAYS * 86_400) * 1000
FROZEN = "5d8ed31120bac7ea63aa26fe7118fcaa62d2a7783ccdf29107da3d2751626245"


def test_dirt_of_the_app_is_as_counted(world: World, app_rows: list[dict[str, Any]]) -> None:
    counts = world.dirt["app"]
    assert len(world.app) == counts["written"]
    assert len(world.app) - len(app_rows) == counts["broken_line"]
    again = Counter(world.app)
    surplus = sum(n - 1 for line, n in again.items() if line.endswith("}"))
    assert surplus == counts["exact_duplicate"]
    assert sum(row["uid"] in (None, "", "-") for row in app_rows) == counts["missing_user"]
    assert sum(isinstance(row["ts"], str) for row in app_rows) == counts["unreadable_time"]
    times = [row["ts"] for row in app_rows if not isinstance(row["ts"], str)]
    assert sum(time >= END_MS for time in times) == counts["future"]
    absurd = [row["amount"] for row in app_rows if row["amount"] is not None]
    assert sum(not 0 <= amount <= 20_000 for amount in absurd) == counts["impossible_value"]
    assert sum(row["course"] > "C9" for row in app_rows) == counts["retired_item"]
    bots = Counter(row["uid"] for row in app_rows if str(row["uid"]).startswith("u99"))
    assert sum(bots.values()) == counts["bot"]
    assert min(bots.values()) > education.dirt.MAX_EVENTS_PER_DAY
    assert counts["written"] - counts["clean"] == sum(
        n for kind, n in counts.items() if kind not in ("clean", "written")
    )


def test_retries_come_within_a_second_and_nothing_else_does(
    world: World, app_rows: list[dict[str, Any]]
) -> None:
    times_of: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for row in app_rows:
        if isinstance(row["ts"], int) and row["uid"] not in (None, "", "-"):
            times_of[row["uid"], row["course"], row["act"], row["amount"]].add(row["ts"])
    near = sum(
        int((np.diff(np.sort(list(times))) <= 1000).sum()) for times in times_of.values()
    )  # fmt: skip
    assert near == world.dirt["app"]["retry"]


def test_dirt_of_the_web_log_is_as_counted(world: World) -> None:
    counts = world.dirt["web"]
    assert len(world.web) == counts["written"]
    whole = [line for line in world.web if line.endswith('"Mozilla/5.0"')]
    assert len(world.web) - len(whole) == counts["broken_line"]
    assert sum(n - 1 for n in Counter(whole).values()) == counts["exact_duplicate"]
    assert sum(" - - [" in line for line in whole) == counts["missing_user"]
    assert sum("31/Feb" in line for line in whole) == counts["unreadable_time"]
    years = [int(match[1]) for line in whole if (match := re.search(r"/(\d{4}):", line))]
    assert sum(year > 2030 for year in years) == counts["future"]
    assert sum("course=C90" in line for line in whole) == counts["retired_item"]
    amounts = [float(match[1]) for line in whole if (match := re.search(r"amount=(\S+)", line))]
    assert sum(not 0 <= amount <= 20_000 for amount in amounts) == counts["impossible_value"]
    assert 0 < counts["other_time_zone"] <= sum("+0000]" in line for line in whole)


def test_dirt_of_the_bookshop_is_as_counted(world: World) -> None:
    counts = world.dirt["shop"]
    orders = pq.read_table(world.folder / "shop/orders.parquet")
    assert len(orders) == counts["written"]
    lines = Counter(orders["line"].to_pylist())
    assert sum(n - 1 for n in lines.values()) == counts["exact_duplicate"]
    assert orders["customer"].null_count == counts["missing_user"]
    assert (
        sum(price < 0 for price in orders["unit_price"].to_pylist()) == counts["impossible_value"]
    )
    readable = re.compile(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$")
    clocks = orders["ordered_at"].to_pylist()
    unreadable = sum(re.match(r"^20\d\d-\d\d-\d\d \d\d:[0-5]", c) is None for c in clocks)
    assert unreadable == counts["unreadable_time"]
    assert sum(bool(readable.match(c)) and c > "2031" for c in clocks) == counts["future"]


def test_users_are_gb18030_and_identities_have_a_mark(world: World) -> None:
    raw = (world.folder / "users.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    users = list(csv.DictReader(io.StringIO(raw.decode("gb18030"))))
    assert len(users) == N_USERS == len({user["user_id"] for user in users})
    assert "校园推广" in {user["channel"] for user in users}
    tiers = sum(user["city_tier"] not in CITY_TIERS for user in users)
    assert tiers == world.dirt["users"]["spelling_variant"]
    raw = (world.folder / "identities.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    identities = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert abs(len(identities) / N_USERS - 0.30) < 4 * (0.3 * 0.7 / N_USERS) ** 0.5
    assert len({identity["alias"] for identity in identities}) == len(identities)
    aliases = {identity["alias"] for identity in identities}
    customers = pq.read_table(world.folder / "shop/orders.parquet")["customer"].drop_null()
    assert set(customers.to_pylist()) <= aliases


def test_items_hold_courses_and_books_under_distinct_ids(world: World) -> None:
    items = pq.read_table(world.folder / "items.parquet").to_pylist()
    assert Counter(item["kind"] for item in items) == {"course": 500, "book": 320}
    assert len({item["item_id"] for item in items}) == 820
    folded = {item["category"].strip().casefold() for item in items}
    assert len(folded) == 12 < len({item["category"] for item in items})
    chinese = sum(re.search("[\u4e00-\u9fff]", item["title"]) is not None for item in items)
    assert 150 < chinese < 450
    level = {item["item_id"]: item["level"] for item in items}
    rank = {"beginner": 1, "intermediate": 2, "advanced": 3, "expert": 4}
    for item in items:
        if item["prerequisite"] is not None:
            assert rank[level[item["prerequisite"]]] == rank[item["level"]] - 1


def test_nobody_pays_for_a_course_before_its_prerequisite(
    world: World, app_rows: list[dict[str, Any]]
) -> None:
    items = pq.read_table(world.folder / "items.parquet").to_pylist()
    needs = {item["item_id"]: item["prerequisite"] for item in items}
    begun: dict[tuple[str, str], int] = {}
    pays = []
    for user, course, action, time in _all_rows(world, app_rows):
        if action in ("pay", "learn"):
            key = (user, course)
            begun[key] = min(begun.get(key, time), time)
        if action == "pay":
            pays.append((user, course, time))
    later = [pay for pay in pays if needs.get(pay[1]) is not None]
    assert len(later) > 100
    for user, course, time in later:
        assert begun[user, str(needs[course])] < time


def test_truth_is_calibrated_against_what_happened(world: World) -> None:
    truth = pq.read_table(world.folder / "truth/propensity.parquet").to_pandas()
    settled = truth.dropna(subset=["pay"])
    assert len(settled) > 10_000 < len(truth) - len(settled)
    for goal in ("pay", "churn"):
        for as_of, rows in settled.groupby("as_of"):
            _assert_binomial(rows[goal].to_numpy(), rows[f"p_{goal}"].to_numpy(), f"{as_of}")
        latest = settled[settled.as_of == settled.as_of.max()]
        tenth = np.argsort(np.argsort(latest[f"p_{goal}"].to_numpy())) * 8 // len(latest)
        for part in range(8):
            rows = latest[tenth == part]
            _assert_binomial(rows[goal].to_numpy(), rows[f"p_{goal}"].to_numpy(), f"{part}")


def test_rates_and_ceiling_are_those_of_a_platform(world: World) -> None:
    truth = pq.read_table(world.folder / "truth/propensity.parquet").to_pandas()
    assert 0.08 < truth["pay"].mean() < 0.16
    assert 0.28 < truth["churn"].mean() < 0.47
    assert 0.80 < world.summary.ceiling["pay"] < 0.90
    assert 0.80 < world.summary.ceiling["churn"] < 0.90
    weekly = np.diff(np.unique(truth["as_of"]))
    assert set(weekly) == {7 * 86_400}
    assert (truth["as_of"] % (7 * 86_400) == 4 * 86_400).all(), "as-of times are Mondays"


def test_campaigns_are_assigned_with_the_stated_probabilities(world: World) -> None:
    table = pq.read_table(world.folder / "campaigns.parquet").to_pandas()
    assert set(table["campaign"]) == {"coupon", "reminder"}
    assert ((table["arm"] == "control") == ~table["treated"]).all()
    for (_, p), rows in table.groupby(["campaign", "p_treated"]):
        error = (p * (1 - p) / len(rows)) ** 0.5
        assert abs(rows["treated"].mean() - p) < 4 * error
    assert table.groupby("campaign")["p_treated"].nunique().to_dict() == {
        "coupon": 1, "reminder": 2,
    }  # fmt: skip


def test_uplift_is_heterogeneous_and_agrees_with_the_experiment(world: World) -> None:
    truth = pq.read_table(world.folder / "truth/uplift.parquet").to_pandas()
    for campaign, rows in truth.groupby("campaign"):
        assert rows["uplift"].std() > 0.01
        p = np.where(rows["treated"], rows["p_pay_treated"], rows["p_pay_control"])
        last = rows["exposure_time"] + 30 * 86_400 <= END_MS / 1000
        _assert_binomial(rows["pay"].to_numpy()[last], p[last], str(campaign))
    assert (truth.loc[truth["campaign"] == "reminder", "uplift"] < 0).mean() > 0.02


def test_impressions_follow_their_stated_policy(world: World) -> None:
    shown = pq.read_table(world.folder / "impressions.parquet").to_pandas()
    assert set(shown["position"]) == {1, 2, 3}
    # E[1 / p of what was drawn] is the number of courses that could be drawn.
    for policy, rows in shown.groupby("policy"):
        weight = 1 / rows["p_action"].to_numpy()
        error = weight.std() / len(weight) ** 0.5
        assert 400 - 4 * error < weight.mean() < 500 + 4 * error, policy
    click = shown.groupby("position")["outcome"].mean()
    assert click[1] > click[3] > 0


def test_preference_is_what_customers_choose_next(
    world: World, app_rows: list[dict[str, Any]]
) -> None:
    truth = pq.read_table(world.folder / "truth/preference.parquet").to_pylist()
    chosen: dict[tuple[str, int], str] = {}
    for user, course, action, time in sorted(_all_rows(world, app_rows), key=lambda row: row[3]):
        if action in ("favourite", "pay"):
            chosen.setdefault((user, time // 86_400_000 * 86_400), course)
    expected, captured = 0.0, 0.0
    for row in truth:
        p = dict(zip(row["items"], row["p"], strict=True))
        assert len(p) == 50 and sum(p.values()) < 1 + 1e-4
        course = chosen.get((row["user_id"], row["as_of"]))
        if course is not None:
            expected += sum(value * value for value in p.values())
            captured += p.get(course, 0.0)
    assert expected > 20
    # Not exactly 1: between midnight and the visit a few stop considering.
    assert 0.8 < captured / expected < 1.15


def test_settings_of_the_world_are_read(world: World) -> None:
    settings = read_settings(world.folder / "propense.toml")
    assert set(settings.sources) == {"app", "web", "shop"}
    assert set(settings.goals) == {"pay", "churn", "spend"}
    assert settings.users is not None and settings.users.sensitive == ("age_band",)


@pytest.mark.parametrize(("n_users", "rows"), [(20, 5_000), (40_000, 10_000), (100_000, 20_000)])
def test_a_run_is_bounded_by_epochs_and_rows_not_by_the_clock(n_users: int, rows: int) -> None:
    """Two runs of one world end with the same network, whatever else the machine does."""
    text = education.settings_text(n_users, "2026-01-01T00:00:00")
    settings = parse_settings(tomllib.loads(text))
    assert settings.train.max_minutes is None
    assert settings.train.max_epochs == 3
    assert settings.rivals.max_rows == rows


def test_content_of_the_small_world_is_frozen(tmp_path: Path) -> None:
    generate_education(tmp_path / "a", 500, 154, seed=0)
    assert world_hash(tmp_path / "a") == FROZEN


def test_same_seed_same_content_other_seed_other(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate_education(tmp_path / name, 40, 154, seed=seed)
    assert world_hash(tmp_path / "a") == world_hash(tmp_path / "b")
    assert world_hash(tmp_path / "a") != world_hash(tmp_path / "c")


def test_hash_sees_a_changed_value_and_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w/a.csv").write_text("1")
    before = world_hash(tmp_path / "w")
    (tmp_path / "w/a.csv").write_text("2")
    assert world_hash(tmp_path / "w") != before
    with pytest.raises(SourceError, match="nowhere"):
        world_hash(tmp_path / "nowhere")


def test_at_most_two_chunks_are_held_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[weakref.ref[Chunk]] = []
    alive: list[int] = []
    simulate = education._simulate

    def counting(*args: Any) -> Any:
        gc.collect()
        alive.append(sum(chunk() is not None for chunk in born))
        simulated = simulate(*args)
        born.append(weakref.ref(simulated[0]))
        return simulated

    monkeypatch.setattr(education, "CUSTOMERS_PER_CHUNK", 15)
    monkeypatch.setattr(education, "_simulate", counting)
    generate_education(tmp_path, 75, 154)
    assert len(alive) == 5 and max(alive) <= 2


def test_progress_is_reported(tmp_path: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    generate_education(tmp_path, 20, 154, progress=lambda *args: reports.append(args))
    assert reports[0][:2] == (0, 20) and reports[-1][:2] == (20, 20)


@pytest.mark.parametrize(
    ("n_users", "days", "value"), [(0, 560, "got 0"), (9, 97, "got 97"), (9, 200, "got 200")]
)
def test_impossible_sizes_are_refused(tmp_path: Path, n_users: int, days: int, value: str) -> None:
    with pytest.raises(SettingsError, match=value):
        generate_education(tmp_path, n_users, days)


def _all_rows(world: World, app_rows: list[dict[str, Any]]) -> list[tuple[str, str, str, int]]:
    """(user, course, action, ms) of readable rows of both logs with a user and a present time."""
    rows = [
        (row["uid"], row["course"], row["act"], row["ts"])
        for row in app_rows
        if isinstance(row["ts"], int) and row["uid"] not in (None, "", "-") and row["ts"] < END_MS
    ]
    line_form = re.compile(r"- (u\d+) \[(\S+ [+-]\d{4})\] \"GET /course\?course=(\w+)&act=(\w+)")
    stamps: dict[str, int] = {}
    for line in world.web:
        match = line_form.search(line)
        if match and "31/Feb" not in line:
            text = match[2]
            if text not in stamps:
                stamps[text] = _log_time(text)
            if stamps[text] < END_MS:
                rows.append((match[1], match[3], match[4], stamps[text]))
    return rows


def _log_time(text: str) -> int:
    from datetime import datetime

    return int(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1000


def _assert_binomial(outcome: np.ndarray, p: np.ndarray, where: str) -> None:
    """The number of outcomes is within 4.5 standard errors of what the chances say."""
    error = np.sqrt((p * (1 - p)).sum())
    assert abs(outcome.sum() - p.sum()) < 4.5 * error + 0.5, (where, outcome.sum(), p.sum())


def test_world_facts_are_written(world: World) -> None:
    facts = json.loads((world.folder / "truth/world.json").read_text(encoding="utf-8"))
    assert facts["n_users"] == N_USERS and facts["days"] == DAYS
    assert facts["auc"]["pay"] == pytest.approx(world.summary.ceiling["pay"], abs=1e-6)
    assert len(facts["auc_by_moment"]["pay"]) > 10
