"""Questions about money that the data leaves open: refunds, void orders, totals that repeat."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import ibis
import msgspec
from ibis.expr.types import BooleanValue, Table

from propense.columns import ACTION, MICRO_UNITS, ORDER_ID, VALUE
from propense.settings import (
    REFUND_ACTIONS,
    Refunded,
    Settings,
    Source,
    sounds_like_refund,
)
from propense.settings.paths import setting_names, setting_path
from propense.tables.cells.order_words import MANY_WORDS, status_columns, status_question
from propense.tables.cells.refund_columns import RefundNumbers, may_name_refunds
from propense.tables.cells.spelling import trimmed
from propense.tables.cells.unpaid_flags import flags_question, unpaid_flags
from propense.tables.cleaning.conventions import money_conventions
from propense.tables.cleaning.money import add_numbers_of, refunded_of
from propense.tables.cleaning.order_refunds import refund_events
from propense.tables.cleaning.orders import (
    ORDER_KEY,
    carried_down,
    fits,
    reads_totals,
    repeats_totals,
    total_of_lines,
)
from propense.tables.cleaning.questions.credit_notes import ask_about_credit_notes
from propense.tables.cleaning.questions.net_money import net_money, sums_of
from propense.tables.cleaning.questions.order_states import ask_about_states
from propense.tables.cleaning.questions.total_questions import ask_about_totals
from propense.tables.cleaning.typed_events import SOURCE_SHIFT, TypedEvents
from propense.tables.engine.engine import ROW
from propense.tables.questions import Choice, Question
from propense.tables.sources.reading import RawTable, RawTables

_MATERIAL: Final = 0.01
"""A share of rows or of money from which a doubt is a question."""
_SAMPLE: Final = 5000


def ask_about_money(events: TypedEvents, raw: RawTables, settings: Settings) -> list[Question]:
    """What the settings leave open about money, with the net sum that each answer gives."""
    if not events.has_money:
        return []
    rows = events.rows
    rows = rows.filter(
        ~rows["_broken"] & ~rows["_left_out"] & ~rows["_sums_up"] & ~rows["_other_currency"]
    )
    questions = _negative_values(rows, settings)
    questions += _refund_words(rows, settings)
    for number, (name, source) in enumerate(raw.sources.items()):
        own = rows.filter((rows[ROW] >> SOURCE_SHIFT) == number)
        if not isinstance(source.settings, Source):
            continue
        if source.settings.total_rows is None:
            questions += ask_about_totals(name, own)
        if source.settings.value_is == "auto" and reads_totals(source):
            questions += _totals(name, own)
        if not source.live:
            void = _void_orders(name, source, own, number)
            if not void and source.settings.where is None:
                void = ask_about_states(name, source, own, number, _free_columns(source))
            questions += void
            credit = ask_about_credit_notes(name, source, own, number, _free_columns(source))
            questions += credit or _refunded_amounts(source, own, number, settings)
    return questions


def with_guesses(
    raw: RawTables, settings: Settings, questions: list[Question]
) -> tuple[RawTables, Settings]:
    """The settings, and the sources, with the first answer to every question."""
    sources = {name: source.settings for name, source in raw.sources.items()}
    clean = settings.clean
    for question in questions:
        path = setting_names(question.key)
        answer = question.choices[0].value
        if question.key == "clean.negative_values":
            clean = msgspec.structs.replace(clean, negative_values=answer)
        elif question.key == "clean.refund_actions":
            # Later stages read the settings, so the words become one that they name.
            extra = {word: clean.refund_action for word in answer if not clean.is_refund(word)}
            for name, source in sources.items():
                if isinstance(source, Source):
                    actions = {**source.actions, **extra}
                    sources[name] = msgspec.structs.replace(source, actions=actions)
        else:
            name, key = path[1:]
            if key == "where":
                answer = {column: tuple(cells) for column, cells in answer.items()}
            elif key == "total_rows":
                answer = tuple(answer)
            elif key == "refunded" and isinstance(answer, dict):
                answer = msgspec.convert(answer, Refunded)
            sources[name] = msgspec.structs.replace(sources[name], **{key: answer})
    tables = {name: replace(source, settings=sources[name]) for name, source in raw.sources.items()}
    return replace(raw, sources=tables), msgspec.structs.replace(settings, clean=clean)


def _negative_values(rows: Table, settings: Settings) -> list[Question]:
    clean = settings.clean
    if clean.negative_values != "auto" or clean.value_range is not None:
        return []
    negative = (~rows["_gives_back"] & ~rows["_returns"] & (rows[VALUE] < 0)).fill_null(False)
    counts = sums_of(rows, all=rows[VALUE].notnull(), negative=negative,
                   positive=(rows[VALUE] > 0).fill_null(False))  # fmt: skip
    (n, net), (n_negative, back) = counts["all"], counts["negative"]
    gross = counts["positive"][1]
    if not n_negative or (n_negative < _MATERIAL * n and -back < _MATERIAL * gross):
        return []
    return [
        Question(
            key="clean.negative_values",
            sentence=f"{n_negative:,} of {n:,} rows with money have a negative value and are no "
            f"refunds by their action ({', '.join(_words(rows.filter(negative)))}); do they give "
            "money back?",
            choices=[
                Choice("refund", f"they are refunds: {net_money(net)}"),
                Choice("drop", f"they are set aside: {net_money(net - back)}"),
                Choice("keep", f"they count under their own action: {net_money(net)}"),
            ],
        )
    ]


def _words(rows: Table) -> list[str]:
    counted = rows.group_by(ACTION).agg(n=ibis._.count())
    counted = counted.order_by([ibis.desc("n"), ACTION]).limit(5)
    return [repr(word) for word in counted.to_pyarrow()[ACTION].to_pylist()]


def _refund_words(rows: Table, settings: Settings) -> list[Question]:
    clean = settings.clean
    if clean.refund_actions != REFUND_ACTIONS:
        return []
    counted = rows.group_by(ACTION).agg(
        total=rows[VALUE].sum(), size=rows[VALUE].abs().sum(),
        back=(rows["_gives_back"] & ~rows["_returns"]).cast("int64").sum(),
    ).to_pyarrow().to_pylist()  # fmt: skip
    money = {row[ACTION]: row for row in counted if row[ACTION] is not None}
    similar = sorted(
        word for word, row in money.items()
        if row["size"] and not row["back"] and not clean.is_refund(word)
        and sounds_like_refund(word)
    )  # fmt: skip
    if not similar:
        return []
    present = [word for word in money if clean.is_refund(word) and word != clean.refund_action]
    plain = [clean.refund_action, *sorted(present)]
    net = sum(float(row["total"] or 0) for row in money.values()) / MICRO_UNITS
    both = sum(float(money[word]["total"] or 0) + float(money[word]["size"]) for word in similar)
    return [
        Question(
            key="clean.refund_actions",
            sentence=f"do these actions, which carry money, give it back: "
            f"{', '.join(map(repr, similar))}?",
            choices=[
                Choice([*plain, *similar], f"yes: {net_money(net - both / MICRO_UNITS)}"),
                Choice(plain, f"no: {net_money(net)}"),
            ],
        )
    ]


def _totals(name: str, rows: Table) -> list[Question]:
    counts = total_of_lines(rows)
    if not repeats_totals(counts):
        return []
    by_order, by_line = net_money(counts["by_order"]), net_money(counts["by_line"])
    return [
        Question(
            key=setting_path("sources", name, "value_is"),
            sentence=f"value is the same on all rows of {counts['same']:,.0f} of "
            f"{counts['orders']:,.0f} orders with several rows; is it the money of the row, or the "
            "total of the order, repeated?",
            choices=[
                Choice("order", f"the order's, shared over its rows: {by_order}"),
                Choice("line", f"each row's own: {by_line}"),
            ],
        )
    ]


def _free_columns(source: RawTable) -> list[str]:
    """Text columns that are mapped to nothing."""
    mapped = set(source.columns.values())
    if isinstance(source.settings, Source):
        mapped |= set(source.settings.named_columns) - set(source.settings.carry_down)
    return [name for name in source.own if name not in mapped]


def _void_orders(name: str, source: RawTable, rows: Table, number: int) -> list[Question]:
    settings = source.settings
    assert isinstance(settings, Source)
    free = _free_columns(source)
    if settings.where is not None or not free:
        return []
    key = setting_path("sources", name, "where")
    sample = source.rows.select(*free).limit(_SAMPLE).to_pyarrow()
    words = {
        column: {"" if word is None else str(word).strip() for word in sample[column].to_pylist()}
        for column in free
    }
    status = None
    for column in status_columns(words):
        whole = source
        if ORDER_ID in source.columns:
            carried = msgspec.structs.replace(settings, carry_down=(column,))
            whole = carried_down(replace(source, settings=carried))
        cells = whole.rows.select(
            _word=trimmed(whole.rows[column]).fill_null(""),
            **{ROW: whole.rows[ROW] + (number << SOURCE_SHIFT)},
        )
        counted = cells.inner_join(rows.select(ROW, VALUE), ROW).group_by("_word").agg(
            n=ibis._.count(), total=ibis._[VALUE].sum()
        ).limit(MANY_WORDS + 1).to_pyarrow().to_pylist()  # fmt: skip
        if len(counted) > MANY_WORDS:
            continue
        sums = {
            row["_word"]: (int(row["n"]), float(row["total"] or 0) / MICRO_UNITS)
            for row in counted if row["_word"] or whole is source
        }  # fmt: skip
        status = status_question(key, column, sums)
        if status is not None:
            break
    cells_of = {
        column: ["" if cell is None else str(cell).strip() for cell in sample[column].to_pylist()]
        for column in free
    }
    flags = unpaid_flags(cells_of)
    if status is not None:  # the status says what dates beside it say
        asked = status.choices[0].value
        flags = {one: own for one, own in flags.items() if one not in asked and own != [""]}
    if settings.carry_down or ORDER_ID in source.columns:  # empty cells may follow from rows above
        flags = {one: own for one, own in flags.items() if own != [""]}
    question = flags_question(key, flags, status, partial(_net_where, source, rows, number))
    return [] if question is None else [question]


def _net_where(
    source: RawTable, rows: Table, number: int, where: dict[str, list[str]]
) -> tuple[int, float]:
    """Rows of a source with certain cells, and their money."""
    fitting: BooleanValue = ibis.literal(True)
    for name, cells in where.items():
        fitting = fitting & fits(source.rows[name], tuple(cells))
    marked = source.rows.select(_fits=fitting, **{ROW: source.rows[ROW] + (number << SOURCE_SHIFT)})
    joined = rows.inner_join(marked, ROW).view()
    return sums_of(joined, fits=joined["_fits"])["fits"]


def _refunded_amounts(
    source: RawTable, rows: Table, number: int, settings: Settings
) -> list[Question]:
    own = source.settings
    assert isinstance(own, Source)
    if own.refunded is not None:
        return []
    for column in _free_columns(source):
        if not may_name_refunds(column):
            continue
        answered = replace(source, settings=msgspec.structs.replace(own, refunded=column))
        refunds = _with_refunds(answered, rows, number, settings)
        numbers = _refund_numbers(refunds, own.value_unit)
        if numbers.reading == "none":
            continue
        net = sums_of(rows, all=rows[VALUE].notnull())["all"][1]
        back = _sum_of_refunds(refunds, settings)
        yes = Choice(column, f"yes, as an event of its own: {net_money(net - back)}")
        no = Choice("", f"no: {net_money(net)}")
        doubt = (
            f" ({numbers.above:,} are more than the money of their order)" if numbers.above
            else " (all are small whole numbers)" if numbers.reading == "doubtful" else ""
        )  # fmt: skip
        return [
            Question(
                key=setting_path("sources", source.name, "refunded"),
                sentence=f"column {column!r} has an amount in {numbers.n:,} rows{doubt}; was it "
                "given back?",
                choices=[yes, no] if numbers.reading == "money" else [no, yes],
            )
        ]
    return []


def _refund_numbers(rows: Table, unit: float) -> RefundNumbers:
    """The numbers of `_refund` beside the money of their orders."""
    rows = rows.mutate(
        _paid=rows[VALUE].abs().fill_null(0), _whole=rows[VALUE] % MICRO_UNITS == 0,
        _order=ibis.ifelse(rows[ORDER_KEY].isnull(), rows[ROW].cast("string"), rows[ORDER_KEY]),
    ).view()  # fmt: skip
    each = rows["_paid"].sum().over(group_by=[rows["_order"], rows[ORDER_KEY].isnull()])
    rows = rows.mutate(_most=each.cast("float64") / MICRO_UNITS).view()
    above_zero = (rows["_refund"] > 0).fill_null(False)
    counts = rows.aggregate(
        n=above_zero.cast("int64").sum(),
        above=(above_zero & (rows["_refund"] > rows["_most"] + 0.005)).cast("int64").sum(),
        largest=rows["_refund"].max(),
        kinds=above_zero.ifelse(rows["_refund"], ibis.null("float64")).nunique(),
        parts=(above_zero & (rows["_refund"] != rows["_refund"].round())).cast("int64").sum(),
        cents=(~rows["_whole"]).cast("int64").sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    return RefundNumbers(
        int(counts["n"] or 0), int(counts["above"] or 0), float(counts["largest"] or 0),
        not counts["parts"], int(counts["kinds"] or 0), not counts["cents"], unit,
    )  # fmt: skip


def _with_refunds(source: RawTable, rows: Table, number: int, settings: Settings) -> Table:
    """The typed rows of a source with what its column `refunded` holds as `_refund`.

    `rows` are those of the source, which is the one with that `number`.
    """
    source = carried_down(source)
    cells = add_numbers_of(source, source.rows, money_conventions(source, settings))
    cells = cells.select(
        _refund=refunded_of(source, cells), **{ROW: cells[ROW] + (number << SOURCE_SHIFT)}
    )
    return rows.drop("_refund").inner_join(cells, ROW).view()


def _sum_of_refunds(rows: Table, settings: Settings) -> float:
    """The sum of the refunds that cleaning makes of `_refund`."""
    refunds = refund_events(rows, settings.clean.refund_action, earliest=0, until=None)
    total = refunds.aggregate(total=refunds[VALUE].sum()).to_pyarrow()["total"][0].as_py()
    return -float(total or 0) / MICRO_UNITS
