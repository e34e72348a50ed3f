"""Reading: every source and table as it is, with its columns mapped to the project's words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Column
from ibis.expr.types import Table as Rows

from propense import columns as words
from propense.errors import SettingsError, SourceError, nearest
from propense.history.view_reading import plain_address
from propense.schemas import FileAccount
from propense.settings import Settings, Source, TableSource
from propense.settings.paths import setting_path
from propense.settings.refunds import NO_REFUNDS
from propense.tables.engine.engine import BROKEN, FILE_SHIFT, LINE, ROW, TableEngine
from propense.tables.engine.json_columns import ELEMENT
from propense.tables.questions import Question, refuse_open, refuse_unanswered
from propense.tables.sources.clock_columns import join_clock
from propense.tables.sources.column_mapping import (
    refuse_empty_paths,
    resolve_columns,
    with_fallbacks,
)
from propense.tables.sources.live import expiry_note, fetch_live, is_live, resolve_live
from propense.tables.sources.live_traits import fit_columns, spread_traits
from propense.tables.sources.locations import fetch_table, is_sql, local_files, split_member
from propense.tables.sources.staging import Named, Staged, Staging, stage_files

PRICE: Final = "price"
RECEIVED_TIME: Final = "received_time"
ALIAS: Final = "alias"
EVENT_WORDS: Final = (
    *words.EVENT_COLUMNS, words.ORDER, words.ORDER_ID, words.REFUND_TIME, words.CURRENCY, PRICE,
    RECEIVED_TIME, words.ANONYMOUS_ID, words.TIME_OF_DAY, words.TIME_ZONE,
)  # fmt: skip
"""What `columns` of a source may map; a column that has such a name needs no mapping, but for
those of MAPPED_ONLY."""
TABLE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "users": (words.USER_ID,),
    "items": (words.ITEM_ID,),
    "identities": (words.USER_ID, ALIAS, words.SOURCE),
    "exposures": words.EXPOSURE_COLUMNS,
    "impressions": words.IMPRESSION_COLUMNS,
}
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "users": (),
    "items": (words.ITEM_ID,),
    "identities": (words.USER_ID, ALIAS),
    "exposures": (words.USER_ID,),
    "impressions": (words.USER_ID,),
}


_WITH_LINES: Final = ("csv", "jsonl", "access_log")


@dataclass(frozen=True)
class RawTable:
    """Files of one source or table as they are, rows numbered."""

    name: str
    rows: Rows
    """The files' own columns, `_row`, and `_broken` where a text file had broken rows."""
    columns: dict[str, str]
    """The project's word -> the files' own name."""
    files: tuple[str, ...]
    """In the order of their numbers: file `n` has rows `n * 2**40` and up."""
    settings: Source | TableSource
    with_zone: frozenset[str] = frozenset()
    """Time columns that Parquet already keeps in UTC."""
    live: frozenset[int] = frozenset()
    """Numbers of the files that are the service's own history."""
    accounts: tuple[FileAccount, ...] = ()
    """How each file was read."""

    @property
    def own(self) -> list[str]:
        """The files' own columns, without the numbering."""
        return [name for name in self.rows.columns if name not in (ROW, BROKEN, LINE)]

    def column(self, word: str) -> Column | None:
        """The column of one of the project's words, or None."""
        name = self.columns.get(word)
        return None if name is None else self.rows[name]

    def locate(self, row: int) -> str:
        """Where a row is, for messages: "FILE line 17"; of formats without lines "FILE row 17"."""
        file, position = row >> FILE_SHIFT, (row & ((1 << FILE_SHIFT) - 1)) + 1
        word = "row"
        if LINE in self.rows.columns:
            numbers = self.rows.filter(self.rows[ROW] == row).select(LINE).to_pyarrow()[LINE]
            if len(numbers) and numbers[0].as_py() is not None:
                position = numbers[0].as_py()
                word = "line" if self._has_lines(file) else "row"
        return f"{self.files[file]} {word} {position:,}"

    def _has_lines(self, file: int) -> bool:
        return file < len(self.accounts) and self.accounts[file].format in _WITH_LINES

    @cached_property
    def n_rows(self) -> int:
        return int(self.rows.count().execute())


@dataclass(frozen=True)
class RawTables:
    """All that was read; nothing is typed yet."""

    sources: dict[str, RawTable]
    users: RawTable | None = None
    items: RawTable | None = None
    identities: RawTable | None = None
    exposures: RawTable | None = None
    impressions: RawTable | None = None
    live_notes: dict[str, str] = field(default_factory=dict)
    """Table ("events" for all sources) -> what the live store gave to it."""

    def tables(self) -> Iterator[tuple[str, RawTable]]:
        """The tables beside the events that are there."""
        for name in TABLE_WORDS:
            table = getattr(self, name)
            if table is not None:
                yield name, table


def read(settings: Settings, engine: TableEngine) -> RawTables:
    """Everything the settings name, as it is in the files.

    Text formats pass through Parquet files of text columns in the engine's scratch folder;
    Parquet files are read in place. Columns are found by the settings' mapping or by
    their own plain name.

    A live store without a row is left out and noted. Raises SourceError naming the file and
    the column, SettingsError for an unknown word in a mapping.
    """
    refuse_unanswered(settings)
    sources, tables = {}, {}
    questions: list[Question] = []
    notes: dict[str, str] = {}
    for name, source in settings.sources.items():
        where = f"[{setting_path('sources', name)}] events"
        table = _read(name, source, _many(source.events), settings, engine, where, notes, questions)
        if table is not None:
            sources[name] = _check_source(table, source)
    for name in TABLE_WORDS:
        table_settings = getattr(settings, name)
        if table_settings is not None:
            where = f"[{name}] path"
            tables[name] = _read(
                name, table_settings, _many(table_settings.path), settings, engine, where, notes,
                questions,
            )  # fmt: skip
    refuse_open(questions, settings)
    if settings.sources and not sources and tables.get("users") is None:
        raise SourceError(
            f"there is no data to learn from yet: {notes.get('events', 'no source has a row')}; "
            "let the service collect events first, or add a log of events as a source"
        )
    return RawTables(sources, **tables, live_notes=notes)


def _many(paths: str | tuple[str, ...]) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths


def _read(
    name: str, source: Source | TableSource, addresses: tuple[str, ...], settings: Settings,
    engine: TableEngine, where: str, notes: dict[str, str], questions: list[Question],
) -> RawTable | None:  # fmt: skip
    vocabulary = EVENT_WORDS if isinstance(source, Source) else TABLE_WORDS[name]
    if isinstance(source, Source) or name == "identities":
        for word in source.columns:
            if word not in vocabulary:
                raise SettingsError(
                    f"{where.rpartition(']')[0]}.columns] has an unknown word {word!r}; "
                    f"{nearest(word, vocabulary)}"
                )
    scratch = (
        engine.scratch / "staged" / f"{'source' if isinstance(source, Source) else 'table'}-{name}"
    )
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    base = Path(settings.folder)
    wanted = _wanted(source)
    role = "events" if isinstance(source, Source) else name
    # What is live comes last: it takes the columns' names and types from the files.
    resolved = [resolve_live(address, role, settings) for address in addresses]
    filed = [address for address in resolved if not is_live(address)]
    staging = _stage(filed, source, wanted, vocabulary, base, scratch, where)
    questions += staging.questions
    staged = [one.path for one in staging.files]
    originals = [one.account.file for one in staging.files]
    accounts = [one.account for one in staging.files]
    n_files = len(staged)
    for address in (address for address in resolved if is_live(address)):
        out = scratch / f"{len(staged):05d}.parquet"
        n_rows = fetch_live(address, out, base, where)
        notes[role] = f"{n_rows:,} rows of {plain_address(address)}"
        files = [pq.read_schema(file) for file in staged[:n_files]]
        if role == "users":
            notes[role] += _spread(out, n_rows, source, settings, files)
        elif n_rows:
            fit_columns(out, source.columns, files)
        if out.exists():
            originals.append(plain_address(address))
            staged.append(out)
            expiry = expiry_note(role, settings)
            accounts.append(FileAccount(file=originals[-1], format="live", notes=expiry))
    if not staged:
        return None
    schemas = [
        _schema(file, original, index >= n_files)
        for index, (file, original) in enumerate(zip(staged, originals, strict=True))
    ]
    accounts = [_counted(account, file) for account, file in zip(accounts, staged, strict=True)]
    rows = engine.read_numbered(staged)
    columns, renames = resolve_columns(
        rows.columns, source.columns, vocabulary, where, originals[0]
    )
    if renames:
        rows = rows.rename(renames)
    mapped = columns
    if isinstance(source, Source) and source.fallbacks:
        rows, columns = with_fallbacks(
            rows, columns, source.fallbacks, where.rpartition(" ")[0], originals[0]
        )
    if isinstance(source, Source):
        rows, columns, region, clock_notes = join_clock(rows, columns, where)
        if region is not None and source.time_zone is None:
            source = msgspec.structs.replace(source, time_zone=region)
        if clock_notes and accounts:
            more = [*accounts[0].notes, *clock_notes]
            accounts[0] = msgspec.structs.replace(accounts[0], notes=more)
    with_zone = frozenset(
        field.name for schema in schemas for field in schema
        if pa.types.is_timestamp(field.type) and field.type.tz is not None
    )  # fmt: skip
    table = RawTable(
        name,
        rows,
        columns,
        tuple(originals),
        source,
        with_zone,
        frozenset(range(n_files, len(staged))),
        tuple(accounts),
    )
    files = staging.json_files()
    if len(files) == len(staged):
        refuse_empty_paths(mapped, files, where, originals[0])
    if not isinstance(source, Source):
        _need(table, NEEDED[name], where)
    return table


def _spread(
    out: Path, n_rows: int, source: Source | TableSource, settings: Settings, files: list[pa.Schema]
) -> str:
    """Take the traits of live users apart, in place; what to say of those left out."""
    assert isinstance(source, TableSource)
    labels = {goal.column for goal in settings.goals.values() if goal.path is None}
    labels |= {goal.as_of for goal in settings.goals.values() if goal.path is None}
    left = spread_traits(
        out if n_rows else None, out, source, frozenset(name for name in labels if name), files,
    )  # fmt: skip
    if not left:
        return ""
    more = f" and {len(left) - 10:,} more" if len(left) > 10 else ""
    return f"; traits left out: {', '.join(left[:10])}{more} (name them in features to keep them)"


def _wanted(source: Source | TableSource) -> tuple[str, ...]:
    names = [name for name in source.columns.values() if name]
    if isinstance(source, Source):
        names += source.named_columns
    return tuple(dict.fromkeys(names))


def _shown(file: Path, base: Path) -> str:
    try:
        return str(file.relative_to(base))
    except ValueError:
        return str(file)


def _stage(
    addresses: Sequence[str], source: Source | TableSource, wanted: Sequence[str],
    canonical: Sequence[str], base: Path, scratch: Path, where: str,
) -> Staging:  # fmt: skip
    """Files and database tables as Parquet, in the order of the addresses."""
    staging = Staging()
    named: list[Named] = []
    n_named = 0

    def flush() -> None:
        nonlocal n_named
        more = stage_files(named, source, wanted, canonical, scratch, where, start=n_named)
        staging.files += more.files
        staging.questions += more.questions
        n_named += len(named)
        named.clear()

    for address in addresses:
        if is_sql(address):
            flush()
            out = scratch / f"sql-{len(staging.files):05d}.parquet"
            fetch_table(address, out, base, where)
            shown = address.split("?")[0].rsplit("@", 1)[-1] + "?" + address.split("?")[1]
            staging.files.append(Staged(out, FileAccount(file=shown, format="sql")))
            continue
        position, member = split_member(address, base)
        for file in local_files([position], base, scratch, where):
            shown = _shown(file, base) + (f"#{member}" if member else "")
            named.append(Named(file, shown, member))
    flush()
    return staging


def _counted(account: FileAccount, file: Path) -> FileAccount:
    """An account with its rows, where reading has not counted them: formats without lines."""
    if account.format not in ("parquet", "sql", "live"):
        return account
    n_rows = pq.read_metadata(file).num_rows
    return msgspec.structs.replace(account, rows=n_rows, physical_lines=n_rows)


def _schema(file: Path, original: str, live: bool) -> pa.Schema:
    try:
        with pq.ParquetFile(file) as data:
            if data.metadata.num_rows == 0 and not live:
                raise SourceError(f"{original} has no rows; remove it from the source")
            return data.schema_arrow
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{original} is truncated or not a Parquet file ({str(error).splitlines()[0]}); "
            "copy it again"
        ) from error


def _need(table: RawTable, needed: tuple[str, ...], where: str) -> None:
    for word in needed:
        if word not in table.columns:
            raise SourceError(
                f"{where}: {table.files[0]} has no column {word!r}; name it in columns = "
                f'{{ {word} = "..." }}; {nearest(word, table.own)}'
            )


def _check_source(table: RawTable, source: Source) -> RawTable:
    """A source needs a user, and an action unless every row's is named."""
    where = f"[{setting_path('sources', table.name)}]"
    if source.products and ELEMENT not in table.rows.columns:
        raise SourceError(
            f"{where} products: {table.files[0]} is no JSON text, so it has no list "
            f"{source.products!r}; remove products"
        )
    _need(table, (words.USER_ID,), where)
    if source.action is None and words.ACTION not in table.columns:
        raise SourceError(
            f"{where}: {table.files[0]} has no column 'action'; name it in columns = "
            f'{{ action = "..." }}, or the action of every row: action = "view"; '
            f"{nearest('action', table.own)}"
        )
    for name, key in source.named_columns.items():
        if name not in table.own:
            hint = f"; {NO_REFUNDS}" if key == "refunded" else ""
            raise SourceError(
                f"{where} {key}: {table.files[0]} has no column {name!r}; "
                f"{nearest(name, table.own)}{hint}"
            )
    return table
