"""Columns that mark some rows as unpaid, given back or tests, beside a status or without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from propense.settings import action_key, sounds_like_refund
from propense.tables.cells.order_words import NOT_YES, YES, order_state, state_in
from propense.tables.cells.refund_columns import may_name_refunds
from propense.tables.questions import Choice, Question

Where = dict[str, list[str]]
"""Column -> the cells of the rows to read."""
_TESTS: Final = frozenset("test testing sandbox demo dummy fake spam fraud fraudulent".split())
_TRACES: Final = frozenset(
    "at on date time datum reason grund id no code note comment by motif motivo fecha data am "
    "raison datetime timestamp".split()
)
"""Words of columns that are filled where something happened, and empty where it did not."""
_TRACE_PARTS: Final = ("时间", "日期", "原因", "理由", "日時", "编号", "单号", "번호", "사유")
_FEW: Final = 0.5
"""Largest share of rows on which such a column is filled."""


def unpaid_flags(cells: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Column -> its cells on rows whose money counts, of columns that mark some other rows.

    `cells` are those of some rows. A flag holds yes and no, such as `is_test`; a column such as
    `return_date` or `cancelled_at` is filled on a part of the rows.

    >>> unpaid_flags({"is_test": ["0", "1"], "is_gift": ["0", "1"], "return_date": ["", "", "x"]})
    {'is_test': ['0'], 'return_date': ['']}
    """
    flags = {}
    amounts = any(may_name_refunds(column) for column in cells)
    for column, own in cells.items():
        words = {word.strip() for word in own}
        if _is_flag(column, words):
            flags[column] = sorted(word for word in words if not _is_unpaid(column, word))
        elif _is_trace(column, own) and not (amounts and _of_refunds(column)):
            flags[column] = [""]
    return flags


def _is_flag(column: str, words: set[str]) -> bool:
    folded = {word.casefold() for word in words}
    if len(folded) < 2 or not folded <= YES | NOT_YES:
        return False
    marked = {word for word in words if _is_unpaid(column, word)}
    return bool(marked) and marked != words


def _is_unpaid(column: str, word: str) -> bool:
    if _TESTS & set(action_key(column).split()):
        return word.casefold() in YES
    return bool(word) and state_in(column, word) in ("void", "returned")


def _is_trace(column: str, cells: Sequence[str]) -> bool:
    filled = sum(bool(cell.strip()) for cell in cells)
    if not 0 < filled <= _FEW * len(cells):
        return False
    names = action_key(column).split()
    marked = _TRACES & set(names) or any(part in column for part in _TRACE_PARTS)
    if not marked or "returning" in names:
        return False
    return sounds_like_refund(column) or order_state(names[0]) == "void"


def _of_refunds(column: str) -> bool:
    """Whether a column speaks of money that went back, of which a part may have stayed."""
    words = action_key(column).split()
    return sounds_like_refund(column) and not any(word.startswith("return") for word in words)


def _in_doubt(column: str, cells: Sequence[str]) -> bool:
    """Whether a column that is filled on some rows does not say that their money is lost."""
    if list(cells) != [""]:
        return False
    return _of_refunds(column) or bool({"id", "no", "code"} & set(action_key(column).split()))


def flags_question(
    key: str, flags: Mapping[str, Sequence[str]], status: Question | None,
    net: Callable[[Where], tuple[int, float]],
) -> Question | None:  # fmt: skip
    """The question of a status, with choices that read only rows without flags; or one of flags.

    `net` gives the rows and their money of a choice. Rows with an id or a time of a refund stay in
    the first choice, as its amount is not known. None where there is nothing to ask.
    """
    likely = {
        column: list(own) for column, own in flags.items() if not _in_doubt(column, own)
    }  # fmt: skip
    everything = {column: list(own) for column, own in flags.items()}
    n_rows = net({})[0]

    def choice(where: Where, effect: str) -> Choice:
        n, amount = net(where)
        without = f", without {n_rows - n:,} rows" if n < n_rows else ""
        return Choice(where, f"{effect}: net money {amount:,.2f}{without}")

    if not flags:
        return status
    if status is not None:
        first = {**status.choices[0].value, **likely}
        if not likely:
            return status
        extended = choice(first, "paid alone, and none that other columns mark")
        named = ", ".join(map(repr, likely))
        return msgspec.structs.replace(
            status, choices=[extended, *status.choices],
            sentence=f"{status.sentence}; and {named} mark rows too",
        )  # fmt: skip
    wheres = [likely] if likely else []
    wheres += [{column: list(own)} for column, own in flags.items()] if len(flags) > 1 else []
    wheres += [everything] if everything not in wheres else []
    choices = [
        choice(where, f"without what {' and '.join(map(repr, where))} marks") for where in wheres
    ]
    choices.insert(len(choices) if likely else 0, choice({}, "every row"))
    return Question(
        key=key,
        sentence=f"some rows are marked by {', '.join(map(repr, flags))}; were they paid, and does "
        "their money count?",
        choices=choices,
    )
