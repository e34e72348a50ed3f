"""Files of one source that hold the same events again, such as full exports of two days."""

from __future__ import annotations

from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Table

from propense.columns import EVENT_ID, SOURCE, VALUE
from propense.settings import Clean, Source
from propense.settings.paths import setting_path
from propense.tables.cleaning.questions.net_money import net_money, sums_of
from propense.tables.cleaning.resolution import Resolution
from propense.tables.cleaning.typed_events import SOURCE_SHIFT
from propense.tables.engine.engine import FILE_SHIFT, ROW, TableEngine
from propense.tables.questions import Choice, Question, raise_open
from propense.tables.sources.reading import RawTable, RawTables

OLDER: Final = "older export"
_FEW: Final = 10
"""Fewer rows that stand in two files are chance."""
_NEARLY_ALL: Final = 0.8
"""A share of a file's rows, from which it stands in another one, where times are coarse."""
_MANY: Final = 0.2
"""The same where times have seconds: two events of one second that are equal are rare."""


def find_overlaps(
    alive: Table, candidates: Table, same: Table | None, raw: RawTables, rules: Clean,
    engine: TableEngine, resolution: Resolution,
) -> Table | None:  # fmt: skip
    """Rows of a file whose events stand in a later file of the source again, as `_row`, `_rule`.

    These are rows of one customer, item, action, time, value and count, whatever their other
    columns say; what one file has twice counts twice. `candidates` are all rows whose key and
    time may repeat, `same` those that repeat an earlier row in every column and go as such.
    Raises QuestionError where a source leaves it open.
    """
    several = [
        (number, source) for number, source in enumerate(raw.sources.values())
        if len(source.files) - len(source.live) > 1 and isinstance(source.settings, Source)
        and _asks(source.settings, rules)
    ]  # fmt: skip
    if not several:
        return None
    rows = candidates.filter(candidates[EVENT_ID].isnull() & candidates["_t"].notnull())
    rows = rows.filter((rows[ROW] >> SOURCE_SHIFT).isin([number for number, _ in several])
                       & ~_in_live_files(rows, raw))  # fmt: skip
    left = rows if same is None else rows.anti_join(same, ROW)
    left = engine.keep(_ranked(left), "overlaps_left")
    open_rows = _per_source(left.filter(left["_file"] < left["_last"]))
    if not any(n >= _FEW for n in open_rows.values()):
        return None
    ranked = engine.keep(_ranked(rows), "overlaps")
    chosen: list[int] = []
    questions: list[Question] = []
    for number, source in several:
        own = ranked.filter((ranked[ROW] >> SOURCE_SHIFT) == number)
        assert isinstance(source.settings, Source)
        if open_rows.get(number, 0) < _FEW:
            continue
        if source.settings.overlapping_files == "latest":
            chosen.append(number)
            continue
        coarse = _any_coarse(own, resolution)
        shares = _shares(own, alive.filter((alive[ROW] >> SOURCE_SHIFT) == number))
        file = max(shares, key=lambda one: shares[one][0] / max(1, shares[one][1]))
        n, n_rows = shares[file]
        if n < (_NEARLY_ALL if coarse else _MANY) * n_rows:
            continue
        questions.append(_question(source, file, shares[file], own, alive, number))
        chosen.append(number)
    if questions and not rules.accept_guesses:
        raise_open(questions)
    if not chosen:
        return None
    older = ranked.filter(
        (ranked["_file"] < ranked["_last"]) & (ranked[ROW] >> SOURCE_SHIFT).isin(chosen)
    )
    return engine.keep(older.select(_row=older[ROW], _rule=ibis.literal(OLDER)), "older_exports")


def _asks(source: Source, rules: Clean) -> bool:
    return source.overlapping_files == "latest" or (
        source.overlapping_files == "auto" and rules.exact_duplicates != "keep"
    )


def _in_live_files(rows: Table, raw: RawTables) -> BooleanValue:
    files = [
        (number << (SOURCE_SHIFT - FILE_SHIFT)) + file
        for number, source in enumerate(raw.sources.values()) for file in sorted(source.live)
    ]  # fmt: skip
    return (rows[ROW] >> FILE_SHIFT).isin(files) if files else ibis.literal(False)


def _ranked(rows: Table) -> Table:
    """Rows with their file, the first and last file that have their event, by `_file`, `_first`,
    `_last`: the k-th of one file is the k-th of another."""
    rows = rows.select(ROW, SOURCE, "_t", "_key", _file=rows[ROW] >> FILE_SHIFT).view()
    source = (rows[ROW] >> SOURCE_SHIFT).cast("int64")
    rows = rows.mutate(_source=source).view()
    key = [rows[name] for name in ("_source", "_key", "_t")]
    rank = ibis.row_number().over(group_by=[*key, rows["_file"]], order_by=rows[ROW])
    rows = rows.mutate(_rank=rank).view()
    whole = ibis.window(group_by=[rows[name] for name in ("_source", "_key", "_t", "_rank")])
    rows = rows.mutate(
        _first=rows["_file"].min().over(whole), _last=rows["_file"].max().over(whole)
    ).view()
    return rows.select(ROW, SOURCE, "_file", "_first", "_last")


def _per_source(rows: Table) -> dict[int, int]:
    counted = rows.group_by(_source=(rows[ROW] >> SOURCE_SHIFT).cast("int64")).agg(n=rows.count())
    return {int(row["_source"]): int(row["n"]) for row in counted.to_pyarrow().to_pylist()}


def _any_coarse(rows: Table, resolution: Resolution) -> bool:
    names = rows.select(SOURCE).distinct().to_pyarrow()[SOURCE].to_pylist()
    return any(name in resolution.coarse for name in names)


def _shares(rows: Table, alive: Table) -> dict[int, tuple[int, int]]:
    """File -> its rows that stand in another file too, and all its rows."""
    again = rows.filter(rows["_first"] < rows["_last"])
    counts = again.group_by("_file").agg(n=again.count()).to_pyarrow().to_pylist()
    whole = alive.group_by(_file=alive[ROW] >> FILE_SHIFT).agg(n=alive.count())
    sizes = {int(row["_file"]): int(row["n"]) for row in whole.to_pyarrow().to_pylist()}
    return {int(row["_file"]): (int(row["n"]), sizes[int(row["_file"])]) for row in counts}


def _question(
    source: RawTable, file: int, share: tuple[int, int], rows: Table, alive: Table, number: int
) -> Question:
    everything = alive.filter((alive[ROW] >> SOURCE_SHIFT) == number)
    older = everything.semi_join(rows.filter(rows["_file"] < rows["_last"]), ROW)
    total, back = (
        sums_of(one, all=one[VALUE].notnull())["all"][1] for one in (everything, older)
    )  # fmt: skip
    name = source.files[file & ((1 << (SOURCE_SHIFT - FILE_SHIFT)) - 1)]
    return Question(
        key=setting_path("sources", source.name, "overlapping_files"),
        sentence=f"{share[0]:,} of {share[1]:,} rows of {name} stand in another file of the source "
        "too, with the same customer, item, action, time and value; are the files exports of the "
        "same events?",
        choices=[
            Choice("latest", f"yes, the last file counts: {net_money(total - back)}"),
            Choice("keep", f"no, further events: {net_money(total)}"),
        ],
    )
