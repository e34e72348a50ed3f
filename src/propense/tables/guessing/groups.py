"""Files of equal columns become one group, written as one glob."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from propense.tables.guessing.cell_readings import read_again
from propense.tables.guessing.column_profiles import ColumnProfile, profile_column
from propense.tables.guessing.nested import lists_on_the_way, product_list, with_nested
from propense.tables.sources.locations import natural_order
from propense.tables.sources.samples import Format, Sample, Unreadable, sample_files

LOOKED_AT: Final = 6
"""Most files sampled of those that differ only by a number in the name."""
_NO_DATA: Final = frozenset(
    ".md .toml .py .ipynb .html .htm .pdf .png .jpg .jpeg .gif .svg .rst .lock .yaml .yml .ini "
    ".sql .sh .bak .tmp".split()
)
_PACKED: Final = frozenset(".7z .rar .tar .doc .docx".split())
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Group:
    """Files with equal columns."""

    name: str
    """A short word for the group, from the file names."""
    paths: tuple[str, ...]
    """Relative paths or one glob that matches just these files."""
    format: Format
    columns: dict[str, ColumnProfile]
    """The file's own column name -> what it looks like over all samples."""
    rows_about: int
    n_files: int
    delimiter: str | None
    encoding: str
    """Of all files; "utf-8" where they differ or not all were looked at."""
    ragged: int
    unusual_name: bool
    """True where the file name alone does not show the format."""
    cells: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    """Own name -> the sampled cells of all looked-at files, row by row."""
    encodings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where an encoding is in doubt: every one that fits, the likeliest first -> words in it."""
    products: str = ""
    """The list in JSON objects whose elements are rows."""
    lists: tuple[str, ...] = ()
    """That list and those that hold it."""
    n_objects: int = 0
    """Sampled rows or objects, before lists became rows."""
    file_rows: tuple[int, ...] = ()
    """Sampled rows of each file; empty where lists became rows."""

    def column(self, own: str) -> ColumnProfile:
        return self.columns[own]

    def is_product_field(self, own: str) -> bool:
        """Whether a column stands inside the list of products."""
        return bool(self.products) and own.startswith(f"{self.products}.")

    def is_list_field(self, own: str) -> bool:
        """Whether a column stands inside a list whose elements are rows."""
        return any(own.startswith(f"{path}.") for path in self.lists)


def find_groups(folder: Path, start: Path) -> tuple[list[Group], list[Unreadable]]:
    """Group the readable files below `folder`; paths are written relative to `start`."""
    families: dict[str, list[Path]] = defaultdict(list)
    unreadable: list[Unreadable] = []
    for path in _files(folder):
        if path.suffix.lower() in _PACKED:
            unreadable.append(
                Unreadable(path, "it is an archive or a document; unpack it or save it as CSV")
            )
        else:
            families[_DIGITS.sub("#", str(path.relative_to(folder)))].append(path)
    by_columns: dict[tuple[str, ...], list[tuple[Sample, float, list[Path]]]] = defaultdict(list)
    for family in families.values():
        chosen = _spread(family)
        seen: dict[tuple[str, ...], list[Sample]] = defaultdict(list)
        for path, sample in zip(chosen, sample_files(chosen), strict=True):
            if isinstance(sample, Unreadable):
                unreadable.append(sample)
            elif sample.n_rows == 0:
                unreadable.append(Unreadable(path, "it has a header but no rows"))
            else:
                fixed = "" if sample.format == "access_log" else sample.columns
                seen[(sample.format, *sorted(fixed))].append(sample)
        if not seen:
            continue
        main = max(seen, key=lambda key: len(seen[key]))
        unseen = [path for path in family if path not in chosen]
        for key, samples in seen.items():
            more = unseen if key == main else []
            sampled = sum(sample.n_bytes for sample in samples)
            scale = 1 + sum(path.stat().st_size for path in more) / max(1, sampled)
            members = [sample.path for sample in samples] + more
            for i, sample in enumerate(samples):
                by_columns[key].append((sample, scale, members if i == 0 else []))
    groups = [_group(sampled, folder, start) for sampled in by_columns.values()]
    return sorted(groups, key=lambda group: group.paths), unreadable


def _files(folder: Path) -> Iterable[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "runs", "shelf")))
        for name in sorted(files, key=natural_order):
            path = Path(root) / name
            if not name.startswith((".", "LICENSE", "LICENCE")) and (
                path.suffix.lower() not in _NO_DATA
            ):
                yield path


def _spread(paths: Sequence[Path]) -> list[Path]:
    if len(paths) <= LOOKED_AT:
        return list(paths)
    return [paths[i * (len(paths) - 1) // (LOOKED_AT - 1)] for i in range(LOOKED_AT)]


def _group(sampled: Sequence[tuple[Sample, float, list[Path]]], folder: Path, start: Path) -> Group:
    samples = [sample for sample, _, _ in sampled]
    files = sorted((path for _, _, members in sampled for path in members), key=natural_order)
    first = samples[0]
    cells: dict[str, list[str | None]] = {
        name: [
            cell for sample in samples
            for cell in sample.columns.get(name) or [None] * sample.n_rows
        ]
        for name in dict.fromkeys(name for sample in samples for name in sample.columns)
    }  # fmt: skip
    products = ""
    lists: tuple[str, ...] = ()
    n_objects = sum(sample.n_rows for sample in samples)
    if first.format not in ("csv", "access_log"):
        if first.format in ("json", "jsonl"):
            products = product_list(cells)
            lists = lists_on_the_way(cells, products)
        cells = with_nested(cells, products)
    declared = first.declared or {}
    return Group(
        name=_short_name(files),
        paths=glob_of(files, folder, start),
        format=first.format,
        columns=read_again(
            {
                name: profile_column(name, column, declared.get(name))
                for name, column in cells.items()
            },
            cells,
        ),
        rows_about=round(sum(sample.rows_about * scale for sample, scale, _ in sampled)),
        n_files=len(files),
        delimiter=first.delimiter,
        encoding=_common_encoding(samples, files),
        ragged=sum(sample.ragged for sample in samples),
        unusual_name=not _name_shows_format(first.path, first.format),
        cells=cells,
        encodings=next((sample.encodings for sample in samples if sample.encodings), {}),
        products=products,
        lists=lists,
        n_objects=n_objects,
        file_rows=() if lists else tuple(sample.n_rows for sample in samples),
    )  # fmt: skip


def _common_encoding(samples: Sequence[Sample], files: Sequence[Path]) -> str:
    """The encoding that every file has; "utf-8" where reading is to detect it, or to ask."""
    encodings = {sample.encoding for sample in samples}
    doubtful = any(sample.encodings for sample in samples)
    if doubtful or len(encodings) > 1 or len(samples) < len(files):
        return "utf-8"
    return encodings.pop()


def _name_shows_format(path: Path, form: Format) -> bool:
    name = path.name.lower()
    for packed in (".gz", ".bz2", ".zst", ".lz4", ".xz", ".zip"):
        name = name.removesuffix(packed)
    endings = {
        "csv": (".csv", ".tsv"), "jsonl": (".jsonl", ".ndjson"), "json": (".json",),
        "parquet": (".parquet",), "access_log": (".log",),
        "xlsx": (".xlsx", ".xls", ".xlsb", ".ods"),
    }  # fmt: skip
    return name.endswith(endings[form])


def _short_name(files: Sequence[Path]) -> str:
    """A TOML key from what the file names share, or from their folder."""
    shared = _common([_stem(path.name) for path in files])
    word = re.sub(r"[^0-9A-Za-z]+", "_", shared).strip("_0123456789").lower()
    if len(word) < 2 or (len(files) > 1 and len(word) < 3):
        word = re.sub(r"[^0-9A-Za-z]+", "_", files[0].parent.name).strip("_").lower()
    return word or "data"


_ENDINGS: Final = frozenset(
    "csv tsv txt tab psv dat data json jsonl ndjson parquet pq log xlsx xls xlsb ods gz bz2 zst "
    "lz4 xz zip snappy".split()
)


def _stem(name: str) -> str:
    """A file's name without its endings: "users.behaviors.Purchase" of one with ".json.gz"."""
    stem = name
    while "." in stem[1:] and stem.rpartition(".")[2].lower() in _ENDINGS:
        stem = stem.rpartition(".")[0]
    return stem


def glob_of(files: Sequence[Path], folder: Path, start: Path) -> tuple[str, ...]:
    """One glob that matches the files and no other data file of the folder, otherwise all paths."""
    written = [Path(os.path.relpath(path, start)).as_posix() for path in files]
    if len(files) == 1:
        return (written[0],)
    parts = [path.split("/") for path in written]
    if len({len(part) for part in parts}) == 1:
        pattern = "/".join(_widen([part[i] for part in parts]) for i in range(len(parts[0])))
        matched = {path.resolve() for path in start.glob(pattern)} if "../" not in pattern else None
        if matched is not None and matched == {path.resolve() for path in files}:
            return (pattern,)
    return tuple(written)


def _widen(words: Sequence[str]) -> str:
    if len(set(words)) == 1:
        return words[0]
    front = _common(words)
    back = _common([word[len(front) :][::-1] for word in words])[::-1]
    # a number that happens to begin alike (2024-01, 2024-02) may go on otherwise next month
    if front[-1:].isdigit() and any(word[len(front) :][:1].isdigit() for word in words):
        front = front.rstrip("0123456789")
    return f"{front}*{back}"


def _common(words: Sequence[str]) -> str:
    """The letters all words begin with."""
    low, high = min(words), max(words)
    end = next((i for i, ends in enumerate(zip(low, high, strict=False)) if len(set(ends)) > 1),
               min(len(low), len(high)))  # fmt: skip
    return low[:end]
