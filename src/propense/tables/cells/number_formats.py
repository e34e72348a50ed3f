"""Whether the numbers of a column have a decimal point or comma, judged over all its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import ibis
from ibis.expr.types import Column, Table

from propense.tables.cells.numbers import (
    SUSPICIOUS,
    Decimal,
    NumberFormat,
    currency_of,
    kind_of,
    number_of,
)
from propense.tables.engine.engine import FILE_SHIFT, ROW
from propense.tables.questions import Choice, Question

_KINDS: Final = ("point", "comma", "either.", "either,")


@dataclass(frozen=True)
class NumberEvidence:
    """What the cells of one column show."""

    name: str
    units: bool
    plain: bool
    cells: dict[int, dict[str, tuple[int, int, str]]] = field(default_factory=dict)
    """File -> "point", "comma" (a cell that can be nothing else), "either." and "either," (one
    group of three behind it) -> how many cells, the row of the first, its text."""
    currencies: dict[str, int] = field(default_factory=dict)
    """Sign or word of a currency, in capitals -> cells."""

    def count(self, *kinds: str, file: int | None = None) -> int:
        chosen = self.cells.values() if file is None else [self.cells.get(file, {})]
        return sum(cells[kind][0] for cells in chosen for kind in kinds if kind in cells)

    def first(self, *kinds: str, file: int | None = None) -> tuple[int, str]:
        """Row and text of the first such cell."""
        chosen = self.cells.values() if file is None else [self.cells.get(file, {})]
        return min(cells[kind][1:] for cells in chosen for kind in kinds if kind in cells)


def survey_numbers(
    rows: Table, name: str, units: bool = False, live: Sequence[int] | frozenset[int] = ()
) -> NumberEvidence:
    """What the cells of a text column show; files of `live` are left out.

    Most columns have plain numbers only, which one pass of one pattern shows.
    """
    text = rows[name]
    if not text.type().is_string():
        return NumberEvidence(name, units, plain=False)
    odd = rows.filter(text.re_search(SUSPICIOUS)).select(
        _file=rows[ROW] >> FILE_SHIFT, _row=rows[ROW], _text=text
    )
    skipped = sorted(live)
    if skipped:
        odd = odd.filter(~odd["_file"].isin(skipped))
    texts = odd.group_by("_file", "_text").agg(n=odd.count(), row=odd["_row"].min()).view()
    kinds = texts.mutate(
        kind=kind_of(texts["_text"], units),
        currency=ibis.literal("") if units else currency_of(texts["_text"]),
    ).view()
    counts = (
        kinds.group_by("_file", "kind", "currency")
        .agg(n=kinds.n.sum(), row=kinds.row.min(), text=kinds["_text"].argmin(kinds.row))
        .to_pyarrow().to_pylist()
    )  # fmt: skip
    cells: dict[int, dict[str, tuple[int, int, str]]] = {}
    currencies: dict[str, int] = {}
    for row in counts:
        if row["currency"]:
            currencies[row["currency"]] = currencies.get(row["currency"], 0) + row["n"]
        own = cells.setdefault(row["_file"], {})
        n, first, shown = own.get(row["kind"], (0, row["row"], row["text"]))
        if row["row"] < first:
            first, shown = row["row"], row["text"]
        own[row["kind"]] = (n + row["n"], first, shown)
    plain = not counts
    if not plain and not any("point" in own for own in cells.values()):
        _add_plain_points(rows, name, cells, skipped)
    return NumberEvidence(name, units, plain, cells, currencies)


def _add_plain_points(
    rows: Table, name: str, cells: dict[int, dict[str, tuple[int, int, str]]], skipped: list[int]
) -> None:
    """Plain numbers such as 12.50, which the first pass does not see, as evidence of a file."""
    text = rows[name]
    proof = text.re_search(r"^[-+]?(?:\d*\.(?:\d{1,2}|\d{4,})|(?:\d{4,}|0\d*|)\.\d{3})$")
    sure = rows.filter(proof).select(_file=rows[ROW] >> FILE_SHIFT, _row=rows[ROW], _text=text)
    if skipped:
        sure = sure.filter(~sure["_file"].isin(skipped))
    counts = (
        sure.group_by("_file")
        .agg(n=sure.count(), row=sure["_row"].min(), text=sure["_text"].argmin(sure["_row"]))
        .to_pyarrow().to_pylist()
    )  # fmt: skip
    for row in counts:
        cells.setdefault(row["_file"], {})["point"] = (row["n"], row["row"], row["text"])


@dataclass(frozen=True)
class InferredFormats:
    """How to read each column, and what the data leaves open."""

    formats: dict[str, NumberFormat]
    questions: list[Question] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def infer_formats(
    evidence: list[NumberEvidence], table: Any, key: str, decimal: str = "auto"
) -> InferredFormats:  # fmt: skip
    """The format of every number column of one table or source.

    One cell that fits one convention only decides for its column; where a column has both, each
    file is judged by itself; a column without such a cell follows the other columns. What is
    still open is a question with the key `key`, whose effects are the sums that each answer gives.

    `table` has `rows` and `locate`; `decimal` is the setting.
    """
    inferred = InferredFormats({})
    live = frozenset(table.live)
    proofs = {kind for one in evidence for kind in ("point", "comma") if one.count(kind)}
    for one in evidence:
        inferred.formats[one.name] = _infer(one, table, key, decimal, proofs, inferred)
    for name, form in inferred.formats.items():
        if live and form.decimal == "comma":  # the service writes points
            inferred.formats[name] = NumberFormat("comma", form.other_files | live)
    return inferred


def _infer(
    one: NumberEvidence, table: Any, key: str, decimal: str, proofs: set[str],
    inferred: InferredFormats,
) -> NumberFormat:  # fmt: skip
    if decimal in ("point", "comma"):
        wanted: Decimal = "comma" if decimal == "comma" else "point"
        return NumberFormat(wanted, plain=one.plain and wanted == "point")
    if one.plain:
        return NumberFormat(plain=True)
    n_point, n_comma = one.count("point"), one.count("comma")
    usual: Decimal = "comma" if n_comma > n_point else "point"
    if n_point and n_comma:
        examples = f"{one.first('point')[1]!r} and {one.first('comma')[1]!r}"
        inferred.notes.append(f"{one.name!r} has decimal points and commas: {examples}")
    if not one.count("either.", "either,") or bool(n_point) != bool(n_comma):
        return NumberFormat(usual)
    if n_point and n_comma:
        return _infer_by_file(one, table, key, usual, inferred)
    if len(proofs) == 1:
        (proof,) = proofs
        _, text = one.first("either.", "either,")
        inferred.notes.append(
            f"{one.name!r} is read with a decimal {proof}, as the other columns are: {text!r}"
        )
        return NumberFormat("comma" if proof == "comma" else "point")
    thousands: Decimal = "comma" if one.units and not one.count("either,") else "point"
    inferred.questions.append(_question(one, table, key, thousands, None))
    return NumberFormat(thousands)


def _infer_by_file(
    one: NumberEvidence, table: Any, key: str, usual: Decimal, inferred: InferredFormats
) -> NumberFormat:
    others = set()
    for file in one.cells:
        n_point, n_comma = one.count("point", file=file), one.count("comma", file=file)
        if bool(n_point) == bool(n_comma) and one.count("either.", "either,", file=file):
            inferred.questions.append(_question(one, table, key, usual, file))
            return NumberFormat(usual)
        own = "comma" if n_comma else "point"
        if own != usual and n_point + n_comma:
            others.add(file)
    inferred.notes.append(
        f"{one.name!r}: the decimal sign is judged file by file; it is a {usual} in most"
    )
    return NumberFormat(usual, frozenset(others))


def _question(
    one: NumberEvidence, table: Any, key: str, first: Decimal, file: int | None
) -> Question:
    row, text = one.first("either.", "either,", file=file)
    shown = [(row, text)]
    if one.count("point", file=file) and one.count("comma", file=file):
        shown = [one.first("point", file=file), one.first("comma", file=file)]
    sums = _sums(table.rows, table.rows[one.name], one.units)
    order: list[Decimal] = [first, "comma" if first == "point" else "point"]
    return Question(
        key=key,
        sentence=f"is a number such as {text!r} of column {one.name!r} written with a decimal "
        "point or a decimal comma?",
        choices=[Choice(name, f"{one.name} sums to {sums[name]:,.2f}") for name in order],
        examples=[f"{table.locate(row)}: {text!r}" for row, text in shown],
    )


def _sums(rows: Table, column: Column, units: bool) -> dict[str, float]:
    both: tuple[Decimal, ...] = ("point", "comma")
    sums = rows.aggregate(
        **{name: number_of(column, NumberFormat(name), units=units).sum() for name in both}
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    return {name: float(sums[name] or 0.0) for name in both}
