"""Which columns may hold the money that was given back, by their names and by their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from propense.settings import action_key, sounds_like_refund

RefundReading = Literal["money", "doubtful", "none"]

_OTHERWISE: Final = frozenset(
    "id ids uid uuid guid no nr nbr num number numbers ref refs reference code codes reason "
    "reasons type kind status state flag is has was eligible eligibility allowed allow possible "
    "accepted at on by to from until after before deadline date dates datum time times timestamp "
    "ts datetime day days week weeks month months hour hours year years window period policy terms "
    "percent percentage pct rate rates ratio share quota count counts cnt qty quantity quantities "
    "units unit pieces pcs items lines rows orders n times method channel label labels tracking "
    "url link note notes comment comments address warehouse center centre store country city zip "
    "carrier converted converting returning fee fees cost costs shipping postage tax vat currency "
    "customer user visitor visits session sessions risk score probability prob likelihood "
    "prediction predicted expected index rank version file name "
    "nummer grund zeit zeitpunkt tag tage frist anzahl menge stück stueck prozent quote anteil art "
    "kennzeichen numero numéro número código codigo motif motivo raison razón date fecha data hora "
    "heure jour jours días dias giorni dagen taux tasa tasso cantidad quantité quantite quantità "
    "quantidade aantal reden delai délai plazo".split()
)
"""Words beside which a word for refunds is no amount."""
_PARTS: Final = (
    "单号", "編號", "编号", "号码", "原因", "理由", "时间", "時間", "日期", "日時", "天数", "日数",
    "期限", "率", "比例", "次数", "件数", "数量", "個数", "个数", "状态", "狀態", "类型", "番号",
    "번호", "사유", "날짜", "시간", "수량", "비율",
)  # fmt: skip
_ENDS: Final = (
    "nummer", "nr", "datum", "grund", "frist", "quote", "anzahl", "menge", "tage", "zeit", "art",
)  # fmt: skip
"""Ends of glued German words."""
_SMALL: Final = 20
"""Whole numbers up to here, beside amounts with cents, look like pieces or days."""


def may_name_refunds(column: str) -> bool:
    """Whether a column's name may be that of money given back, and of nothing else about returns.

    >>> [name for name in ("Refunded Amount", "amountRefunded", "退款金额", "items.refund_value")
    ...  if may_name_refunds(name)]
    ['Refunded Amount', 'amountRefunded', '退款金额', 'items.refund_value']
    >>> [name for name in ("refunded_at", "RefundID", "quantityReturned", "returns_count",
    ...                    "return_window_days", "refund_percent", "Returning customer", "退款单号",
    ...                    "Rücksendegrund", "is_returned", "Refund %") if may_name_refunds(name)]
    []
    """
    return sounds_like_refund(column) and not names_no_amount(column)


def names_no_amount(column: str) -> bool:
    """Whether a name about returns is that of an id, a time, a reason, a share or a number of
    pieces; of a path into JSON, its last step."""
    own = column.strip(". ").rpartition(".")[2] or column
    words = action_key(own).split()
    if _OTHERWISE.intersection(words) or "%" in own or any(part in own for part in _PARTS):
        return True
    return any(word.endswith(_ENDS) for word in words if sounds_like_refund(word))


@dataclass(frozen=True)
class RefundNumbers:
    """What the numbers of a column show beside the money of its rows."""

    n: int
    """Rows with more than nothing."""
    above: int
    """Of these, rows with more than the money of their order."""
    largest: float
    whole: bool
    """Every number is whole."""
    kinds: int
    """Distinct numbers."""
    whole_money: bool = True
    """The amounts of the rows are whole numbers too."""
    unit: float = 1.0
    """What one of the numbers as they are written is worth."""

    @property
    def reading(self) -> RefundReading:
        """Money where nearly all are within what their order paid; none for times and flags.

        >>> RefundNumbers(15, 0, 37.5, False, 12).reading
        'money'
        >>> RefundNumbers(15, 15, 9023, True, 15).reading
        'doubtful'
        >>> RefundNumbers(15, 15, 1705500468, True, 15).reading
        'none'
        >>> RefundNumbers(15, 0, 3, True, 4, whole_money=False).reading
        'doubtful'
        """
        written = self.largest / self.unit
        flags = self.kinds <= 2 and written <= 1
        times = self.whole and self.above > 0.9 * self.n and written >= 1e9
        if not self.n or flags or times:
            return "none"
        pieces = self.whole and written <= _SMALL and not self.whole_money
        return "doubtful" if pieces or self.above > 0.05 * self.n else "money"
