"""Ids: what is invisible in them, and the words that stand where an id should be.

Cleaning and the live service obey the same rules, so that an event has the same customer in both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

MISSING_WORDS: Final = (
    "", "na", "n/a", "#n/a", "nan", "null", "(null)", "<null>", "[null]", "\\n", "nil", "none",
    "(none)", "undefined", "(undefined)", "(not set)", "not set", "(blank)", "(empty)", "empty",
    "unknown", "(unknown)", "not available", "[object object]", "-", "--", "\u2013", "\u2014", "?",
    "''", '""', "-1", "00000000-0000-0000-0000-000000000000", "空", "无", "未知", "無", "なし",
)  # fmt: skip
"""Words that stand for a missing id of anything, in lower case."""
PLACEHOLDER_IDS: Final = (
    *MISSING_WORDS, "0", "guest", "anonymous", "anonymous user", "anon", "anonym", "visitor",
    "not_authenticated", "unauthenticated", "not logged in", "logged_out", "id", "user_id",
    "userid", "distinct_id", "distinctid", "email", "true", "false", "gast", "invité", "invitado",
    "test", "deleted", "[deleted]", "(deleted)", "[removed]", "removed", "cash", "cash customer",
    "cash sale", "cash sales", "walk-in", "walk in", "walkin", "walk-in customer",
    "walk in customer", "counter sale", "laufkunde", "laufkundschaft", "barverkauf", "barkunde",
    "consumidor final", "cliente final", "cliente general", "cliente mostrador",
    "publico en general", "público en general", "publico general", "público general",
    "cliente generico", "cliente genérico", "client comptoir", "client de passage", "散客",
    "游客", "匿名", "匿名用户", "访客", "未登录", "ゲスト",
)  # fmt: skip
"""Words that are no customer's id: who obeys one of them as an id melts many people into one.

Customers are never numbered 0 here, nor by three zeros or more; items may be.
"""
INVISIBLE: Final = (
    r"\x{00AD}\x{061C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}"
)
"""Characters without width, as the inside of a class in the dialect of RE2 and Java."""
BLANKS: Final = (
    r"\x{0009}-\x{000D}\x{001C}-\x{0020}\x{0085}\x{00A0}\x{1680}\x{2000}-\x{200A}"
    r"\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
)
"""Every blank of Unicode, likewise."""


def _python_class(inside: str) -> str:
    return re.sub(r"\\x\{(\w{4})\}", r"\\u\1", inside)


_INVISIBLE: Final = re.compile(f"[{_python_class(INVISIBLE)}]+")
_BLANK: Final = re.compile(f"[{_python_class(BLANKS)}]")
_EXCEL: Final = re.compile(r'="(.*)"', re.DOTALL)
WRAPPED_MAIL: Final = (
    r"^(?:[^<>]*<(?:[mM][aA][iI][lL][tT][oO]:)?|[mM][aA][iI][lL][tT][oO]:)"
    r"([^@ <>]+@[^@ <>]+\.[^@ <>]+)>?$"
)
"""`"Name" <a@shop.example>` and `mailto:a@shop.example`, whose address is the id."""
_OUTSIDE_MAIL: Final = re.compile("[@ <>]")
_SPACE: Final = re.compile(r"\s")


def tidy_id(text: str) -> str:
    """An id without what nobody sees: blanks around it, characters without width, ="..." of Excel.

    A blank of another kind inside it, such as a no-break space, becomes a space, letters are
    composed (NFC), and e-mail addresses lose their capitals and what is written around them. What
    is tidy stays as it is.

    >>> tidy_id('\\ufeff="00123"\\u00a0'), tidy_id(" a\\u00a0b\\u200b ")
    ('00123', 'a b')
    >>> tidy_id('"Ann" <Ann@Shop.example>'), tidy_id("mailto:a@shop.example")
    ('ann@shop.example', 'a@shop.example')
    """
    if text.isascii() and text.isprintable() and text[:1] != "=" and text.strip() == text:
        return _bare_mail(text) if "@" in text else text
    seen = _BLANK.sub(" ", _INVISIBLE.sub("", text)).strip(" ")
    formula = _EXCEL.fullmatch(seen)
    bare = formula[1].strip(" ") if formula else seen
    return _bare_mail(unicodedata.normalize("NFC", bare))


def _bare_mail(text: str) -> str:
    mail = _wrapped_mail(text) or text
    return mail.lower() if _is_mail(mail) and not _SPACE.search(mail) else mail


def _wrapped_mail(text: str) -> str | None:
    """What WRAPPED_MAIL takes out of a text, found in one pass: ids come from outside, and to a
    pattern that tries again a long one costs its length squared.

    >>> _wrapped_mail("Ann <mailto:a@shop.example>"), _wrapped_mail("a@shop.example")
    ('a@shop.example', None)
    """
    before, bracket, inside = text.partition("<")
    starts = [inside] if bracket and ">" not in before else []
    starts += [start[7:] for start in (text, *starts) if start[:7].lower() == "mailto:"]
    for start in reversed(starts):
        mail = start.removesuffix(">")
        local, _, host = mail.partition("@")
        if _is_mail(mail) and not _OUTSIDE_MAIL.search(local) and not _OUTSIDE_MAIL.search(host):
            return mail
    return None


def _is_mail(text: str) -> bool:
    """Whether there is one @, with something before it and a dot inside what follows."""
    local, _, host = text.partition("@")
    return bool(local) and "@" not in host and "." in host[1:-1]


def is_word(text: str, words: Collection[str]) -> bool:
    """Whether a tidy id is one of the words, or three zeros or more where "0" is one of them."""
    return text.lower() in words or (len(text) > 2 and not text.strip("0") and "0" in words)


def is_placeholder(text: str, words: Collection[str] = PLACEHOLDER_IDS) -> bool:
    """Whether a text is a word that stands where a customer's id should be.

    `words` are in lower case; `[clean] placeholder_ids` sets others.

    >>> [is_placeholder(one) for one in (" [object Object]", "0", "00000", "00", "u17")]
    [True, True, True, False, False]
    """
    return is_word(tidy_id(text), words)
