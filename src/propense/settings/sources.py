"""Settings of what is read: [sources.NAME], [users], [items] and the other tables."""

from __future__ import annotations

from typing import Literal

from propense.settings.record import Record


class Cancelled(Record, frozen=True):
    """A row whose `column` starts with `starts_with` cancels an earlier row."""

    column: str
    """Name of the column in the file."""
    starts_with: str
    """Start of the cell, for example "C"."""


Cell = str | int | float | bool


class Refunded(Record, frozen=True):
    """Rows whose `column` holds one of `values`, or starts with one of `starts_with`, give money
    back."""

    column: str
    """Name of the column in the file."""
    values: tuple[Cell, ...] = ()
    """The cells that say so, in whatever spelling."""
    starts_with: tuple[str, ...] = ()
    """Prefixes of letters, such as "CN" of "CN-50005", in whatever case; "C" is none of it."""


class File(Record, frozen=True):
    """How files are written."""

    columns: dict[str, str] = {}
    """Canonical name -> column name in the file; "" means that no column is it. An event's value is
    `price` times `count` if it has no `value`."""
    delimiter: str | None = None
    """Delimiter of CSV files, of one or several characters. Default: detected."""
    quoting: Literal["auto", "standard", "backslash", "none"] = "auto"
    """What quotes do in CSV files: they enclose cells, and a quote in them is doubled
    ("standard") or stands behind a backslash ("backslash"); or they are text
    ("none"). Default: detected."""
    header: bool | None = None
    """Whether the first line holds the names; without them, columns are named "1", "2" and so on.
    Default: detected."""
    skip_lines: int | None = None
    """Lines above the header, or above the data where there is none. Default: detected."""
    encoding: str = "auto"
    """Encoding of text files, any that Python knows, such as "windows-1252"."""
    sheet: str | None = None
    """Sheet of a workbook, where several hold rows."""
    time_zone: str | None = None
    """Time zone of times without an offset. Default: the project's time_zone."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """Decimal sign of numbers such as "1.250", which is a thousand times larger with a comma.
    Default: judged from all cells of the column, and asked where they do not show it."""
    date_order: Literal["auto", "day", "month", "year"] = "auto"
    """What stands first in dates such as "03/05/2024" or "24-03-05". Default: judged from all
    cells of the column, and asked where they do not show it."""
    calendar: Literal["auto", "gregorian", "buddhist"] = "auto"
    """How years are counted: the Buddhist year 2567 is 2024. Default: the usual calendar, and asked
    where all years of the column could be Buddhist."""


class Source(File, frozen=True, kw_only=True):
    """One domain's event log."""

    events: str | tuple[str, ...]
    """Path, glob, SQL URL (sqlite:///f.db?table=t, postgresql://...?table=t) or s3:// URL."""
    format: Literal["auto", "csv", "jsonl", "json", "xlsx", "parquet", "access_log"] = "auto"
    """File format. Default: detected from what the file holds."""
    action: str | None = None
    """Action of every row, if the log has no action column."""
    actions: dict[str, str] = {}
    """Word in the log -> the action it means."""
    time_format: str | None = None
    """Format of times, like "%d/%m/%Y %H:%M". Default: detected."""
    value_unit: float = 1.0
    """Factor that turns values into units of the currency, for example 0.01 for cents."""
    cancelled: Cancelled | None = None
    """How rows that cancel others are marked. Rows with a negative count are returns without it."""
    where: dict[str, Cell | tuple[Cell, ...]] | None = None
    """Column in the file -> the cells of the rows to read, in whatever spelling; all other rows are
    set aside. "" stands for an empty cell, and {} reads every row. Default: every row; what looks
    like the status of an order is asked about."""
    refunded: Refunded | str | None = None
    """Rows that are refunds; or the name of the column with the amount that was refunded of an
    order, which becomes an event of its own. "" means that no column does. Default: none; a column
    that is named like one, and whose amounts its orders paid, is asked about."""
    fallbacks: dict[str, tuple[str, ...]] = {}
    """Canonical name -> further columns in the file: where the cell of its column is empty, the
    first of these that is filled is read. For example { value = ["ecommerce.refund_value"] }."""
    products: str = ""
    """Path of a list in JSON objects, such as "properties.products": each of its elements becomes a
    row. A column inside it is the path and the element's field, as in
    "properties.products.product_id"; all other columns are repeated. An object without the list is
    one row. A `value` outside the list is the money of the object, and shared over its rows by
    `price` times `count`."""
    value_is: Literal["auto", "line", "order"] = "auto"
    """What `value` stands for where several rows share an order_id: money of the row, or of the
    whole order, which is then shared over its rows. "auto" asks where it repeats."""
    total_rows: tuple[str, ...] | None = None
    """Cells of the columns user_id and item_id whose rows sum up other rows, such as
    ["Monthly total"]: they are set aside; [] reads them. Default: what is called a total beside a
    customer and a time is asked about."""
    overlapping_files: Literal["auto", "latest", "keep"] = "auto"
    """What files are that hold the same events again: rows of one customer, item, action, time,
    value and count, whatever a status beside them says. "latest" keeps those of the last file, in
    the order of the files' names, as of full exports of several days; "keep" keeps all. "auto" asks
    where nearly a whole file stands in another, or much of it where times have seconds."""
    carry_down: tuple[str, ...] = ()
    """Columns that stand on the first row of an order only; its other rows take their cells from
    there. Needs the column order_id."""

    @property
    def named_columns(self) -> dict[str, str]:
        """Columns of the file that are named outside `columns`, and the key that names them."""
        names = {name: "where" for name in self.where or ()}
        names |= {name: "carry_down" for name in self.carry_down}
        names |= {name: "fallbacks" for more in self.fallbacks.values() for name in more}
        if isinstance(self.refunded, Refunded):
            names[self.refunded.column] = "refunded"
        elif self.refunded:
            names[self.refunded] = "refunded"
        if self.cancelled is not None:
            names[self.cancelled.column] = "cancelled"
        return names


class TableSource(File, frozen=True, kw_only=True):
    """A file of users, items, identities, exposures or impressions."""

    path: str | tuple[str, ...]
    """Path, glob, SQL URL or s3:// URL."""
    features: tuple[str, ...] | None = None
    """Columns to learn from. Default: all that are neither an id nor a label."""
    types: dict[str, Literal["numeric", "categorical", "text", "time"]] = {}
    """Column -> its type, if it is guessed wrong."""
    sensitive: tuple[str, ...] = ()
    """Columns by which the report compares subgroups."""
    valid_from: str | None = None
    """Column with the time from which the features are known, of identities the time from which
    the ids are known to be one customer's. Default: they are always known."""
    known_before: tuple[str, ...] = ()
    """Columns of users or items whose cells were known before every as-of time and never changed
    since, as you affirm: where they seem to know the future, the run is not stopped, and the report
    says so."""
    format: Literal["auto", "csv", "jsonl", "json", "xlsx", "parquet"] = "auto"
    """File format. Default: detected from what the file holds."""
