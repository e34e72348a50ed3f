"""Results go to stdout, words about them to stderr."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propense.cli.options import Common


@dataclass(frozen=True)
class Output:
    """Where a verb speaks."""

    json: bool
    quiet: bool

    def say(self, text: str) -> None:
        """A word on the way."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def result(self, record: Any, text: str) -> None:
        """What the verb was asked for: `record` for machines, `text` for people."""
        if self.json:
            import msgspec

            print(msgspec.json.format(msgspec.json.encode(record, enc_hook=_plain)).decode())
        else:
            print(text)


def open_output(common: Common) -> Output:
    """The output that the options ask for."""
    if common.verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    return Output(json=common.json, quiet=common.quiet)


def _plain(value: Any) -> Any:
    """Paths as text; numpy numbers and arrays as Python's own."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a result holds {type(value).__name__}, which JSON cannot say")
