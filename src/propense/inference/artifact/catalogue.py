"""The catalogue as marketers see it: ids, titles, and every cleaned column."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding.arrow import as_numbers, as_seconds, as_words, column_of, one_array
from propense.encoding.items import ContentSpec
from propense.encoding.text import split_tokens
from propense.encoding.vocabulary import Vocabulary
from propense.errors import BundleError, SourceError
from propense.inference.artifact.hints import hint
from propense.inference.artifact.live_values import check_value
from propense.schemas import FIRST_KNOWN, NO_TIME, Doubles, Ids, Ints, Words

CATALOGUE: Final = "catalogue.parquet"
MOST_MASKS: Final = 64
"""Masks of `holds` that are cached; each takes a byte an item."""
_ROWS: Final = 65_536
"""Rows of a row group."""


class Coded(NamedTuple):
    """A column as words: `words[codes[i]]` is item `i`'s, -1 where nothing is known."""

    codes: Ids
    """(n_items,)"""
    words: tuple[str, ...]


class Tokens(NamedTuple):
    """A column of several words an item: those of item `i` are
    `codes[offsets[i]:offsets[i + 1]]`, indices into `words`."""

    offsets: Ints
    """(n_items + 1,)"""
    codes: Ids
    words: tuple[str, ...]


class Catalogue:
    """One row an item index; rows 0 (none) and 1 (unseen) are empty.

    A column is decoded when it is first asked for and then cached. A catalogue is immutable: new
    items make another one (`with_records`).
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        titles: Words,
        spec: ContentSpec,
        source: Path | pa.Table,
    ) -> None:
        """`source` has one row for every known word of `vocabulary`, in its order: the file in
        a bundle, or a table.

        Raises BundleError if it cannot be read or has other rows.
        """
        self.vocabulary = vocabulary
        self.titles = titles
        self._spec = spec
        self._source: pa.Table | pa.Buffer = source if isinstance(source, pa.Table) else None
        self._arrays: dict[str, pa.Array] = {}
        self._cache: dict[tuple[str, str], Any] = {}
        self._masks: dict[tuple[str, frozenset[str]], npt.NDArray[np.bool_]] = {}
        self._separators = {c.name: c.separator for c in spec.of_kind("tokens")}
        self.schema: pa.Schema = self._open(source)

    def _open(self, source: Path | pa.Table) -> pa.Schema:
        if isinstance(source, pa.Table):
            n_rows, schema = source.num_rows, source.schema
        else:
            try:
                # Its bytes as they were checked: columns are decoded when they are asked for.
                self._source = pa.py_buffer(source.read_bytes())
                with pq.ParquetFile(pa.BufferReader(self._source)) as file:
                    n_rows, schema = file.metadata.num_rows, file.schema_arrow
            except (pa.ArrowException, OSError) as error:
                raise BundleError(
                    f"catalogue {str(source)!r} cannot be read: {error}; pack the bundle again"
                ) from error
        if n_rows != self.n_items - FIRST_KNOWN:
            raise BundleError(
                f"the catalogue has {n_rows} rows, the encoder knows "
                f"{self.n_items - FIRST_KNOWN} items; pack the bundle again"
            )
        return schema

    @property
    def n_items(self) -> int:
        """Indices, none and unseen included."""
        return self.vocabulary.size

    @cached_property
    def ids(self) -> Words:
        """(n_items,) the id of each index."""
        return np.array(["(none)", "(unseen)", *self.vocabulary.words], object)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """The index of each id."""
        return {word: index for index, word in enumerate(self.vocabulary.words, FIRST_KNOWN)}

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, the id left out."""
        return tuple(name for name in self.schema.names if name != columns.ITEM_ID)

    def column(self, name: str) -> Coded:
        """A column of any type as words: "true" and "false", 3 and 3.0 alike "3".

        Raises ValueError naming the nearest column where there is none of that name.
        """
        coded = self._cache.get(("words", name))
        if coded is None:
            coded = _code(as_words(self._array(name)))
            coded = Coded(np.concatenate([_NOTHING, coded.codes]), coded.words)
            self._cache["words", name] = coded
        return coded

    def tokens(self, name: str) -> Tokens:
        """The words of each item, where a cell may hold several ("Action|Comedy")."""
        tokens = self._cache.get(("tokens", name))
        if tokens is None:
            separator = self._separators.get(name)
            if separator is None:
                tokens = _single(self.column(name))
            else:
                tokens = _split(self._array(name), separator)
            self._cache["tokens", name] = tokens
        return tokens

    def has_tokens(self, name: str) -> bool:
        """Whether the cells of a column hold several words each."""
        return name in self._separators

    def holds(self, name: str, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(n_items,) which items have one of the values in a column; not to be written to.

        Raises ValueError naming the nearest where there is no such column, or where no item
        has one of the values.
        """
        key = (name, frozenset(values))
        mask = self._masks.get(key)
        if mask is None:
            tokens = self.tokens(name) if self.has_tokens(name) else None
            words = self.column(name).words if tokens is None else tokens.words
            wanted = np.zeros(len(words) + 1, bool)
            for value in values:
                wanted[self._code_of(name, value, words)] = True
            if tokens is None:
                mask = wanted[self.column(name).codes]
            else:
                so_far = np.concatenate([[0], np.cumsum(wanted[tokens.codes])])
                mask = np.diff(so_far[tokens.offsets]) > 0
            if len(self._masks) >= MOST_MASKS:
                self._masks.clear()
            self._masks[key] = mask
        return mask

    def _code_of(self, name: str, value: str, words: tuple[str, ...]) -> int:
        code = bisect.bisect_left(words, value)
        if code == len(words) or words[code] != value:
            raise ValueError(
                f"no item has {value!r} in column {name!r}; "
                f"{hint(value, words) if words else 'the column is empty'}"
            )
        return code

    def numbers(self, name: str) -> Doubles:
        """(n_items,) float64, nan where missing or no number."""
        numbers = self._cache.get(("numbers", name))
        if numbers is None:
            numbers = np.concatenate([np.full(FIRST_KNOWN, np.nan), as_numbers(self._array(name))])
            self._cache["numbers", name] = numbers
        return numbers

    def times(self, name: str) -> Ints:
        """(n_items,) seconds UTC, NO_TIME where missing.

        Raises ValueError where the column holds no times.
        """
        times = self._cache.get(("times", name))
        if times is None:
            array = self._array(name)
            if not pa.types.is_temporal(array.type) and not pa.types.is_null(array.type):
                raise ValueError(
                    f"column {name!r} of the items holds {array.type}, not times; "
                    f'set [items] types = {{ {name} = "time" }} and run again'
                )
            times = np.concatenate([np.full(FIRST_KNOWN, NO_TIME), as_seconds(array)])
            self._cache["times", name] = times
        return times

    def record(self, index: int) -> dict[str, Any]:
        """The catalogue's record of an item, `item_id` first; missing values are left out.

        Times are ISO 8601 text in UTC.
        """
        out: dict[str, Any] = {columns.ITEM_ID: self.ids[index]}
        if index < FIRST_KNOWN:
            return out
        for name in self.names:
            value = self._array(name)[index - FIRST_KNOWN].as_py()
            if isinstance(value, dt.datetime):
                value = value.isoformat(timespec="seconds") + "Z"
            if value is not None:
                out[name] = value
        return out

    def table_of(self, index: Ints) -> pa.Table:
        """The rows of items, as an items table has them."""
        rows = pa.array(np.asarray(index, np.int64) - FIRST_KNOWN)
        return pa.table({name: self._array(name).take(rows) for name in self.schema.names})

    def with_records(self, records: Sequence[Mapping[str, object]]) -> Catalogue:
        """A catalogue that also holds these items; the record of a known item is replaced.

        Every record has `item_id`; a key that is not a column is an error, a missing key a
        missing value. New items follow the known ones, in order. Of two records of one item
        the last counts. Raises SourceError naming record, key and the nearest column.
        """
        latest = {}
        for record in records:
            latest[self.check_names(record)] = record
        added = tuple(word for word in latest if word not in self.index_of)
        fresh = self.typed(list(latest.values()))
        source_row = np.arange(self.n_items - FIRST_KNOWN + len(added))
        n_old = self.n_items - FIRST_KNOWN
        end = n_old
        for row, word in enumerate(latest):
            index = self.index_of.get(word)
            if index is None:
                source_row[end], end = n_old + row, end + 1
            else:
                source_row[index - FIRST_KNOWN] = n_old + row
        old = pa.table({name: self._array(name) for name in self.schema.names}, self.schema)
        whole = pa.concat_tables([old, fresh]).take(source_row).combine_chunks()
        titles = np.concatenate([self.titles, np.array(added, object)])
        index_of_added = {word: n_old + FIRST_KNOWN + at for at, word in enumerate(added)}
        for word, record in latest.items():
            title = record.get(self._spec.title) if self._spec.title is not None else None
            index = self.index_of.get(word)
            titles[index_of_added[word] if index is None else index] = (
                word if title is None else str(title)
            )
        return Catalogue(Vocabulary((*self.vocabulary.words, *added)), titles, self._spec, whole)

    def check_names(self, record: Mapping[str, object]) -> str:
        """The id of a live record. Raises SourceError where it has none, a key that is not a
        column, or a value of another type than its column."""
        word = record.get(columns.ITEM_ID)
        if not isinstance(word, str) or not word:
            raise SourceError(f"an item's item_id must be text, not {word!r}")
        for key in record:
            if key not in self.schema.names:
                raise SourceError(
                    f"item {word!r} has {key!r}, which is not a column of the items; "
                    f"{hint(key, self.schema.names)}"
                )
        for key, value in record.items():
            kind = self.schema.field(key).type
            check_value(word, key, value, kind, bool(self._separators.get(key)))
        return word

    def typed(self, records: Sequence[Mapping[str, object]]) -> pa.Table:
        """Live records as rows of the catalogue. Raises SourceError where a value has no place in
        its column."""
        fresh = {name: self._live_column(name, list(records)) for name in self.schema.names}
        try:
            return pa.table(fresh).cast(self.schema)
        except (pa.ArrowException, ValueError) as error:
            raise SourceError(
                f"an item has a value of another type than its column: {error}"
            ) from error

    def _live_column(self, name: str, records: list[Mapping[str, object]]) -> pa.Array:
        """A column of live records, typed as the catalogue's."""
        kind = self.schema.field(name).type
        if pa.types.is_temporal(kind):
            return column_of(records, name, "time")
        if pa.types.is_boolean(kind):
            words = column_of(records, name, "categorical")
            return pc.equal(pc.if_else(pc.is_in(words, _TRUTHS), words, None), "true")
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            numbers = as_numbers(column_of(records, name, "numeric"))
            return pa.array(numbers, pa.float64(), from_pandas=True)
        separator = self._separators.get(name)
        if separator:
            records = [
                {**record, name: separator.join(map(str, cell))}
                if isinstance(cell := record.get(name), list | tuple)
                else record
                for record in records
            ]
        return column_of(records, name, "categorical")

    def _array(self, name: str) -> pa.Array:
        array = self._arrays.get(name)
        if array is None:
            if name not in self.schema.names:
                raise ValueError(
                    f"the items have no column {name!r}; {hint(name, self.schema.names)}"
                )
            if isinstance(self._source, pa.Table):
                column = self._source[name]
            else:
                column = pq.read_table(pa.BufferReader(self._source), columns=[name])[name]
            array = self._arrays[name] = one_array(column)
        return array


def open_catalogue(
    folder: Path, vocabulary: Vocabulary, titles: Words, spec: ContentSpec
) -> Catalogue:
    """The catalogue of the bundle in `folder`."""
    return Catalogue(vocabulary, titles, spec, folder / CATALOGUE)


def write_catalogue(items: Path | None, vocabulary: Vocabulary, folder: Path) -> None:
    """Write the rows of the cleaned table `items`, one an item index, as a bundle holds them.

    Items that the table does not name have nulls; without a table all have.
    """
    words = pa.array(vocabulary.words, pa.string())
    arrays = {columns.ITEM_ID: words}
    if items is not None:
        cleaned = pq.read_table(items)
        rows = pc.index_in(words, value_set=as_words(cleaned[columns.ITEM_ID]))
        for name in cleaned.column_names:
            if name != columns.ITEM_ID:
                arrays[name] = one_array(cleaned[name]).take(rows)
    # From arrays alone: a schema may say that nothing is missing, or when it was made.
    table = pa.table(arrays)
    pq.write_table(table, folder / CATALOGUE, compression="zstd", row_group_size=_ROWS)


_NOTHING: Final = np.full(FIRST_KNOWN, -1, np.int32)
_TRUTHS: Final = pa.array(["true", "false"])


def _code(words: pa.Array) -> Coded:
    """Codes in the order of the words, so that they do not depend on the rows and are found by
    bisection."""
    coded = words.dictionary_encode()
    order = pc.array_sort_indices(coded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return Coded(rank[codes], tuple(coded.dictionary.take(pa.array(order)).to_pylist()))


def _single(column: Coded) -> Tokens:
    present = column.codes >= 0
    offsets = np.concatenate([[0], np.cumsum(present)]).astype(np.int64)
    return Tokens(offsets, column.codes[present], column.words)


def _split(array: pa.Array, separator: str) -> Tokens:
    """Words of each cell, once each, spaces at their ends and empty ones left out."""
    lists = split_tokens(array, separator)
    parent = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    words = pc.utf8_trim_whitespace(pc.list_flatten(lists))
    coded = _code(pc.if_else(pc.equal(words, ""), None, words))
    present = coded.codes >= 0
    n_words = max(len(coded.words), 1)
    pairs = np.unique(parent[present] * n_words + coded.codes[present])
    row, codes = np.divmod(pairs, n_words)
    counts = np.bincount(row + FIRST_KNOWN, minlength=len(array) + FIRST_KNOWN)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Tokens(offsets, codes.astype(np.int32), coded.words)
