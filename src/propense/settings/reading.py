"""Reads a propense.toml and refuses what makes no sense.

A typo in a key is an error that names the key and the nearest one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from propense.columns import ORDER_ID
from propense.errors import SettingsError, nearest, plain_reason
from propense.settings.durations import seconds
from propense.settings.goals import Goal
from propense.settings.paths import setting_names
from propense.settings.refunds import NO_REFUNDS
from propense.settings.settings import Settings
from propense.settings.sources import Source

MOST_CUTS: Final = 12
RENAMED: Final = {
    "evaluate.worth": "min_gain",
    "serve.limits.waiting_deeds": "queued_messages",
    "split.apart": "disjoint_on",
    "split.every": "as_of_every",
    "train.trust": "downweight_shilling",
}
"""Keys of version 0.1 -> the name they have now."""


def read_settings(path: str | Path) -> Settings:
    """Settings of a TOML file; relative paths start at its folder.

    Raises SettingsError naming the unknown key and the nearest one.
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
        raise SettingsError(f"settings file {str(path)!r} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"settings file {str(path)!r} cannot be read: {error}") from error


def parse_settings(raw: dict[str, Any], folder: str | Path = ".") -> Settings:
    """Settings of a nested dict, checked whole.

    Raises SettingsError.
    """
    _refuse_unknown_keys(raw, Settings, "")
    if isinstance(asked := raw.get("open_questions"), list):
        open_keys = [key for key in asked if not _is_set(raw, key)]
        raw = _with_guesses({**raw, "open_questions": open_keys}, open_keys)
    try:
        settings = msgspec.convert({**raw, "folder": str(folder)}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_plain(str(error))) from error
    _check(settings)
    return settings


def _with_guesses(raw: dict[str, Any], keys: list[Any]) -> dict[str, Any]:
    """`raw` with the guessed answers of open questions, where the settings accept guesses.

    >>> raw = {"clean": {"accept_guesses": True}, "guesses": {"sources.shop.decimal": "comma"}}
    >>> _with_guesses(raw, ["sources.shop.decimal"])["sources"]
    {'shop': {'decimal': 'comma'}}
    """
    clean, guesses = raw.get("clean"), raw.get("guesses")
    if not (isinstance(clean, dict) and clean.get("accept_guesses") is True):
        return raw
    for key in keys:
        if isinstance(guesses, dict) and key in guesses:
            raw = _set(raw, setting_names(str(key)), guesses[key])
    return raw


def _set(raw: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    inner = raw.get(first, {})
    if rest and not isinstance(inner, dict):
        return raw
    return {**raw, first: _set(inner, rest, value) if rest else value}


def _is_set(raw: dict[str, Any], key: object) -> bool:
    """Whether a file has the key, such as "sources.shop.decimal".

    >>> _is_set({"sources": {"shop": {"decimal": "comma"}}}, "sources.shop.decimal")
    True
    """
    value: Any = raw
    for name in setting_names(str(key)):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _plain(message: str) -> str:
    """A message of msgspec with the key and the types as a propense.toml has them.

    >>> _plain("Expected `int`, got `str` - at `$.train.seed`")
    "setting 'seed' in [train]: expected a whole number, got text"
    >>> _plain("Object missing required field `path` - at `$.users`")
    "[users]: the field 'path' is missing"
    """
    reason, _, path = message.partition(" - at `$.")
    path = path.rstrip("`")
    if reason.startswith("Object "):
        return f"[{path}]: {plain_reason(reason)}"
    table, _, key = path.rpartition(".")
    where = f" in [{table}]" if table else ""
    hint = f"; {NO_REFUNDS}" if key == "refunded" else ""
    return f"setting {key!r}{where}: {plain_reason(reason, 'a table')}{hint}"


def _refuse_unknown_keys(raw: Any, kind: Any, where: str) -> None:
    """Raise SettingsError for the first unknown key, with its new name or the nearest one."""
    if isinstance(kind, msgspec.inspect.StructType):
        fields = {field.name: field.type for field in kind.fields}
        if not isinstance(raw, dict):
            return
        for key, value in raw.items():
            if key not in fields:
                table = f" in [{where.rstrip('.')}]" if where else ""
                if where + key in RENAMED:
                    raise SettingsError(
                        f"setting {key!r}{table} has a new name; write {RENAMED[where + key]!r}"
                    )
                raise SettingsError(f"unknown setting {key!r}{table}; {nearest(key, fields)}")
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
    """Raise SettingsError for combinations that the types alone allow."""
    fractions = settings.split.fractions
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise SettingsError(
            f"[split] fractions must be three positive numbers that sum to 1, got {fractions}"
        )
    if settings.split.folds is not None and settings.split.folds < 2:
        raise SettingsError(f"[split] folds must be at least 2, got {settings.split.folds}")
    if not 1 <= settings.split.cuts <= MOST_CUTS:
        raise SettingsError(f"[split] cuts must be 1 to {MOST_CUTS}, got {settings.split.cuts}")
    if settings.split.by == "group" and settings.split.group is None:
        raise SettingsError('[split] by = "group" needs group = "a column of the users table"')
    for name, goal in settings.goals.items():
        _check_goal(name, goal)
    if not settings.sources and settings.users is None:
        raise SettingsError("no data: name at least one [sources.NAME] or a [users] table")
    for name, source in settings.sources.items():
        if source.carry_down and ORDER_ID not in source.columns:
            raise SettingsError(
                f"[sources.{name}] carry_down needs the column of the order's number: "
                'columns = { order_id = "..." }'
            )
        _check_refunded(name, source)
    _ = settings.clean.near_seconds
    seconds(settings.split.as_of_every)
    if settings.recommend is not None:
        step = settings.recommend.popularity_step
        if not 10 <= seconds(step) <= seconds("1d"):
            raise SettingsError(f"[recommend] popularity_step is '10s' to '1d', got {step!r}")
    for window in settings.features.windows:
        seconds(window)
    retention = settings.serve.retention
    for duration in (retention.events, retention.traits, retention.decisions, retention.backups):
        if duration is not None:
            seconds(duration)


def _check_refunded(name: str, source: Source) -> None:
    """An amount that is read as value or price cannot be what was refunded besides."""
    twice = source.refunded if isinstance(source.refunded, str) else ""
    read = [
        *(source.columns.get(word) for word in ("value", "price", "count")),
        *source.fallbacks.get("value", ()),
    ]
    if twice and twice in read:
        raise SettingsError(
            f"[sources.{name}] refunded: column {twice!r} is read as the money of its rows already "
            f"(columns, or fallbacks of value), and would count twice; {NO_REFUNDS}"
        )


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
