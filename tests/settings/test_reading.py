"""A propense.toml: what it means, and how wrong ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from propense.errors import SettingsError
from propense.settings import Settings, parse_settings, read_settings, seconds
from propense.settings.reading import RENAMED

USERS = {"users": {"path": "users.csv"}}


@quickly(deadline=None, max_examples=30)
@given(st.integers(1, 9_999), st.sampled_from("smhdw"), st.sampled_from(["", " ", "  "]))
def test_durations(number, unit, space):
    one = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}[unit]
    assert seconds(f"{space}{number}{space}{unit}{space}") == number * one


@pytest.mark.parametrize("duration", ["", "30", "d", "0d", "-1d", "1.5d", "30 days", "30d 2h"])
def test_what_is_no_duration(duration):
    with pytest.raises(SettingsError, match="is not a positive whole number and a unit") as error:
        seconds(duration)
    assert repr(duration) in str(error.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"trian": {}}, "unknown setting 'trian'; did you mean 'train'?"),
        ({"train": {"epochs": 3}}, "unknown setting 'epochs' in [train]; did you mean"),
        ({"sources": {"app": {"events": "x", "colums": {}}}},
         "unknown setting 'colums' in [sources.app]; did you mean 'columns'?"),
        ({"goals": {"pay": {"action": "pay", "with_in": "3d"}}},
         "unknown setting 'with_in' in [goals.pay]; did you mean 'within'?"),
        ({"users": {"path": "u", "pth": "v"}}, "unknown setting 'pth' in [users]"),
        ({"split": {"every": "7d"}},
         "setting 'every' in [split] has a new name; write 'as_of_every'"),
        ({"serve": {"limits": {"waiting_deeds": 9}}},
         "setting 'waiting_deeds' in [serve.limits] has a new name; write 'queued_messages'"),
        ({"goals": {"pay": {}}}, "got none"),
        ({"goals": {"pay": {"action": "pay", "absent": "*", "within": "3d"}}},
         "got ['action', 'absent']"),
        ({"goals": {"pay": {"action": "pay"}}}, "[goals.pay] needs a horizon"),
        ({"goals": {"pay": {"action": "pay", "within": "a month"}}}, "'a month'"),
        ({"goals": {"pay": {"action": "pay", "within": "3d", "cost": 1.0}}},
         "[goals.pay] needs both cost and benefit"),
        ({"split": {"fractions": [0.5, 0.5, 0.5]}}, "got (0.5, 0.5, 0.5)"),
        ({"split": {"fractions": [1.0, 0.0, 0.0]}}, "three positive numbers"),
        ({"split": {"folds": 1}}, "at least 2, got 1"),
        ({"split": {"by": "group"}}, "group = "),
        ({"split": {"as_of_every": "week"}}, "'week'"),
        ({"model": {"size": "huge"}}, "huge"),
        ({"train": {"max_epochs": "3"}}, "'max_epochs' in [train]: expected a whole number, got"),
        ({"train": {"patience": 0}}, "'patience' in [train]: expected a whole number >= 1"),
        ({"recommend": {"k": 0}}, "'k' in [recommend]: expected a whole number >= 1"),
        ({"model": {"ensemble": 9}}, "'ensemble' in [model]: expected a whole number <= 8"),
    ],
)  # fmt: skip
def test_wrong_settings_name_what_is_wrong(raw, message):
    with pytest.raises(SettingsError) as error:
        parse_settings({**USERS, **raw})
    assert message in str(error.value)


def test_the_new_names_of_settings_exist():
    for old, new in RENAMED.items():
        *tables, key = old.split(".")
        record = parse_settings(USERS)
        for table in tables:
            record = getattr(record, table)
        assert hasattr(record, new)
        assert not hasattr(record, key)


def test_settings_without_data_are_refused():
    with pytest.raises(SettingsError, match="name at least one"):
        parse_settings({})


def test_every_key_has_a_default_that_serves():
    assert parse_settings(USERS) == Settings(users=parse_settings(USERS).users)


def test_a_file_knows_its_folder(tmp_path):
    file = tmp_path / "propense.toml"
    file.write_text('[users]\npath = "users.csv"\n')
    assert read_settings(file).folder == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"[users", "is not valid TOML"), (b"run = '\xff'", "is not valid TOML")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path, content, message):
    file = tmp_path / "shop.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as error:
        read_settings(file)
    assert "shop.toml" in str(error.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(SettingsError, match="does not exist; make one with: propense init"):
        read_settings(tmp_path / "propense.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"refunded": False}, "refunded"),
        ({"columns": {"value": "paid"}, "refunded": "paid"}, "would count twice"),
        (
            {
                "columns": {"value": "paid"}, "fallbacks": {"value": ["back"]},
                "refunded": "back",
            },
            "would count twice",
        ),
    ],
)  # fmt: skip
def test_refunded_names_a_column_of_its_own(more, message):
    source = {"events": "a.csv", "action": "pay", **more}
    with pytest.raises(SettingsError, match=message) as error:
        parse_settings({"sources": {"shop": source}})
    assert 'refunded = ""' in str(error.value)
    assert parse_settings({"sources": {"shop": source | {"refunded": ""}}})
