"""--set: another value for a setting, from the command line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.cli.options import Common, apply_change, load_settings
from propense.errors import SettingsError

TOML = """
run = "runs/one"
[users]
path = "users.csv"
[train]
seed = 1
max_epochs = 9
"""


@pytest.fixture
def common(tmp_path):
    (tmp_path / "shop.toml").write_text(TOML)
    return Common(settings=tmp_path / "shop.toml")


def test_changes_lie_over_the_file(common, tmp_path):
    changes = [
        "train.max_epochs=3", "model.size=small", "rivals.goals=['tree']", "pack.refresh=false",
        "split.fractions=[0.6, 0.2, 0.2]", "clean.until=2024-01-31", "run = runs/two",
    ]  # fmt: skip
    changed = load_settings(common, changes)
    assert changed.train.max_epochs == 3
    assert changed.train.seed == 1
    assert changed.model.size == "small"
    assert changed.rivals.goals == ("tree",)
    assert changed.pack.refresh is False
    assert changed.split.fractions == (0.6, 0.2, 0.2)
    assert changed.clean.until == "2024-01-31"
    assert changed.run == "runs/two"
    assert changed.folder == str(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.max_epochs", "--set 'train.max_epochs' is not KEY=VALUE"),
        ("=3", "--set '=3' is not KEY=VALUE"),
        ("run.folder=3", "'run' is 'runs/one', not a table"),
        ("train.max_epoch=3", "unknown setting 'max_epoch' in [train]; did you mean 'max_epochs'?"),
        (
            "train.max_epochs=three",
            "setting 'max_epochs' in [train]: expected a whole number, got text",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(change, message, common):
    with pytest.raises(SettingsError) as error:
        load_settings(common, [change])
    assert message in str(error.value)


KEYS = st.text("abcdefgh_", min_size=1, max_size=4)


@settings(deadline=None, max_examples=50)
@given(st.lists(KEYS, min_size=1, max_size=4), st.integers(-9, 9) | st.booleans())
def test_a_change_changes_one_key_and_mutates_nothing(path, value):
    before = {"zz": {"kept": [1, 2]}}
    text = str(value).lower()
    after = apply_change(before, f"{'.'.join(path)}={text}")
    assert before == {"zz": {"kept": [1, 2]}}
    assert after["zz"] == before["zz"]
    inner = after
    for key in path:
        inner = inner[key]
    assert inner == value and type(inner) is type(value)


def test_names_with_dots_are_quoted():
    changed = apply_change({}, 'sources."my.shop".decimal = comma')
    assert changed == {"sources": {"my.shop": {"decimal": "comma"}}}
    assert apply_change({}, "goals.'a=b'.within=14d") == {"goals": {"a=b": {"within": "14d"}}}
    assert apply_change({}, "split.where=a=b") == {"split": {"where": "a=b"}}
