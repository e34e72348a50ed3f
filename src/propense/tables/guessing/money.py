"""The columns of money and of counts: by their names, then by what the cells show."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from propense.settings import sounds_like_refund
from propense.tables.cells.numbers import CODES, NO_NUMBER
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.groups import Group
from propense.tables.guessing.role import NUMBERS
from propense.tables.sources.samples import own_name

_NO_MONEY: Final = (
    frozenset(
        "tax taxes vat shipping freight secs seconds minutes hours days tip "
        "balance rate percent percentage ratio currency id ids items count quantity qty "
        "orders fee fees refund refunded refunds duties points weight status type method "
        "date time at unit cumulative ltv lifetime outstanding brutto converted code "
        "运费 税 积分 退款 返金 払戻 환불 배송비 送料 "
        "доставка kargo versand livraison envío frete "
        "verzending przesyłka wysyłka steuer taxe impuesto imposta btw podatek ндс kdv".split()
    )
    | vocabulary.DISCOUNT
)
_MONEY_ORDER: Final = (
    frozenset("paid revenue spent 实付 实收".split()), frozenset("amount 金额 betrag".split()),
    frozenset("total 总价".split()),
)  # fmt: skip
_TOTAL: Final = frozenset(
    "total subtotal amount amt sum gesamt summe montant importe totale totaal kwota suma сумма "
    "итого 总价 总额 金额 金額 合計 小計 합계 금액".split()
)
"""Words of what is paid for a whole line or order, which no count multiplies."""
_OF_ONE: Final = frozenset(
    "unit each einzel single per piece list retail regular 单价 單價 単価 단가".split()
)
_WITH_TAX: Final = re.compile(
    r"(?<![^\W_])(inc|incl|including|ex|excl|excluding|with|without|before|after|net of|inkl|exkl)"
    r"[\s_.]*(of[\s_.]*)?(tax|taxes|vat|duties|shipping)(?![^\W_])", re.IGNORECASE,
)  # fmt: skip
_AMOUNT_CELL: Final = re.compile(
    r"^[^\w,]{0,4}[^\W\d_]{0,4}\.?\s?\d[\d.,' ]*\s?[^\W\d_]{0,9}\W{0,3}$"
)
_DECIMALS: Final = re.compile(r"\d[.,]\d{2}\b")
SEEN: Final = 0.3
"""Least share of cells like amounts in a column that is named like money."""
_MOST_PIECES: Final = 100


def money_column(group: Group, used: set[str]) -> str | None:
    """The column of amounts: what was paid rather than an amount, an amount rather than a total."""
    amounts = [
        own for own in _named_like_money(group, used)
        if group.column(own).kind in NUMBERS and not _is_pieces(group, own, used)
    ]  # fmt: skip

    def rank(own: str) -> tuple[bool, bool, int]:
        name = own_name(own)
        order = next((i for i, words in enumerate(_MONEY_ORDER) if names.mentions(name, words)), 3)
        return group.column(own).n_filled == 0, sounds_like_refund(name), order

    return min(amounts, key=rank) if amounts else None


def _named_like_money(group: Group, used: set[str]) -> list[str]:
    """Columns that are named like an amount, or like a price, and not like one of its parts."""
    named = []
    for own in group.columns:
        name = _WITH_TAX.sub(" ", own_name(own))
        money = names.mentions(name, vocabulary.MONEY)
        if own in used or not money or names.words_of(name) & _NO_MONEY:
            continue
        if not any(word in own for word in _NO_MONEY if ord(word[0]) > 0x303F):
            named.append(own)
    return named


def partly_money(group: Group, used: set[str]) -> list[str]:
    """Columns that are named like money, and hold amounts in some cells and words in others."""
    named = _named_like_money(group, used) + [
        own for own in group.columns
        if own not in used and names.mentions(own_name(own), vocabulary.PRICE)
        and not names.words_of(own_name(own)) & _NO_MONEY
    ]  # fmt: skip
    return [
        own for own in dict.fromkeys(named)
        if group.column(own).kind in ("category", "text")
        and _share(group.cells[own], _AMOUNT_CELL) >= SEEN
    ]  # fmt: skip


def looks_like_money(group: Group, own: str) -> bool:
    """Whether nearly every number of a column has two decimals, as amounts are written."""
    column = group.column(own)
    if column.low is None or column.high is None or column.high <= 1:
        return False
    if column.low > 0 and column.high < 1.2 * column.low:  # a place or a measure
        return False
    return column.kind == "number" and _share(group.cells[own], _DECIMALS) >= 0.9 and (
        _share(group.cells[own], re.compile(r"[.,]\d{3}\s*$")) == 0
    )  # fmt: skip


def words_of_amounts(group: Group, own: str) -> dict[str, int]:
    """Cells of a column that are no amounts, the commonest first -> their rows."""
    return {
        word: n for word, n in group.column(own).common
        if not _AMOUNT_CELL.match(word.strip()) and not is_no_number(word)
    }  # fmt: skip


def is_no_number(cell: str) -> bool:
    return cell.strip().lower() in NO_NUMBER


def _share(cells: Sequence[str | None], pattern: re.Pattern[str]) -> float:
    filled = [cell.strip() for cell in cells if cell is not None and not is_no_number(cell)]
    return sum(pattern.search(cell) is not None for cell in filled) / max(1, len(filled))


def price_column(group: Group, used: set[str]) -> str | None:
    """The column of prices of one piece; none that is named a total."""
    prices = [
        own for own, column in group.columns.items()
        if own not in used and column.kind in NUMBERS
        and names.mentions(_field(group, own), vocabulary.PRICE)
        and not names.mentions(_field(group, own), _TOTAL)
        and not names.words_of(_field(group, own)) & (_NO_MONEY - {"unit"})
    ]  # fmt: skip
    return min(prices, key=lambda own: not group.is_product_field(own), default=None)


def _field(group: Group, own: str) -> str:
    """The name of a column; of one inside a list only the element's field."""
    return own.rpartition(".")[2] if group.is_list_field(own) else own_name(own)


def count_column(group: Group, used: set[str]) -> str | None:
    counts = [
        own for own, column in group.columns.items()
        if own not in used and column.kind in NUMBERS
        and names.mentions(own_name(own), vocabulary.COUNT)
        and not names.mentions(own_name(own), vocabulary.PRICE | vocabulary.MONEY)
        and not names.words_of(own_name(own)) & {"discount", "cancelled"}
        and not sounds_like_refund(own_name(own))
    ]  # fmt: skip
    counts += [own for own in _named_like_money(group, used) if _is_pieces(group, own, used)]
    return next(iter(counts), None)


def _is_pieces(group: Group, own: str, used: set[str]) -> bool:
    """Whether an "amount" counts pieces: few small whole numbers, beside a column of prices."""
    column = group.column(own)
    if not names.is_word(own_name(own), frozenset(["amount", "amt"])) or column.kind != "integer":
        return False
    low, high = column.low or 0, column.high or 0
    price = price_column(group, used | {own})
    if price is None or low < 0 or high > _MOST_PIECES or column.n_distinct > 20:
        return False
    return (group.column(price).high or 0) > high and group.column(price).n_distinct > 20


def debit_columns(group: Group, used: set[str]) -> tuple[str, str] | None:
    """A column of debits and one of credits, of which each row fills one."""
    pair: list[str] = []
    for words in (_DEBIT, _CREDIT):
        pair += [
            own for own, column in group.columns.items()
            if own not in used and column.kind in NUMBERS
            and names.mentions(own_name(own), words)
            and not names.words_of(own_name(own)) & (_NO_MONEY | _OF_CARDS)
        ][:1]  # fmt: skip
    if len(pair) < 2:
        return None
    one, other = (read_amounts(group.cells[own]) for own in pair)
    both = sum(bool(here and there) for here, there in zip(one, other, strict=True))
    return (pair[0], pair[1]) if both <= 0.02 * len(one) else None


_OF_CARDS: Final = frozenset("card cards limit account score note memo no number type".split())
_DEBIT: Final = frozenset("debit debits debet soll débit debe charges charged".split())
_CREDIT: Final = frozenset("credit credits haben crédit haber".split())


def is_multiplied(group: Group, own: str, columns: Mapping[str, str]) -> bool:
    """Whether an amount stays the same for an item in whatever count it was sold.

    `columns` has the own names of `count` and `item_id`; False where one is missing.
    """
    if not {"count", "item_id"} <= set(columns) or group.is_list_field(own):
        return False
    cells = group.cells
    amounts_of: dict[str, dict[float, set[float]]] = defaultdict(lambda: defaultdict(set))
    counts = read_amounts(cells[columns["count"]])
    for amount, count, item in zip(
        read_amounts(cells[own]), counts, cells[columns["item_id"]], strict=True
    ):
        if item is not None and amount > 0 and count > 0:
            amounts_of[item][count].add(amount)
    several = [counts for counts in amounts_of.values() if len(counts) > 1]
    same = sum(len(set().union(*counts.values())) == 1 for counts in several)
    return len(several) >= _VOTERS and same >= 0.9 * len(several)


_VOTERS: Final = 5
Multiplies = Literal["yes", "no", "unclear"]


def count_multiplies(
    prices: Sequence[float], counts: Sequence[float], items: Sequence[str | None]
) -> Multiplies:
    """Whether `prices` are of one piece, so that a count multiplies them, or of a whole line.

    Of an item that was sold in several counts, the price of one piece stays about the same.
    All have one entry a row.
    """
    rows_of: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for price, count, item in zip(prices, counts, items, strict=True):
        if item is not None and price > 0 and count > 0:
            rows_of[item].append((price, count))
    votes = {"yes": 0, "no": 0}
    for rows in rows_of.values():
        if len({count for _, count in rows}) < 2:
            continue
        alone = _spread([price for price, _ in rows])
        each = _spread([price / count for price, count in rows])
        if alone < 0.5 * each:
            votes["yes"] += 1
        elif each < 0.5 * alone:
            votes["no"] += 1
    total = sum(votes.values())
    if votes["yes"] > 0.8 * total:
        return "yes"
    return "no" if votes["no"] > 0.8 * total else "unclear"


def _spread(numbers: Sequence[float]) -> float:
    """Standard deviation over the mean."""
    mean = sum(numbers) / len(numbers)
    return float((sum((one - mean) ** 2 for one in numbers) / len(numbers)) ** 0.5 / mean)


def is_clear_price(name: str) -> bool:
    """Whether a name says that it is the price of one piece.

    >>> [is_clear_price(name) for name in ("Price", "unit_price", "a.$price", "price_eur")]
    [True, True, True, True]
    >>> is_clear_price("item-price"), is_clear_price("SALES_PRICE")
    (False, False)
    """
    leaf = name.rpartition(".")[2]
    parts = [part for part in names.parts_of(leaf) if part.upper() not in CODES]
    return names.mentions(leaf, _OF_ONE) or names.is_word("".join(parts), vocabulary.PRICE)


_NO_DIGIT: Final = re.compile(r"[^0-9.,]")


def read_amounts(cells: Sequence[str | None]) -> list[float]:
    """A column's amounts for the sums that a question shows, 0 where a cell has none.

    A cell such as "1.250" is read by the decimal sign of the column's other cells.

    >>> read_amounts(["1.250", "3,50 €", None, "7,00-"]), read_amounts(["1,250", "(3.50)"])
    ([1250.0, 3.5, 0.0, -7.0], [1250.0, -3.5])
    """
    digits = [_NO_DIGIT.sub("", cell or "").strip(".,") for cell in cells]
    commas = sum(re.search(r",\d{1,2}$", one) is not None or "," in one.partition(".")[2]
                 for one in digits)  # fmt: skip
    points = sum(re.search(r"\.\d{1,2}$", one) is not None or "." in one.partition(",")[2]
                 for one in digits)  # fmt: skip
    thousands, decimal = (".", ",") if commas > points else (",", ".")
    numbers = []
    for cell, one in zip(cells, digits, strict=True):
        plain = one.replace(thousands, "")
        if plain.count(decimal) > 1:
            plain = plain.replace(decimal, "")
        size = float(plain.replace(",", ".")) if plain else 0.0
        sign = (cell or "").strip().replace("\u2212", "-")
        below = "-" in (sign[:3] + sign[-1:]) or sign[:1] == "("
        numbers.append(-size if below and size else size)
    return numbers
