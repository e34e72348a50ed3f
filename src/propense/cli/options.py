"""Options of every verb, and the settings that they select."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from propense.errors import SettingsError
from propense.settings import Settings, parse_settings, read_toml
from propense.settings.paths import setting_names, split_change

Flag = Parameter(negative="", show_default=False)
AcceptGuesses = Annotated[bool, Flag]
ACCEPT: Final = "clean.accept_guesses=true"
"""The change of settings that --accept-guesses stands for."""
Changes = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", consume_multiple=False, show_default=False),
]
"""Settings that the command line overrides, as KEY=VALUE."""


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every verb."""

    settings: Path = Path("propense.toml")
    """Settings file."""
    json: Annotated[bool, Flag] = False
    """Print results as JSON on stdout, messages on stderr."""
    quiet: Annotated[bool, Flag] = False
    """Print results and errors only."""
    verbose: Annotated[
        bool, Parameter(name=("--verbose", "-v"), negative="", show_default=False)
    ] = False
    """Print more messages, and tracebacks of errors."""


DEFAULTS = Common()


def load_settings(common: Common, changes: Sequence[str] = ()) -> Settings:
    """The settings of the file, overridden by `changes` such as "train.max_epochs=3".

    Raises SettingsError.
    """
    raw = read_toml(common.settings)
    for change in changes:
        raw = apply_change(raw, change)
    return parse_settings(raw, folder=common.settings.resolve().parent)


def apply_change(raw: dict[str, Any], change: str) -> dict[str, Any]:
    """`raw` with one key changed; a value that is not valid TOML is taken as text.

    >>> apply_change({"train": {"seed": 1}}, "train.max_epochs=3")
    {'train': {'seed': 1, 'max_epochs': 3}}
    >>> apply_change({}, "goals.pay.within=14d")
    {'goals': {'pay': {'within': '14d'}}}

    Raises SettingsError if there is no "=", or if the path leads through a value.
    """
    path, text = split_change(change) or ("", "")
    if not path:
        raise SettingsError(
            f"--set {change!r} is not KEY=VALUE; write it like --set train.max_epochs=3"
        )
    return _changed(raw, setting_names(path), _value(text), change)


def _changed(raw: dict[str, Any], path: list[str], value: Any, change: str) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return {**raw, first: value}
    inner = raw.get(first, {})
    if not isinstance(inner, dict):
        raise SettingsError(f"--set {change!r}: {first!r} is {inner!r}, not a table of settings")
    return {**raw, first: _changed(inner, rest, value, change)}


def _value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, datetime.date | datetime.time) else value
