"""Every text that users read in two languages: keyed, in en.json and zh.json.

A text has named slots, `{rival}`; both languages have the same keys and the same slots. The
files are plain JSON, so that a browser can read them too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

LANGUAGES: Final = ("en", "zh")
_FOLDER: Final = Path(__file__).parent


class Text(msgspec.Struct, frozen=True):
    """One text in both languages."""

    en: str
    zh: str


@cache
def texts(language: str) -> dict[str, str]:
    """Every key's text in one of LANGUAGES, its slots unfilled."""
    return msgspec.json.decode((_FOLDER / f"{language}.json").read_bytes(), type=dict[str, str])


def has_text(key: str) -> bool:
    """Whether the catalogue has the key."""
    return key in texts("en")


def format_text(key: str, **values: str | int | Text) -> Text:
    """Both texts of `key`, its slots filled. A Text fills each language with its own.

    Raises KeyError for an unknown key, or a slot without a value.

    >>> format_text("positives_of", name="pay")
    Text(en='Positives: pay', zh='正例：pay')
    >>> format_text("curve.quality_of_goal", goal=Text("churn", "流失")).zh
    '流失 的技能分'
    """
    en, zh = texts("en")[key], texts("zh")[key]
    if not values:
        return Text(en, zh)
    return Text(
        en.format(**{k: v.en if isinstance(v, Text) else v for k, v in values.items()}),
        zh.format(**{k: v.zh if isinstance(v, Text) else v for k, v in values.items()}),
    )
