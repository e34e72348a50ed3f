"""What the settings say of money and ids in messages, and what was left out of kept messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal

import msgspec

from propense.ids import MISSING_WORDS, PLACEHOLDER_IDS, is_word, tidy_id
from propense.ingest.segment import text_id
from propense.schemas import ID_LENGTH

IgnoredReason = Literal[
    "placeholder_id", "other_currency", "unreadable_item", "unreadable_value", "unreadable_count",
    "page_consent", "unknown_category",
]  # fmt: skip
IGNORED_REASONS: Final[tuple[IgnoredReason, ...]] = (
    "placeholder_id", "other_currency", "unreadable_item", "unreadable_value", "unreadable_count",
    "page_consent", "unknown_category",
)  # fmt: skip
"""Why a part of a message was left out while the rest was kept. "page_consent": a page's key
granted something, which only a server's may; "unknown_category": a refused category that no
setting maps, which counts as a refusal of everything."""
_LONGEST_CODE: Final = 16
"""Characters of a currency's code, with blanks around it."""
_LONGEST_ID: Final = 4 * ID_LENGTH
"""Characters of an id with what is invisible in it: a longer text is no id, and is not tidied."""
Ignored = list[IgnoredReason]
"""One entry for each part that was left out."""


def _never(action: str) -> bool:
    return False


class IngestRules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that messages are read by, beside [serve.events]."""

    currency: str = ""
    """Code of the money that is stored; "" takes every currency for it."""
    exchange_rates: Mapping[str, float] = {}
    """Code of another currency -> units of `currency` that one unit of it is worth."""
    is_refund: Callable[[str], bool] = _never
    """Whether an action's values count as negative."""
    placeholder_ids: Collection[str] = PLACEHOLDER_IDS
    """Words that are no customer's id, in lower case."""
    consent_categories: Mapping[str, tuple[str, ...]] = {}
    """[serve.consent_categories]."""

    def rate(self, currency: Any) -> float | None:
        """What a unit of a message's currency is worth; None where nobody said.

        >>> IngestRules(currency="EUR", exchange_rates={"USD": 0.92}).rate(" usd")
        0.92
        """
        if currency is None or currency == "" or not self.currency:
            return 1.0
        if type(currency) is not str or len(currency) > _LONGEST_CODE:
            return None
        code = currency.strip().upper()
        if code == self.currency.strip().upper():
            return 1.0
        return next(
            (rate for name, rate in self.exchange_rates.items() if name.strip().upper() == code),
            None,
        )

    def customer_id(self, value: Any, pointer: str, ignored: Ignored) -> str | None:
        """A customer's id without what nobody sees; None where there is none, or only a word that
        stands for none. Raises IngestError."""
        return _real_id(value, pointer, ignored, self.placeholder_ids)

    def item_id(self, value: Any, pointer: str, ignored: Ignored) -> str | None:
        """An item's id, likewise; items may be numbered 0."""
        return _real_id(value, pointer, ignored, MISSING_WORDS)


def _real_id(value: Any, pointer: str, ignored: Ignored, words: Collection[str]) -> str | None:
    if value is None or value == "":
        return None
    is_text = type(value) is str and len(value) <= _LONGEST_ID
    text = text_id(tidy_id(value) if is_text else value, pointer)
    if text is None or is_word(text, words):
        ignored.append("placeholder_id")
        return None
    return text
