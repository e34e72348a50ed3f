"""Lines of orders that stand once for each state the order went through: which one counts?"""

from __future__ import annotations

from typing import Final

from ibis.expr.types import Table

from propense.columns import COUNT, ITEM_ID, MICRO_UNITS, USER_ID, VALUE
from propense.settings.paths import setting_path
from propense.tables.cells.order_words import MANY_WORDS, is_named_status
from propense.tables.cells.spelling import trimmed
from propense.tables.cleaning.orders import ORDER_KEY
from propense.tables.cleaning.questions.net_money import net_money
from propense.tables.cleaning.typed_events import SOURCE_SHIFT
from propense.tables.engine.engine import ROW
from propense.tables.questions import Choice, Question
from propense.tables.sources.reading import RawTable

_FEW: Final = 10
"""Fewer lines that repeat are chance."""
_MANY: Final = 0.2
"""A share of lines with a state, from which those that repeat are a log of states."""
_OFFERED: Final = 4
"""States that are choices."""


def ask_about_states(
    name: str, source: RawTable, rows: Table, number: int, free: list[str]
) -> list[Question]:
    """Whether lines that differ only in a free column named like a state are one line's states.

    `rows` are the typed rows of the source, which is the one with that `number`.
    """
    for column in free:
        if not is_named_status(column) or not source.rows[column].type().is_string():
            continue
        states = source.rows.select(
            _state=trimmed(source.rows[column]).fill_null(""),
            **{ROW: source.rows[ROW] + (number << SOURCE_SHIFT)},
        )
        lines = rows.filter(rows[ORDER_KEY].notnull()).inner_join(states, ROW).view()
        key = [lines[word] for word in (ORDER_KEY, USER_ID, ITEM_ID, VALUE, COUNT)]
        lines = lines.mutate(_states=lines["_state"].nunique().over(group_by=key)).view()
        counted = lines.group_by("_state").agg(
            n=lines.count(), total=lines[VALUE].sum(),
            several=(lines["_states"] > 1).cast("int64").sum(),
        ).limit(MANY_WORDS + 1).to_pyarrow().to_pylist()  # fmt: skip
        several = sum(int(row["several"] or 0) for row in counted)
        if len(counted) <= MANY_WORDS and several >= max(
            _FEW, _MANY * sum(r["n"] for r in counted)
        ):
            words = {
                row["_state"]: (int(row["n"]), float(row["total"] or 0) / MICRO_UNITS)
                for row in counted
            }
            return [_question(name, column, words, several)]
    return []


def _question(
    name: str, column: str, words: dict[str, tuple[int, float]], several: int
) -> Question:  # fmt: skip
    by_rows = sorted(words, key=lambda word: (-words[word][0], word))
    everything = sum(amount for _, amount in words.values())
    return Question(
        key=setting_path("sources", name, "where"),
        sentence=f"{several:,} lines of orders stand again with another {column!r} and are equal "
        "in customer, item and money; is each a state of one order, which counts once?",
        choices=[
            *(
                Choice({column: [word]}, f"lines that are {word!r}: {net_money(words[word][1])}")
                for word in by_rows[:_OFFERED]
            ),
            Choice({}, f"no, every row is money: {net_money(everything)}"),
        ],
    )
