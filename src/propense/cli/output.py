"""What a verb prints: results on stdout, messages on stderr; and pages in the browser."""

from __future__ import annotations

import logging
import os
import resource
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propense.cli.options import Common


@dataclass(frozen=True)
class Output:
    """Prints results and messages in the form that the options ask for."""

    json: bool
    quiet: bool

    def message(self, text: str) -> None:
        """Print a message that is not part of the result."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def result(self, record: Any, text: str) -> None:
        """Print the result: `record` as JSON for machines, or `text` for people."""
        if self.json:
            import msgspec

            print(msgspec.json.format(msgspec.json.encode(record, enc_hook=_plain)).decode())
        else:
            print(text)


def open_output(common: Common) -> Output:
    """The output for the options of one command."""
    if common.verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    return Output(json=common.json, quiet=common.quiet)


def _plain(value: Any) -> Any:
    """Paths as text; numpy numbers and arrays as Python's own."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(
        f"a result contains {type(value).__name__}, which has no form in JSON"
    )


def memory_mb() -> float:
    """Megabytes that this process uses now; its peak so far on systems without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
    return pages * resource.getpagesize() / 1e6


def format_clock(seconds: float) -> str:
    """
    >>> format_clock(75), format_clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def has_display() -> bool:
    """Whether this session can show a window."""
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_page(page: Path) -> bool:
    """Open `page` in the browser; False if that is not possible."""
    if not has_display():
        return False
    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False
