"""Words for actions that give money back."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

REFUND_ACTIONS: Final = (
    "refund", "refunded", "refunds", "return", "returned", "returns", "order refunded",
    "order returned", "item returned", "product returned", "purchase refunded",
    "payment refunded", "charge refunded", "chargeback", "charge back", "credit note",
    "reimbursement", "退款", "已退款", "退货", "已退货", "退單", "退款成功", "返金", "返品", "환불",
    "remboursement", "remboursé", "remboursée", "erstattung", "erstattet", "rückerstattung",
    "rückgabe", "rücksendung", "retoure", "gutschrift", "reembolso", "devolución", "devolução",
    "rimborso", "reso", "terugbetaling", "retour", "zwrot", "återbetalning",
)  # fmt: skip
"""Actions that are refunds unless the settings name others; their spelling does not matter."""
NO_REFUNDS: Final = 'refunded = "" means that no column holds refunded amounts'
"""What messages say of the setting that switches refunded amounts off."""
_STEMS: Final = (
    "refund", "return", "chargeback", "reimburs", "rembours", "erstatt", "rückerstatt", "rückzahl",
    "rückgabe", "rücksend", "retour", "gutschrift", "reembols", "devoluc", "devoluç", "devolv",
    "rimbors", "terugbetal", "zwrot", "återbetal",
)  # fmt: skip
_PARTS: Final = ("退款", "退货", "退貨", "退单", "返金", "返品", "환불")
_NO_WORD: Final = re.compile(r"[\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def action_key(word: str) -> str:
    """What all spellings of an action have in common: case, blanks and joints do not count.

    >>> action_key("Order Refunded") == action_key("order_refunded") == action_key("OrderRefunded")
    True
    """
    text = unicodedata.normalize("NFKC", word)
    return _NO_WORD.sub(" ", _CAMEL.sub(" ", text)).casefold().strip()


def sounds_like_refund(action: str) -> bool:
    """Whether an action's name speaks of money or goods that go back.

    >>> [sounds_like_refund(word) for word in ("partial_refund", "用户退款", "pay")]
    [True, True, False]
    """
    words = action_key(action).split()
    return any(word.startswith(_STEMS) for word in words) or any(part in action for part in _PARTS)
