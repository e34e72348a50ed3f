"""Consent as messages carry it, to the flags of purposes."""

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
performance, functional and targeting cookies. Other categories say nothing of a purpose."""


def read_consent(context: dict[str, Any], place: str) -> dict[str, bool]:
    """Purpose -> flag, from `context.consent`; empty where it is silent.

    `categoryPreferences` (Segment's field) is read by CATEGORIES; of several categories of one
    purpose a refusal wins. `purposes` names purposes outright and wins over categories.
    Raises IngestError for flags that are not true or false, and for unknown purposes.
    """
    consent = context.get("consent")
    if consent is None:
        return {}
    place = f"{place}/context/consent"
    if type(consent) is not dict:
        raise IngestError(place, f"must be an object; got {type_name(consent)}")
    flags: dict[str, bool] = {}
    for category, given in _flags(consent, "categoryPreferences", place):
        purpose = CATEGORIES.get(category.strip().lower())
        if purpose is not None:
            flags[purpose] = given and flags.get(purpose, True)
    for purpose, given in _flags(consent, "purposes", place):
        if purpose not in PURPOSES:
            hint = nearest(purpose[:40], PURPOSES)
            raise IngestError(f"{place}/purposes", f"names an unknown purpose; {hint}")
        flags[purpose] = given
    return flags


def _flags(consent: dict[str, Any], key: str, place: str) -> list[tuple[str, bool]]:
    value = consent.get(key)
    if value is None:
        return []
    if type(value) is not dict:
        raise IngestError(f"{place}/{key}", f"must be an object; got {type_name(value)}")
    for given in value.values():
        if type(given) is not bool:
            raise IngestError(
                f"{place}/{key}", f"a flag must be true or false; got {type_name(given)}"
            )
    return list(value.items())
