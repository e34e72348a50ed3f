"""Erasure outside the store: run folders, exports and score files.

Files of rows are written anew without the customer's, atomically and only if there are any.
Encoded arrays are blanked (encoding/erasing.py). What the company itself keeps is not touched.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

import msgspec

from propense.encoding.erasing import blank_customers
from propense.errors import PropenseError, ServeError
from propense.evaluation.report.page.render import render_page
from propense.evaluation.report.storage import report_from_json, report_to_json
from propense.files import locked, rename
from propense.privacy.row_files import filter_csv, filter_lines, filter_parquet
from propense.settings import Settings

ENCODED: Final = "histories_user_ids.arrow"
"""The file that a folder of encoded arrays has."""
LOCK: Final = "erase.lock"
REPORT: Final = "report.json"
PAGE: Final = "report.html"

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
    """Take customers out of all that a run, an export or `score` wrote below `folder`.

    `ids` are all names of the customers. Returns place -> rows removed, places by their path
    within `folder`; parts of one table are one place. Links are not followed: what they lead to
    is not ours. Erasing again finds nothing. Two erasures of one folder wait for each other; a
    run that is making a stage at the time may write what it read before: erase again after it.
    Raises ServeError naming every file that could not be read or written; all others are done.
    """
    wanted = frozenset(ids) - {""}
    if not wanted or not folder.is_dir():
        return {}
    try:
        with locked(folder / LOCK):  # two that rewrite one file would undo each other's work
            return _erase(folder, wanted)
    except OSError as error:
        raise ServeError(
            f"customers cannot be erased from {str(folder)!r}: {error}; the service needs to "
            f"write there: give it the rights and erase again"
        ) from error


def _erase(folder: Path, wanted: Set[str]) -> dict[str, int]:
    removed: Counter[str] = Counter()
    failed: list[str] = []
    for file in _files(folder):
        try:
            n_removed = _erase_from_file(file, wanted)
        except (PropenseError, OSError, ValueError, msgspec.MsgspecError) as error:
            failed.append(f"{str(file)!r}: {error}")
            continue
        if n_removed:
            removed[_place(file.relative_to(folder))] += n_removed
    if failed:
        raise ServeError(
            f"a customer could not be erased from {len(failed)} files: {'; '.join(failed[:5])}; "
            f"mend or remove them and erase again"
        )
    return dict(sorted(removed.items()))


def sources_outside(settings: Settings) -> tuple[str, ...]:
    """The company's own files and tables, which the settings name and nobody here changes."""
    found: list[str] = []
    for source in settings.sources.values():
        found += [source.events] if isinstance(source.events, str) else source.events
    tables = (
        settings.identities, settings.users, settings.items, settings.exposures,
        settings.impressions,
    )  # fmt: skip
    for table in tables:
        if table is not None and table is not settings.items:
            found += [table.path] if isinstance(table.path, str) else table.path
    found += [goal.path for goal in settings.goals.values() if goal.path is not None]
    return tuple(dict.fromkeys(_without_password(name) for name in found))


def _files(folder: Path) -> list[Path]:
    """Every file below, no links; encoded arrays by the file that names their customers."""
    found: list[Path] = []
    for root, _, names in os.walk(folder, followlinks=False):
        found += [Path(root) / name for name in names]
    return sorted(file for file in found if file.is_file() and not file.is_symlink())


def _erase_from_file(file: Path, ids: Set[str]) -> int:
    if file.name == ENCODED:
        return blank_customers(file.parent, ids)
    if file.name == REPORT and (file.parent / PAGE).exists():
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
    """The examples of a report are customers of the test part."""
    report = report_from_json(file)
    kept = [example for example in report.examples if example.customer not in ids]
    n_removed = len(report.examples) - len(kept)
    if n_removed:
        report = msgspec.structs.replace(report, examples=kept)
        for name, content in (
            (PAGE, render_page(report).encode()),
            (REPORT, report_to_json(report)),
        ):
            unfinished = file.with_name(name + ".unfinished")
            unfinished.write_bytes(content)
            _replace(unfinished, file.with_name(name))
    return n_removed


def _replace(unfinished: Path, file: Path) -> None:
    """Let the new file take the old one's name and permissions, on disk."""
    unfinished.chmod(file.stat().st_mode & 0o7777)
    rename(unfinished, file)


def _place(within: Path) -> str:
    """
    >>> _place(Path("clean/events/part-0.parquet")), _place(Path("parts/labels.parquet"))
    ('clean/events', 'parts/labels.parquet')
    """
    part = within.name.startswith(("part-", "shard-")) or within.name == ENCODED
    return str(within.parent if part else within)


def _without_password(name: str) -> str:
    """
    >>> _without_password("postgresql://me:secret@db/shop")
    'postgresql://db/shop'
    """
    scheme, there, rest = name.partition("://")
    if not there:
        return name
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
