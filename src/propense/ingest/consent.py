"""Reads the consent in messages as flags of purposes."""

from __future__ import annotations

from typing import Any, Final

from propense.errors import nearest
from propense.ingest.segment import IngestError, type_name

PURPOSES: Final = ("personalise", "train", "advertise")

CATEGORIES: Final = {
    "functional": "personalise", "personalisation": "personalise",
    "personalization": "personalise", "preferences": "personalise", "c0003": "personalise",
    "analytics": "train", "performance": "train", "statistics": "train", "c0002": "train",
    "advertising": "advertise", "marketing": "advertise", "targeting": "advertise",
    "c0004": "advertise",
}  # fmt: skip
"""Category of a consent banner, in lower case -> purpose. C0002 to C0004 are OneTrust's
performance, functional and targeting cookies. Other categories concern no purpose."""


MOST_FLAGS: Final = 100
"""Categories, or purposes, in one message."""


def read_consent(context: dict[str, Any], pointer: str) -> dict[str, bool]:
    """Purpose -> flag, from `context.consent`; empty without it. `pointer` is the message's.

    `categoryPreferences` (Segment's field) is mapped by CATEGORIES; among several categories of
    one purpose a refusal wins. `purposes` names purposes directly and overrides categories.
    Raises IngestError for flags that are not true or false, and for unknown purposes.
    """
    consent = context.get("consent")
    if consent is None:
        return {}
    pointer = f"{pointer}/context/consent"
    if type(consent) is not dict:
        raise IngestError(pointer, f"the value must be an object; got {type_name(consent)}")
    flags: dict[str, bool] = {}
    for category, flag in _flags(consent, "categoryPreferences", pointer):
        purpose = CATEGORIES.get(category.strip().lower())
        if purpose is not None:
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
