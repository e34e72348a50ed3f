"""Reads the consent in messages as flags of purposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from propense.errors import nearest
from propense.ingest.rules import Ignored
from propense.ingest.segment import IngestError, type_name

PURPOSES: Final = ("personalise", "train", "advertise")

_BY_PURPOSE: Final = {
    ("personalise",): (
        "functional", "functionality", "personalisation", "personalization", "preferences",
        "preference", "c0003",
    ),
    ("train",): ("analytics", "analytical", "performance", "statistics", "statistical", "c0002"),
    ("advertise",): (
        "advertising", "advertisement", "ads", "ad", "marketing", "targeting", "ad user data",
        "ad personalization", "social media", "c0004", "c0005",
    ),
    (): ("necessary", "strictly necessary", "essential", "required", "security", "c0001"),
}  # fmt: skip
CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    word: purposes for purposes, words in _BY_PURPOSE.items() for word in words
}
"""Category of a consent banner, as `_plain` writes it -> purposes. C0001 to C0005 are OneTrust's;
`ad_storage` and the like are those of Google's consent mode."""


MOST_FLAGS: Final = 100
"""Categories, or purposes, in one message."""


def _plain(category: str) -> str:
    """A category's name without case, dashes and the words that say what it is about.

    >>> _plain("Functional Cookies"), _plain("analytics_storage"), _plain(" ad-user-data ")
    ('functional', 'analytics', 'ad user data')
    """
    words = category.lower().replace("_", " ").replace("-", " ").split()
    if len(words) > 1 and words[-1] in ("cookies", "storage"):
        words.pop()
    return " ".join(words)


def read_consent(
    context: dict[str, Any],
    pointer: str,
    categories: Mapping[str, tuple[str, ...]] = {},
    ignored: Ignored | None = None,
) -> dict[str, bool]:
    """Purpose -> flag, from `context.consent`; empty without it. `pointer` is the message's.

    `categoryPreferences` (Segment's field) is mapped by `categories`, then by CATEGORIES; among
    several categories of one purpose a refusal wins. An unknown category that is refused refuses
    all purposes, and is added to `ignored`; one that is granted says nothing. `purposes` names
    purposes directly and overrides categories. Raises IngestError for flags that are not true or
    false, and for unknown purposes.
    """
    consent = context.get("consent")
    if consent is None:
        return {}
    pointer = f"{pointer}/context/consent"
    if type(consent) is not dict:
        raise IngestError(pointer, f"the value must be an object; got {type_name(consent)}")
    own = {_plain(category): purposes for category, purposes in categories.items()}
    flags: dict[str, bool] = {}
    for category, flag in _flags(consent, "categoryPreferences", pointer):
        plain = _plain(category)
        purposes = own.get(plain, CATEGORIES.get(plain))
        if purposes is None:
            if flag:
                continue
            purposes = PURPOSES
            if ignored is not None:
                ignored.append("unknown_category")
        for purpose in purposes:
            flags[purpose] = flag and flags.get(purpose, True)
    for purpose, flag in _flags(consent, "purposes", pointer):
        if purpose not in PURPOSES:
            hint = nearest(purpose[:40], PURPOSES)
            raise IngestError(f"{pointer}/purposes", f"the key names an unknown purpose; {hint}")
        flags[purpose] = flag
    return flags


def _flags(consent: dict[str, Any], key: str, pointer: str) -> list[tuple[str, bool]]:
    value = consent.get(key)
    if value is None:
        return []
    if type(value) is not dict:
        raise IngestError(
            f"{pointer}/{key}", f"the value must be an object; got {type_name(value)}"
        )
    if len(value) > MOST_FLAGS:
        raise IngestError(
            f"{pointer}/{key}", f"there are {len(value):,} flags; at most {MOST_FLAGS} are accepted"
        )
    for flag in value.values():
        if type(flag) is not bool:
            raise IngestError(
                f"{pointer}/{key}", f"a flag must be true or false; got {type_name(flag)}"
            )
    return list(value.items())
