"""The accounts of all tables, which count every row, and the rows that were set aside."""

from __future__ import annotations

from pathlib import Path

import ibis
import msgspec
import pyarrow.parquet as pq
from ibis.expr.types import Table

from propense.columns import REASON
from propense.errors import SourceError
from propense.schemas import Account
from propense.tables.engine.engine import BROKEN, FILE_SHIFT, LINE, ROW, TableEngine
from propense.tables.sources.reading import RawTable


def write_accounts(accounts: list[Account], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(accounts), indent=1))


def read_accounts(path: Path) -> list[Account]:
    """The accounts of a clean folder; SourceError if they are not there."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Account])
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist; run: propense clean") from error
    except msgspec.ValidationError as error:
        raise SourceError(
            f"{path} is not an account of cleaning ({error}); run: propense clean"
        ) from error


def checked(account: Account) -> Account:
    """The account, if its rows balance; SourceError, a bug of propense, if they do not."""
    if not account.balances:
        raise SourceError(
            f"{account.table}: {account.n_in:,} rows were read, {account.n_out:,} were written and "
            f"{account.dropped:,} were set aside: the account does not balance; this is a bug in "
            "propense, please report it"
        )
    return account


def rows_in(folder: Path) -> int:
    """Rows of a folder of Parquet files, from their footers."""
    return sum(pq.read_metadata(file).num_rows for file in sorted(folder.rglob("*.parquet")))


def as_read(raw: RawTable, set_aside: Table, offset: int = 0) -> Table:
    """The rows of `raw` that are in `set_aside` (`_row`, `_rule`) as text, with why and where.

    `offset` is what `set_aside` adds to the rows' numbers. Columns: the files' own, `reason`,
    `file`, `row`: the line of the file, counted from 1, or of formats without lines the row.
    """
    numbered = raw.rows.mutate(**{ROW: raw.rows[ROW] + offset}) if offset else raw.rows
    rows = numbered.inner_join(set_aside, ROW)
    own_row = rows[ROW] - offset
    file = (own_row / float(1 << FILE_SHIFT)).floor().cast("int64")
    names = [(file == number, name) for number, name in enumerate(raw.files)]
    text = {name: rows[name].cast("string") for name in raw.own}
    if BROKEN in raw.rows.columns:
        text["broken"] = rows[BROKEN]
    added = {
        REASON: rows["_rule"],
        "file": ibis.cases(*names, else_=""),
        "row": own_row - file * (1 << FILE_SHIFT) + 1
        if LINE not in raw.rows.columns
        else ibis.coalesce(rows[LINE], own_row - file * (1 << FILE_SHIFT) + 1),
    }
    return rows.select(**{name: col for name, col in text.items() if name not in added}, **added)


def write_set_aside(tables: list[Table], path: Path, engine: TableEngine) -> None:
    """Set-aside rows of one table, of all sources, as one file; missing columns are null."""
    names: dict[str, str] = {}
    for table in tables:
        for name in table.columns:
            names.setdefault(name.casefold(), name)
    wide = []
    for table in tables:
        own = {name.casefold(): name for name in table.columns}
        wide.append(
            table.select(
                **{
                    name: table[own[key]] if key in own else ibis.null("string")
                    for key, name in names.items()
                }
            )
        )
    engine.write_parquet(wide[0] if len(wide) == 1 else ibis.union(*wide), path)
