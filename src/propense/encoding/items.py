"""What the catalogue says of each item, so that an item nobody has met has a vector too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propense import columns
from propense.encoding.arrow import as_words, column_of, one_array, word_of
from propense.encoding.profiles import (
    TITLE_NAMES,
    Column,
    catalogue_numbers,
    divide_constant,
    fit_column,
)
from propense.encoding.text import hash_ngrams, hash_tokens, split_tokens, take_rows
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SettingsError, nearest
from propense.schemas import FIRST_KNOWN, Floats, Ids, Ints, Words
from propense.settings import Recommend, Settings

_FURTHEST = 10.0
"""Standardised numbers are held within this: one absurd price must not drown the rest."""


class ContentSpec(msgspec.Struct, frozen=True):
    """The columns of the items table that are learned from."""

    columns: tuple[Column, ...] = ()
    title: str | None = None
    text_buckets: int = 0
    """0 where no column is text or tokens."""
    constant: tuple[str, ...] = ()
    """Columns left out because they have one value, or none, in train."""

    def of_kind(self, *kinds: str) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in kinds)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return tuple(column.vocabulary.size for column in self.of_kind("categorical"))


@dataclass(frozen=True)
class ItemContent:
    """One row an item index; rows 0 (none) and 1 (unseen) are empty.

    `categorical` (n_items, c) int32; `numeric` (n_items, m) float32 standardised, 0 where
    missing; text and tokens of item `i` are `text[text_offsets[i]:text_offsets[i + 1]]`,
    ids 1 .. text_buckets - 1, with `text_weight` one over how many its column has of that item, so
    that a category counts as much beside a long title as alone. `titles` (n_items,) words for
    people.
    """

    categorical: Ids
    cardinalities: tuple[int, ...]
    numeric: Floats
    text_offsets: Ints
    text: Ids
    text_weight: Floats
    text_buckets: int
    titles: Words
    n_seen: int = 0
    """Indices 2 .. n_seen - 1 occurred in train; from there on only the catalogue knows them."""

    @property
    def n_items(self) -> int:
        return len(self.categorical)


def fit_content(items: Any | None, chosen: np.ndarray, settings: Settings) -> ContentSpec:
    """Columns, vocabularies and scales from the `chosen` rows of the items table; columns by name,
    without constant ones, as in `fit_profiles`.

    Raises SettingsError if [items] names a column the table does not have.
    """
    if items is None or settings.items is None:
        return ContentSpec()
    table, column_names = settings.items, items.column_names
    for name in (*(table.features or ()), *table.types):
        if name not in column_names:
            raise SettingsError(f"[items] names the column {name!r}; {nearest(name, column_names)}")
    names = table.features
    if names is None:
        names = tuple(name for name in column_names if name != columns.ITEM_ID)
    train = items.filter(pa.array(chosen)) if chosen.any() else items
    types: dict[str, Any] = dict(table.types)
    varying, constant = divide_constant(train, names)
    made = tuple(fit_column(name, train[name], types.get(name), True) for name in varying)
    has_text = any(column.kind in ("text", "tokens") for column in made)
    titles = [name for name in column_names if name.lower() in TITLE_NAMES]
    return ContentSpec(
        made, titles[0] if titles else None, settings.features.text_buckets if has_text else 0,
        tuple(constant),
    )  # fmt: skip


def encode_items(
    items: Any | None, spec: ContentSpec, vocabulary: Vocabulary, n_seen: int
) -> ItemContent:
    """Content of every index of the item vocabulary; items not in the table are empty."""
    n_items = vocabulary.size
    ids = np.array(["(none)", "(unseen)", *vocabulary.words], object)
    if items is None or not items.num_rows:
        return _empty(n_items, spec, ids, n_seen)
    index = pc.index_in(
        pa.array(vocabulary.words, pa.string()),
        value_set=one_array(as_words(items[columns.ITEM_ID])),
    )
    rows = np.full(n_items, -1, np.int64)
    rows[FIRST_KNOWN:] = pc.fill_null(index, -1).to_numpy(zero_copy_only=False)
    return _take(content_of(items, spec), rows, ids, n_seen)


def shown_items(
    items: Any | None, vocabulary: Vocabulary, recommend: Recommend | None
) -> npt.NDArray[np.bool_]:
    """(n_items,) the items that lists may show: those of the catalogue where there is one, unless
    the settings allow others."""
    shown = np.ones(vocabulary.size, bool)
    shown[:FIRST_KNOWN] = False
    only = recommend is None or recommend.only_catalogue
    if only and items is not None and items.num_rows:
        listed = one_array(as_words(items[columns.ITEM_ID]))
        index = pc.index_in(pa.array(vocabulary.words, pa.string()), value_set=listed)
        shown[FIRST_KNOWN:] = pc.is_valid(index).to_numpy(zero_copy_only=False)
    return shown


def encode_item(features: Mapping[str, object], spec: ContentSpec) -> ItemContent:
    """Content of one new item, as one row; a missing key is a missing value."""
    return encode_new_items([features], spec)


def encode_new_items(records: Sequence[Mapping[str, object]], spec: ContentSpec) -> ItemContent:
    """Content of items from live records, one row each."""
    arrays: dict[str, Any] = {
        column.name: column_of(records, column.name, column.kind)
        for column in spec.columns
        if not column.separator
    }
    for column in spec.columns:
        if column.separator:
            cells = [_joined(record.get(column.name), column.separator) for record in records]
            arrays[column.name] = pa.array(cells, pa.string())
    title = spec.title
    if title is not None and title not in arrays:
        arrays[title] = column_of(records, title, "text")
    arrays[columns.ITEM_ID] = column_of(records, columns.ITEM_ID, "categorical")
    return content_of(pa.table(arrays), spec)


def lay_over(content: ItemContent, fresh: ItemContent, index: Ints) -> ItemContent:
    """Row `r` of `fresh` in the place of row `index[r]`, which may follow the last.

    Raises ValueError where the rows that follow leave a gap.
    """
    n_old = content.n_items
    n_items = max(n_old, int(index.max(initial=-1)) + 1)
    rows = np.concatenate([np.arange(n_old), np.full(n_items - n_old, -1)])
    rows[index] = n_old + np.arange(fresh.n_items)
    if (rows < 0).any():
        raise ValueError(f"item {int(np.argmin(rows))} is left out, others follow it")
    both = ItemContent(
        categorical=np.concatenate([content.categorical, fresh.categorical]),
        cardinalities=content.cardinalities,
        numeric=np.concatenate([content.numeric, fresh.numeric]),
        text_offsets=np.concatenate(
            [content.text_offsets, content.text_offsets[-1] + fresh.text_offsets[1:]]
        ),
        text=np.concatenate([content.text, fresh.text]),
        text_weight=np.concatenate([content.text_weight, fresh.text_weight]),
        text_buckets=content.text_buckets,
        titles=np.concatenate([content.titles, fresh.titles]),
    )
    return _take(both, rows, np.full(n_items, "", object), content.n_seen)


def _joined(cell: object, separator: str) -> str | None:
    """A live cell as the file would have it: a list of tokens becomes one text."""
    if isinstance(cell, list | tuple):
        return separator.join(str(token) for token in cell)
    return word_of(cell)


def content_of(items: Any, spec: ContentSpec) -> ItemContent:
    """Content of each row of an items table."""
    n_rows = items.num_rows
    categorical = [
        column.vocabulary.index(items[column.name])[:, None]
        for column in spec.of_kind("categorical")
    ]
    numeric = [
        _standardise(catalogue_numbers(items[column.name], column.kind), column)[:, None]
        for column in spec.of_kind("numeric", "time")
    ]
    offsets, text, weight = _join_rows(
        [_bag(items[column.name], column, spec) for column in spec.of_kind("text", "tokens")],
        n_rows,
    )
    title = items[columns.ITEM_ID if spec.title is None else spec.title]
    words = pc.coalesce(as_words(title), as_words(items[columns.ITEM_ID]))
    return ItemContent(
        categorical=_stack(categorical, n_rows).astype(np.int32),
        cardinalities=spec.cardinalities,
        numeric=_stack(numeric, n_rows).astype(np.float32),
        text_offsets=offsets,
        text=text,
        text_weight=weight,
        text_buckets=spec.text_buckets,
        titles=np.asarray(words.to_numpy(zero_copy_only=False), object),
    )


def _standardise(numbers: np.ndarray, column: Column) -> np.ndarray:
    scaled = np.clip((numbers - column.mean) / column.deviation, -_FURTHEST, _FURTHEST)
    return np.nan_to_num(scaled, nan=0.0)


def _bag(column: Any, spec: Column, content: ContentSpec) -> tuple[Ints, Ids]:
    if spec.kind == "text":
        return hash_ngrams(column, content.text_buckets)
    return hash_tokens(split_tokens(column, spec.separator or "|"), content.text_buckets)


def _join_rows(bags: list[tuple[Ints, Ids]], n_rows: int) -> tuple[Ints, Ids, Floats]:
    """Sparse rows of several columns side by side, and one over how many each column has."""
    if not bags:
        return np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    sizes = [np.diff(offsets) for offsets, _ in bags]
    row = np.concatenate([np.repeat(np.arange(n_rows), size) for size in sizes])
    weight = np.concatenate([np.repeat(1 / np.maximum(size, 1), size) for size in sizes])
    order = np.argsort(row, kind="stable")
    lengths = np.bincount(row, minlength=n_rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.concatenate([ids for _, ids in bags])
    return offsets, ids[order], weight[order].astype(np.float32)


def _take(content: ItemContent, rows: Ints, ids: Words, n_seen: int) -> ItemContent:
    """Content in the order of `rows`; -1 is an empty row."""
    absent = rows < 0
    safe = np.where(absent, 0, rows)
    every = np.arange(len(content.text), dtype=np.int32)
    offsets, index = take_rows(content.text_offsets, every, rows)
    return ItemContent(
        categorical=np.where(absent[:, None], np.int32(0), content.categorical[safe]),
        cardinalities=content.cardinalities,
        numeric=np.where(absent[:, None], np.float32(0), content.numeric[safe]),
        text_offsets=offsets,
        text=content.text[index],
        text_weight=content.text_weight[index],
        text_buckets=content.text_buckets,
        titles=np.where(absent, ids, content.titles[safe]),
        n_seen=n_seen,
    )


def _empty(n_items: int, spec: ContentSpec, ids: Words, n_seen: int) -> ItemContent:
    return ItemContent(
        categorical=np.zeros((n_items, len(spec.cardinalities)), np.int32),
        cardinalities=spec.cardinalities,
        numeric=np.zeros((n_items, len(spec.of_kind("numeric", "time"))), np.float32),
        text_offsets=np.zeros(n_items + 1, np.int64),
        text=np.zeros(0, np.int32),
        text_weight=np.zeros(0, np.float32),
        text_buckets=spec.text_buckets,
        titles=ids,
        n_seen=n_seen,
    )


def _stack(parts: list[np.ndarray], n_rows: int) -> np.ndarray:
    return np.concatenate(parts, axis=1) if parts else np.zeros((n_rows, 0))
