"""Every error propense raises on purpose.

    PropenseError
    ├── SettingsError      a key, a value or a combination of keys
    ├── SourceError        a file, a column or a row that cannot be read
    ├── QuestionError      a question about the data that only its owner can answer
    ├── SplitError         parts, horizons, labels
    │   └── LeakError      information from after the time it would be used
    ├── TrainError         nothing to learn from, a training that cannot continue
    │   └── LossError      a loss that is no longer finite
    ├── EvaluationError    scores or labels that cannot be judged
    ├── BundleError        a bundle that is missing, changed, or of another format
    ├── ServeError         the service cannot start or do what it is asked
    │   ├── RefusedError   a request that has to be made differently
    │   ├── StoreError     live history that cannot be read or written
    │   │   ├── DamagedError   a history whose file is damaged
    │   │   └── EvictingError  a server that may drop what it acknowledged
    │   └── ConflictError  a record that another writer changed first
    ├── VerifyError        a deployed model that is not the evaluated one
    └── MissingExtraError  a part of propense that needs another package

A message gives the place, the value and the remedy.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class PropenseError(Exception):
    """Base of all errors that the command line shows without a traceback."""


class SettingsError(PropenseError):
    """A settings key, value or combination that cannot be used."""


class SourceError(PropenseError):
    """A file, column or row that cannot be read."""


class QuestionError(PropenseError):
    """The data can be read in two ways; the settings must say which. Exit code 3."""

    def __init__(self, message: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys
        """Keys of the settings that answer the questions."""


class SplitError(PropenseError):
    """Parts, horizons or labels that cannot be made from this data."""


class LeakError(SplitError):
    """Data that would let a model see what it is asked to predict."""


class TrainError(PropenseError):
    """Training that cannot start or cannot continue."""


class LossError(TrainError):
    """A loss that is no longer finite."""


class EvaluationError(PropenseError):
    """Scores or labels that cannot be judged."""


class BundleError(PropenseError):
    """A bundle that is missing, changed, or written in another format."""


class ServeError(PropenseError):
    """The service cannot start, or cannot do what it is asked."""


class RefusedError(ServeError):
    """A request that cannot be answered; the caller has to make a different one."""


class StoreError(ServeError):
    """Live history that cannot be read or written."""


class DamagedError(StoreError):
    """Live history that is damaged or lost: nothing is read from it or written to it any more."""


class EvictingError(StoreError):
    """Live history whose server drops keys when its memory is full: no event is taken until its
    settings are corrected."""


class ConflictError(ServeError):
    """A record that another writer changed first; read it again."""


class VerifyError(PropenseError):
    """A deployed model that does not answer as the evaluated one did."""


class MissingExtraError(PropenseError):
    """An optional part of propense whose packages are not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed; "
            f"run: pip install 'propense[{extra}]'"
        )


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint for a mistyped `word`: the nearest of `choices`, or all of them.

    >>> nearest("with_in", ["within", "among"])
    "did you mean 'within'?"
    >>> nearest("zzz", ["within", "among"])
    "choose one of 'among', 'within'"
    """
    words = sorted(choices)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "choose one of " + ", ".join(repr(choice) for choice in words)


_TYPES = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "array": "a list",
}  # fmt: skip


def plain_reason(message: str, table: str = "an object") -> str:
    """A message of msgspec, without its path, in plain words; `table` is the word for an object.

    >>> plain_reason("Expected `int | null`, got `str`")
    'expected a whole number or null, got text'
    >>> plain_reason("Object missing required field `user_id`")
    "the field 'user_id' is missing"
    >>> plain_reason("Object contains unknown field `K`")
    "there is no field 'K'"
    """
    if match := re.fullmatch(r"Object missing required field `(.*)`", message):
        return f"the field {match[1]!r} is missing"
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        return f"there is no field {match[1]!r}"
    if message == "Invalid RFC3339 encoded datetime":
        return "expected a time with its offset, such as 2026-01-31T09:00:00+08:00"
    names = _TYPES | {"object": table}

    def words(match: re.Match[str]) -> str:
        return " or ".join(names.get(name, name) for name in match[1].split(" | "))

    reason = re.sub(r"`([^`]*)`", words, message)
    return reason[:1].lower() + reason[1:]
