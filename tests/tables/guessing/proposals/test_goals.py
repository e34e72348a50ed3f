"""Goals have names of their own, and the action that pays is the one with the money."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from propense.tables.guessing.guess import guess_settings


def log(folder: Path, words: list[str], value: str = "{}.50") -> None:
    rows = [
        f"u{i % 40},P{i % 5},2024-0{i % 6 + 1}-{i % 27 + 1:02d} 10:00:00,{words[i % len(words)]},"
        + (value.format(i % 9 + 1) if i % len(words) == 0 else "")
        for i in range(400)
    ]
    header = "customer_id,sku,time,action,amount\n"
    (folder / "log.csv").write_text(header + "\n".join(rows) + "\n")


def labels(folder: Path, *columns: str, name: str = "customers") -> None:
    rows = [f"u{i}," + ",".join(str(i % 2) for _ in columns) for i in range(40)]
    (folder / f"{name}.csv").write_text(
        ",".join(["customer_id", *columns]) + "\n" + "\n".join(rows) + "\n"
    )


@pytest.mark.parametrize("column", ["churn", "converted", "Churn?"])
def test_a_label_may_be_called_like_a_goal(column: str, tmp_path: Path) -> None:
    log(tmp_path, ["purchase", "view"])
    labels(tmp_path, column)
    goals = guess_settings(tmp_path).settings.goals
    assert any(goal.column == column for goal in goals.values())
    assert any(goal.absent == "*" for goal in goals.values())


def test_labels_of_two_files_are_two_goals(tmp_path: Path) -> None:
    log(tmp_path, ["purchase", "view"])
    labels(tmp_path, "churn", name="labels_a")
    labels(tmp_path, "churn", "plan", name="labels_b")
    goals = guess_settings(tmp_path).settings.goals
    assert sum(goal.column == "churn" for goal in goals.values()) == 2


def test_labels_of_other_scripts_keep_their_names(tmp_path: Path) -> None:
    log(tmp_path, ["purchase", "view"])
    labels(tmp_path, "是否流失", "是否购买")
    guess = guess_settings(tmp_path)
    assert {"是否购买", "是否流失"} <= set(guess.settings.goals)
    assert tomllib.loads(guess.toml)


def test_the_action_that_pays_is_the_one_with_the_money(tmp_path: Path) -> None:
    log(tmp_path, ["Order Completed", "order placed", "order placed"])
    assert guess_settings(tmp_path).settings.goals["pay"].action == "Order Completed"
