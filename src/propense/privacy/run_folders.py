"""Erasure outside the store: run folders, exports and score files.

Files of rows are replaced by ones without the customer's rows, if there are any. Encoded arrays
are blanked (encoding/erasing.py), and examples leave the report. The company's own files are not
touched.
"""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

import msgspec

from propense.encoding.erasing import blank_customers
from propense.errors import PropenseError, ServeError
from propense.files import locked, rename
from propense.privacy.row_files import filter_csv, filter_lines, filter_parquet
from propense.settings import Settings

ENCODED: Final = "histories_user_ids.arrow"
"""The file by which a folder of encoded arrays is recognised."""
LOCK: Final = "erase.lock"
REPORT: Final = "report.json"
PAGE: Final = "report.html"
_EXAMPLE: Final = re.compile(r'<article class="example"><h3>(.*?)</h3>.*?</article>', re.DOTALL)
"""An example on the report's page; the group is the customer's id."""

Filter = Callable[[Path, Path, Set[str]], int]
_FILTERS: Final[dict[str, Filter]] = {
    ".parquet": filter_parquet,
    ".csv": filter_csv,
    ".csv.gz": filter_csv,
    ".jsonl": filter_lines,
    ".jsonl.gz": filter_lines,
    ".ndjson": filter_lines,
    ".ndjson.gz": filter_lines,
}


def erase_from_folder(folder: Path, ids: Set[str]) -> dict[str, int]:
    """Remove customers from everything that a run, an export or `score` wrote below `folder`.

    `ids` are all names of the customers. Returns path within `folder` -> rows removed; the parts
    of one table are counted together. Links are not followed, since they lead to files of
    others. Erasing again finds nothing. Two erasures of one folder wait for each other. A run
    that is making a stage meanwhile can write rows that it read before: erase again after it.
    Raises ServeError naming every file that could not be read or written; all others are done.
    """
    erased_ids = frozenset(ids) - {""}
    if not erased_ids or not folder.is_dir():
        return {}
    try:
        with locked(folder / LOCK):  # two erasures of one file would undo each other's work
            return _erase(folder, erased_ids)
    except OSError as error:
        raise ServeError(
            f"customers cannot be erased from {str(folder)!r}: {error}; give the service the "
            f"right to write there, then erase again"
        ) from error


def _erase(folder: Path, ids: Set[str]) -> dict[str, int]:
    removed: Counter[str] = Counter()
    failed: list[str] = []
    for file in _files(folder):
        try:
            n_removed = _erase_from_file(file, ids)
        except (PropenseError, OSError, ValueError, msgspec.MsgspecError) as error:
            failed.append(f"{str(file)!r}: {error}")
            continue
        if n_removed:
            removed[_table_of(file.relative_to(folder))] += n_removed
    if failed:
        raise ServeError(
            f"a customer could not be erased from {len(failed)} files: {'; '.join(failed[:5])}; "
            f"repair or remove them, then erase again"
        )
    return dict(sorted(removed.items()))


def sources_outside(settings: Settings) -> tuple[str, ...]:
    """The company's own files and tables, named by the settings, which an erasure never changes."""
    paths: list[str] = []
    for source in settings.sources.values():
        paths += [source.events] if isinstance(source.events, str) else source.events
    tables = (
        settings.identities, settings.users, settings.items, settings.exposures,
        settings.impressions,
    )  # fmt: skip
    for table in tables:
        if table is not None and table is not settings.items:
            paths += [table.path] if isinstance(table.path, str) else table.path
    paths += [goal.path for goal in settings.goals.values() if goal.path is not None]
    return tuple(dict.fromkeys(_without_password(name) for name in paths))


def _files(folder: Path) -> list[Path]:
    """Every file below `folder` that is not a link."""
    files: list[Path] = []
    for root, _, names in os.walk(folder, followlinks=False):
        files += [Path(root) / name for name in names]
    return sorted(file for file in files if file.is_file() and not file.is_symlink())


def _erase_from_file(file: Path, ids: Set[str]) -> int:
    if file.name == ENCODED:
        return blank_customers(file.parent, ids)
    if file.name == REPORT:
        return _erase_from_report(file, ids)
    for ending, filter_rows in _FILTERS.items():
        if file.name.endswith(ending):
            unfinished = file.with_name(file.name + ".unfinished")
            try:
                n_removed = filter_rows(file, unfinished, ids)
                if n_removed:
                    _replace(unfinished, file)
            finally:
                unfinished.unlink(missing_ok=True)
            return n_removed
    return 0


def _erase_from_report(file: Path, ids: Set[str]) -> int:
    """Remove the examples of a report that show one of the customers, from its page too."""
    report = msgspec.json.decode(file.read_bytes())
    examples = report.get("examples") if isinstance(report, dict) else None
    if not examples:
        return 0
    others = [example for example in examples if example["customer"] not in ids]
    n_removed = len(examples) - len(others)
    if n_removed:
        page = file.with_name(PAGE)
        if page.exists():
            # The page first: after a crash in between, the report still says what is to be done.
            text = page.read_text("utf-8")
            # Without the removed ones where that happened before.
            if len(_EXAMPLE.findall(text)) not in (len(examples), len(others)):
                raise ServeError("its page shows examples in an unknown form; remove the page")
            _write(page, _EXAMPLE.sub(lambda card: _unless_of(card, ids), text).encode())
        content = msgspec.json.encode({**report, "examples": others})
        _write(file, msgspec.json.format(content, indent=1) + b"\n")
    return n_removed


def _unless_of(card: re.Match[str], ids: Set[str]) -> str:
    return "" if html.unescape(card[1]) in ids else card[0]


def _write(file: Path, content: bytes) -> None:
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_bytes(content)
    _replace(unfinished, file)


def _replace(unfinished: Path, file: Path) -> None:
    """Let the new file take the old one's name and permissions, on disk."""
    unfinished.chmod(file.stat().st_mode & 0o7777)
    rename(unfinished, file)


def _table_of(within: Path) -> str:
    """
    >>> _table_of(Path("clean/events/part-0.parquet")), _table_of(Path("parts/labels.parquet"))
    ('clean/events', 'parts/labels.parquet')
    """
    is_part = within.name.startswith(("part-", "shard-")) or within.name == ENCODED
    return str(within.parent if is_part else within)


def _without_password(name: str) -> str:
    """
    >>> _without_password("postgresql://me:secret@db/shop")
    'postgresql://db/shop'
    """
    scheme, separator, rest = name.partition("://")
    if not separator:
        return name
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
