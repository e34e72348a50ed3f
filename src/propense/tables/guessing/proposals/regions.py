"""Where files come from, by the script they are written in: the time zone and the currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from propense.tables.guessing.groups import Group


@dataclass(frozen=True)
class Region:
    """A language that is written in one country mostly."""

    language: str
    time_zone: str
    currency: str


JAPANESE: Final = Region("Japanese", "Asia/Tokyo", "JPY")
KOREAN: Final = Region("Korean", "Asia/Seoul", "KRW")
CHINESE: Final = Region("Chinese", "Asia/Shanghai", "CNY")
_JAPANESE_WORDS: Final = (
    *("日時", "日付", "返金", "返品", "会員", "顧客", "注文", "売上", "単価", "価格", "購入"),
    "円",
    "令和",
    "平成",
    *("払戻", "決済", "閲覧", "氏名", "備考", "税込", "都道府県", "登録"),
)
"""Words in characters that Chinese does not write so today."""
_SHARE: Final = 0.1
"""Share of Japanese words with kana or of those words; a Chinese file may hold a few."""


def region_of(groups: Sequence[Group]) -> Region | None:
    """The region of the column names and of the frequent cells, or None if they do not show it."""
    return region_of_words(
        text for group in groups for own, column in group.columns.items()
        for text in (own, *(word for word, _ in column.common[:20]))
    )  # fmt: skip


def region_of_words(texts: Iterable[str]) -> Region | None:
    """The region of some texts.

    >>> [one and one.currency for one in map(region_of_words, (["カナ"], ["고객"], ["名"], []))]
    ['JPY', 'KRW', 'CNY', None]
    """
    counts = Counter(language for text in texts if (language := _language(text)) is not None)
    if not counts:
        return None
    if counts[KOREAN] >= max(counts[JAPANESE], counts[CHINESE]):
        return KOREAN
    east = counts[JAPANESE] + counts[CHINESE]
    return JAPANESE if counts[JAPANESE] >= _SHARE * east else CHINESE


def _language(text: str) -> Region | None:
    letters = [ord(letter) for letter in text]
    if any(0xAC00 <= letter <= 0xD7A3 or 0x3131 <= letter <= 0x318E for letter in letters):
        return KOREAN
    kana = any(
        0x3041 <= letter <= 0x3096 or 0x30A1 <= letter <= 0x30FA or 0xFF66 <= letter <= 0xFF9D
        for letter in letters
    )
    if kana or any(word in text for word in _JAPANESE_WORDS):
        return JAPANESE
    return CHINESE if any(0x33FF < letter < 0xA000 for letter in letters) else None
