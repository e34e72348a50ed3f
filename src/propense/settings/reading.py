"""Reads a propense.toml and refuses what it cannot mean.

A typo in a key is an error that names the key and the nearest one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from propense.errors import SettingsError, nearest
from propense.settings.durations import seconds
from propense.settings.records import Goal, Settings


def read_settings(path: str | Path) -> Settings:
    """Settings of a TOML file; relative paths start at its folder.

    Raises SettingsError naming the key and the nearest known one.
    """
    return parse_settings(read_toml(path), folder=Path(path).resolve().parent)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The nested dict of a TOML settings file, not yet checked.

    Raises SettingsError if the file is missing or is not TOML.
    """
    try:
        with Path(path).open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError as error:
        raise SettingsError(
            f"settings file {str(path)!r} does not exist; make one with: propense init FOLDER"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {str(path)!r} is not TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"settings file {str(path)!r} cannot be read: {error}") from error


def parse_settings(raw: dict[str, Any], folder: str | Path = ".") -> Settings:
    """Settings of a nested dict, checked whole.

    Raises SettingsError.
    """
    _refuse_unknown_keys(raw, Settings, "")
    try:
        settings = msgspec.convert({**raw, "folder": str(folder)}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings: {error}") from error
    _check(settings)
    return settings


def _refuse_unknown_keys(raw: Any, kind: Any, where: str) -> None:
    """Name an unknown key and the nearest one, which msgspec alone does not."""
    if isinstance(kind, msgspec.inspect.StructType):
        fields = {field.name: field.type for field in kind.fields}
        if not isinstance(raw, dict):
            return
        for key, value in raw.items():
            if key not in fields:
                place = where.rstrip(".")
                raise SettingsError(
                    f"unknown setting {key!r}" + (f" in [{place}]" if place else "")
                    + f"; {nearest(key, fields)}"
                )  # fmt: skip
            _refuse_unknown_keys(value, fields[key], f"{where}{key}.")
    elif isinstance(kind, msgspec.inspect.DictType):
        if isinstance(raw, dict):
            for key, value in raw.items():
                _refuse_unknown_keys(value, kind.value_type, f"{where}{key}.")
    elif isinstance(kind, msgspec.inspect.UnionType):
        for option in kind.types:
            if isinstance(option, msgspec.inspect.StructType):
                _refuse_unknown_keys(raw, option, where)
    elif isinstance(kind, type):
        _refuse_unknown_keys(raw, msgspec.inspect.type_info(kind), where)


def _check(settings: Settings) -> None:
    """Combinations that types alone cannot refuse."""
    fractions = settings.split.fractions
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise SettingsError(
            f"[split] fractions must be three positive numbers that sum to 1, got {fractions}"
        )
    if settings.split.folds is not None and settings.split.folds < 2:
        raise SettingsError(f"[split] folds must be at least 2, got {settings.split.folds}")
    if settings.split.by == "group" and settings.split.group is None:
        raise SettingsError('[split] by = "group" needs group = "a column of the users table"')
    for name, goal in settings.goals.items():
        _check_goal(name, goal)
    if not settings.sources and settings.users is None:
        raise SettingsError("no data: name at least one [sources.NAME] or a [users] table")
    for duration in (settings.split.as_of_every, settings.clean.duplicate_window):
        seconds(duration)
    for window in settings.features.windows:
        seconds(window)


def _check_goal(name: str, goal: Goal) -> None:
    asked = [
        word for word in ("action", "absent", "value_of", "column")
        if getattr(goal, word) is not None
    ]  # fmt: skip
    if len(asked) != 1:
        raise SettingsError(
            f"[goals.{name}] must have exactly one of action, absent, value_of, column; "
            f"got {asked or 'none'}"
        )
    if goal.column is None:
        if goal.within is None:
            raise SettingsError(f"[goals.{name}] needs a horizon, for example within = '30d'")
        seconds(goal.within)
    if (goal.cost is None) != (goal.benefit is None):
        raise SettingsError(f"[goals.{name}] needs both cost and benefit, or neither")
