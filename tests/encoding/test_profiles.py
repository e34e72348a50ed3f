"""Profiles offline and live, and what may be known when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.profiles import (
    ProfileSpec,
    encode_profiles,
    fit_profiles,
    infer_kind,
    profiles_of,
)
from propense.errors import SettingsError
from propense.schemas import NO_TIME
from propense.settings import Settings, parse_settings
from support.encoding_runs import DAY, stamps


def settings_of(users: dict[str, Any] | None = None, **more: Any) -> Settings:
    return parse_settings(
        {"sources": {"a": {"events": "x"}}, "users": {"path": "u", **(users or {})}, **more}
    )


TABLE = pa.table(
    {
        "user_id": ["a", "b", "c", "d"],
        "age": pa.array([30, None, 41, 7]),
        "band": ["x", "y", None, "x"],
        "vip": [True, False, None, True],
        "signup": stamps([10 * DAY, 20 * DAY, None, 30 * DAY]),
        "income": [1.5, float("inf"), float("nan"), 2.0],
        "nothing": pa.nulls(4),
    }
)
EVERYONE = np.ones(4, bool)


def test_types_decide_how_columns_are_read() -> None:
    spec = fit_profiles(TABLE, EVERYONE, settings_of())
    assert spec.numeric_names == ("age", "income", "signup_days_since")
    assert spec.categorical_names == ("band", "vip")
    assert spec.cardinalities == (4, 4)
    assert spec.constant == ("nothing",)
    made = encode_profiles(TABLE, spec)
    assert made.categorical.tolist() == [[2, 2], [3, 3], [0, 0], [2, 2]]
    np.testing.assert_array_equal(
        made.numeric, np.array([[30, 1.5], [np.nan] * 2, [41, np.nan], [7, 2]], np.float32)
    )
    assert made.times.tolist() == [[10 * DAY], [20 * DAY], [NO_TIME], [30 * DAY]]
    assert (made.valid_from == NO_TIME).all()


def test_words_are_learned_from_the_chosen_rows_alone() -> None:
    spec = fit_profiles(TABLE, np.array([True, False, True, True]), settings_of())
    band = spec.of_kind("categorical")[0]
    assert band.vocabulary.words == ("x",)
    assert encode_profiles(TABLE, spec).categorical[:, 0].tolist() == [2, 1, 0, 2]


def test_columns_left_out_by_the_split_are_no_features() -> None:
    spec = fit_profiles(TABLE, EVERYONE, settings_of(), ["age"])
    assert "age" not in [column.name for column in spec.columns]
    assert spec.columns


def test_settings_override_looks() -> None:
    spec = fit_profiles(
        TABLE, EVERYONE,
        settings_of({"features": ["age", "band"], "types": {"age": "categorical", "band": "text"}}),
    )  # fmt: skip
    assert spec.categorical_names == ("age",)
    assert spec.numeric_names[0] == "band_text_0"
    assert encode_profiles(TABLE, spec).categorical[:, 0].tolist() == [2, 0, 3, 4]


def test_labels_ids_and_groups_are_no_features() -> None:
    goals = {"vip": {"column": "vip", "as_of": "signup"}}
    spec = fit_profiles(
        TABLE, EVERYONE,
        settings_of(goals=goals, split={"by": "group", "group": "band", "disjoint_on": "income"}),
    )  # fmt: skip
    assert [column.name for column in spec.columns] == ["age"] and spec.constant == ("nothing",)


def test_columns_stand_by_name_and_constant_ones_are_left_out() -> None:
    table = TABLE.select(["user_id", "vip", "band", "age"])
    everywhere = pa.array(["x"] * 4)
    table = table.append_column("plan", everywhere).append_column("dated", stamps([DAY] * 4))
    table = table.append_column("lists", pa.array([["a"]] * 4))
    spec = fit_profiles(table, EVERYONE, settings_of())
    assert [column.name for column in spec.columns] == ["age", "band", "vip"]
    assert spec.constant == ("dated", "lists", "plan")
    # Missing where other columns are not: whether there is a value says something.
    telling = table.append_column("asked", pa.array(["yes", "yes", None, None]))
    assert "asked" in [
        column.name for column in fit_profiles(telling, EVERYONE, settings_of()).columns
    ]
    # Customers without a profile lack the constant as they lack the rest.
    lacking = pa.table(
        {"user_id": ["a", "b", "c"], "age": pa.array([1, 2, None]), "plan": ["x", "x", None]}
    )
    spec = fit_profiles(lacking, np.ones(3, bool), settings_of())
    assert [column.name for column in spec.columns] == ["age"] and spec.constant == ("plan",)
    # What is constant in train alone is constant.
    chosen = np.array([True, False, False, True])
    assert fit_profiles(TABLE, chosen, settings_of()).constant == ("band", "nothing", "vip")


def test_where_nothing_varies_all_columns_stay_unless_there_are_events() -> None:
    table = TABLE.select(["user_id", "nothing"]).append_column("plan", pa.array(["x"] * 4))
    assert fit_profiles(table, EVERYONE, settings_of()).columns == ()
    spec = fit_profiles(table, EVERYONE, settings_of(), alone=True)
    assert [column.name for column in spec.columns] == ["nothing", "plan"] and not spec.constant


@pytest.mark.parametrize(
    ("users", "more", "message"),
    [
        ({"features": ["agee"]}, {}, "'agee'; did you mean 'age'"),
        ({"sensitive": ["sex"]}, {}, "'sex'"),
        ({"valid_from": "signed"}, {}, "'signed'; did you mean 'signup'"),
        ({"types": {"bnad": "text"}}, {}, "'bnad'; did you mean 'band'"),
        ({"features": ["vip"]}, {"goals": {"g": {"column": "vip"}}}, "'vip', which is the label"),
    ],
)
def test_columns_that_cannot_be_are_named(
    users: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        fit_profiles(TABLE, EVERYONE, settings_of(users, **more))


def test_a_profile_is_unknown_before_it_is_valid_and_a_time_before_it_comes() -> None:
    spec = fit_profiles(
        TABLE, EVERYONE, settings_of({"features": ["age", "band", "signup"]})
    )  # fmt: skip
    always = encode_profiles(TABLE, spec)
    user = np.array([0, 0, 3], np.int32)
    as_of = np.array([5, 12, 40]) * DAY
    numeric, categorical = always.at(user, as_of, 0)
    np.testing.assert_array_equal(numeric, np.array([[30, np.nan], [30, 2], [7, 10]], np.float32))
    assert categorical[:, 0].tolist() == [2, 2, 2]
    dated = encode_profiles(
        TABLE, ProfileSpec(spec.columns, valid_from="signup", text_buckets=spec.text_buckets)
    )
    numeric, categorical = dated.at(user, as_of, 0)
    assert np.isnan(numeric[0]).all() and categorical[0, 0] == 0
    assert numeric[1].tolist() == [30, 2] and categorical[1, 0] == 2
    numeric, _ = dated.at(user[:1], np.array([NO_TIME]), 30 * DAY)
    assert numeric[0].tolist() == [30, 20]


def test_judging_kinds() -> None:
    many = [f"bio number {k} of somebody" for k in range(60)]
    chinese = [f"热爱学习编程的学生{k}" for k in range(60)]
    codes = [f"code{k}" for k in range(60)]
    for values, kind in ((many, "text"), (chinese, "text"), (codes, "categorical"),
                         (many[:40], "categorical")):  # fmt: skip
        assert infer_kind("bio", pa.array(values), False) == (kind, "")
    assert infer_kind("title", pa.array(["a", "b"]), True) == ("text", "")
    assert infer_kind("genres", pa.array(["a|b", "b"]), True) == ("tokens", "|")
    assert infer_kind("genres", pa.array(["a|b", "b"]), False) == ("categorical", "")
    assert infer_kind("tags", pa.array([["a"]]), True) == ("tokens", "")
    assert infer_kind("level", pa.array([1, 2, 1]), False) == ("numeric", "")
    assert infer_kind("day", pa.array([dt.date(2026, 1, 1)]), False) == ("time", "")


VALUES = {
    "age": st.none() | st.integers(-5, 99),
    "income": st.none() | st.floats(width=32),
    "rank": st.none() | st.sampled_from([1.0, 2.0, 2.5]),
    "band": st.none() | st.sampled_from(["x", "数", "", "zz"]),
    "vip": st.none() | st.booleans(),
    "bio": st.none() | st.text(max_size=20),
    "signup": st.none() | st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2090, 1, 1)),
    "born": st.none() | st.dates(dt.date(1930, 1, 1), dt.date(2020, 1, 1)),
    "likes": st.none() | st.lists(st.sampled_from(["tea", "数", ""]), max_size=3),
    "price": st.none() | st.sampled_from(["12", " 3.5", "1e3", "+4", "n/a", "-7", "1_000"]),
}
TYPES = {
    "age": pa.int64(), "income": pa.float64(), "rank": pa.float64(), "band": pa.string(),
    "vip": pa.bool_(), "bio": pa.string(), "signup": pa.timestamp("us"), "born": pa.date32(),
    "likes": pa.list_(pa.string()),
    "price": pa.string(),
}  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5))
def test_live_profiles_equal_the_table(records: list[dict[str, Any]]) -> None:
    table = pa.table(
        {name: pa.array([r[name] for r in records], kind) for name, kind in TYPES.items()}
    )
    spec = fit_profiles(
        table, np.ones(len(records), bool),
        settings_of({
            "types": {"bio": "text", "rank": "categorical", "price": "numeric"},
            "valid_from": "signup", "sensitive": ["band", "age"],
        }),
    )  # fmt: skip
    offline = encode_profiles(table, spec)
    live = profiles_of(records, spec)
    for name in ("numeric", "categorical", "times", "valid_from"):
        a, b = getattr(offline, name), getattr(live, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert {k: v.tolist() for k, v in offline.sensitive.items()} == {
        k: v.tolist() for k, v in live.sensitive.items()
    }
    for row, record in enumerate(records):
        alone = profiles_of([record], spec)
        assert alone.numeric.tobytes() == offline.numeric[row : row + 1].tobytes()


def test_a_customer_nothing_is_known_of_is_all_missing() -> None:
    spec = fit_profiles(TABLE, EVERYONE, settings_of({"valid_from": "signup"}))
    made = profiles_of([{}], spec)
    assert np.isnan(made.numeric).all() and (made.categorical == 0).all()
    assert (made.times == NO_TIME).all() and made.valid_from[0] == NO_TIME
    assert len(profiles_of([{}, {}], ProfileSpec())) == 2


def test_live_words_of_other_types_are_read_as_the_column_was() -> None:
    spec = fit_profiles(
        TABLE, EVERYONE, settings_of({"types": {"age": "categorical"}})
    )  # fmt: skip
    made = profiles_of(
        [{"age": 30.0, "vip": "true", "income": "1.5", "signup": "1970-01-11T00:00:00Z"}], spec
    )
    assert made.categorical[0].tolist() == [2, 0, 2]
    assert made.numeric[0, 0] == 1.5 and made.times[0, 0] == 10 * DAY
    assert profiles_of([{"signup": "gibberish"}], spec).times[0, 0] == NO_TIME
