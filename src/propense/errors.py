"""Every error propense raises on purpose.

    PropenseError
    ├── SettingsError      a key, a value or a combination of keys
    ├── SourceError        a file, a column or a row that cannot be read
    ├── SplitError         parts, horizons, labels
    │   └── LeakError      something known only after the moment it would be used
    ├── TrainError         nothing to learn from, numbers that stopped being finite
    ├── EvaluationError    scores or labels that cannot be judged
    ├── BundleError        a bundle that is missing, changed, or of another format
    ├── ServeError         the service cannot start, or a live request cannot be obeyed
    │   ├── RefusedError   a request that has to be made otherwise
    │   └── StoreError     live history that cannot be read or written
    ├── VerifyError        a deployed model that is not the evaluated one
    └── MissingExtraError  a part of propense that needs another package

A message says what, where, the value, and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PropenseError(Exception):
    """Base of all errors that the command line shows without a traceback."""


class SettingsError(PropenseError):
    """A settings key, value or combination that cannot be used."""


class SourceError(PropenseError):
    """A file, column or row that cannot be read."""


class SplitError(PropenseError):
    """Parts, horizons or labels that cannot be made from this data."""


class LeakError(SplitError):
    """Data that would let a model see what it is asked to predict."""


class TrainError(PropenseError):
    """Training that cannot start or cannot go on."""


class LossError(TrainError):
    """The loss is not a number any more."""


class EvaluationError(PropenseError):
    """Scores or labels that cannot be judged."""


class BundleError(PropenseError):
    """A bundle that is missing, changed, or written in another format."""


class ServeError(PropenseError):
    """The service cannot start, or something asked of it cannot be done."""


class RefusedError(ServeError):
    """What the service was asked cannot be: the caller has to ask otherwise."""


class StoreError(ServeError):
    """Live history that cannot be read or written."""


class VerifyError(PropenseError):
    """The deployed model does not answer as the evaluated one."""


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
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "choose one of " + ", ".join(repr(choice) for choice in known)
