"""What the words of a log say that was done: paid, gave money back, looked at something."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.languages import ACTIONS, words

_LOOKING: Final = words(ACTIONS, "viewing") | vocabulary.LIKING
_ON_THE_WAY: Final = vocabulary.NOT_PAYING - vocabulary.VOID
_MONEY_BACK: Final = (
    frozenset(["money", "back"]), frozenset(["charge", "back"]), frozenset(["credit", "note"]),
    frozenset(["credit", "memo"]), frozenset(["paid", "back"]), frozenset(["geri", "odeme"]),
)  # fmt: skip
_NO_ACTION: Final = (
    vocabulary.ID | vocabulary.STATUS
    | frozenset(
        "method source medium channel campaign title name description category label page url "
        "path screen comment note reason segment group plan tier level state medium referrer "
        "zahlungsart zahlungsmethode 方式 渠道 来源".split()
    )
)  # fmt: skip
"""Words of names of columns that describe an action and are none."""
_MOST_WORDS: Final = 30
_CLEAR: Final = 0.5
"""Share of a column's cells that must be known words of actions."""


def gives_back(word: str) -> bool:
    """Whether an action gives money back.

    >>> [gives_back(word) for word in ("MONEY BACK", "Zwrot", "Возврат", "zarf", "pay")]
    [True, True, True, False, False]
    """
    own = names.words_of(word)
    return names.mentions(word, vocabulary.REFUNDING) or any(one <= own for one in _MONEY_BACK)


def pays(word: str) -> bool:
    """Whether an action brings money.

    >>> [pays(word) for word in ("Order Completed", "Zakup", "購入", "order cancelled", "refund")]
    [True, True, True, False, False]
    >>> [pays(word) for word in ("Checkout Started", "add_payment_info", "Order Shipped")]
    [False, False, False]
    """
    return (
        names.mentions(word, vocabulary.PAYING)
        and not gives_back(word)
        and not names.mentions(word, vocabulary.VOID | vocabulary.NOT_PAYING)
    )


def is_clear(word: str) -> bool:
    """Whether an action's word says what it does to money: it pays, gives back, or does nothing.

    >>> [is_clear(word) for word in ("Kauf", "product_viewed", "zarf", "B2")]
    [True, True, False, False]
    """
    return pays(word) or gives_back(word) or names.mentions(word, _LOOKING | _ON_THE_WAY)


def holds_actions(name: str, column: ColumnProfile) -> bool:
    """Whether the words of a column are actions, whatever the column is called.

    `name` is its name without the path.
    """
    if column.kind != "category" or not 2 <= column.n_distinct <= _MOST_WORDS:
        return False
    if names.mentions(name, _NO_ACTION):
        return False
    money = any(pays(word) or gives_back(word) for word, _ in column.common)
    clear = sum(count for word, count in column.common if is_clear(word))
    return money and clear >= _CLEAR * column.n_filled
