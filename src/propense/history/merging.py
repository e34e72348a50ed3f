"""What every store does alike: the profile of a name, profiles merged, message ids, JSON cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from propense.history.records import CustomerUpdate
from propense.times import MICROS_PER_DAY

MOST_NAMES: Final = 1_000
"""Names of one customer."""
REMOVED_MICROS: Final = 30 * MICROS_PER_DAY
"""For so long a removed trait is remembered, so that an older message does not bring it back."""
KEY_PART: Final = 8
"""Bytes of a message's key that are the same for all messages of one `user_id`."""
_NULL: Final = msgspec.Raw(b"null")

Stated = tuple[int, msgspec.Raw]
"""When a trait was stated, and its JSON; null where it was removed."""


class Profile(msgspec.Struct, omit_defaults=True, rename={"traits": "t", "consent": "k"}):
    """What was stated under one name of a customer."""

    traits: dict[str, Stated] = {}
    consent: dict[str, tuple[int, bool]] = {}
    """Purpose -> when it was stated, and whether it was granted."""

    def size(self) -> tuple[int, int]:
        """The number of traits, and their bytes."""
        texts = (len(name.encode()) + len(bytes(raw)) for name, (_, raw) in self.traits.items())
        return len(self.traits), sum(texts)


_decode = msgspec.json.Decoder(Profile).decode
_encode = msgspec.json.encode
_sorted = msgspec.json.Encoder(order="deterministic").encode


def read_profile(text: str) -> Profile:
    """A profile from its cell."""
    return _decode(text)


def profile_text(profile: Profile) -> str:
    """The cell of a profile."""
    return _encode(profile).decode()


def stated_before(traits: dict[str, Any], consent: dict[str, bool], stated_time: int) -> Profile:
    """The profile of a customer of an earlier version, which remembered no moments."""
    return Profile(
        {name: (stated_time, msgspec.Raw(_encode(value))) for name, value in traits.items()},
        {purpose: (stated_time, flag) for purpose, flag in consent.items()},
    )


def with_consent(profile: Profile, update: CustomerUpdate) -> Profile:
    """The profile with the flags of an update; the later word counts, and a refusal among words
    of one moment. What is not trusted grants nothing."""
    consent = dict(profile.consent)
    for purpose, flag in update.consent.items():
        if update.trusted or not flag:
            _state(consent, purpose, update.stated_time, flag)
    return Profile(profile.traits, consent)


def with_traits(profile: Profile, update: CustomerUpdate) -> Profile:
    """The profile with the traits of an update; the later word counts, and of one moment that
    which arrives later."""
    oldest = update.received - REMOVED_MICROS
    traits = {
        name: stated for name, stated in profile.traits.items()
        if stated[0] >= oldest or bytes(stated[1]) != b"null"
    }  # fmt: skip
    for name, value in update.traits.items():
        before = traits.get(name)
        if before is None or update.stated_time >= before[0]:
            raw = _NULL if value is None else msgspec.Raw(_encode(value))
            traits[name] = (update.stated_time, raw)
    return Profile(traits, profile.consent)


def without_old(profile: Profile, oldest: int) -> Profile:
    """The profile without the traits that were stated before `oldest`. Consent has no age."""
    traits = {name: stated for name, stated in profile.traits.items() if stated[0] >= oldest}
    return Profile(traits, profile.consent)


def merged(profiles: Iterable[Profile]) -> tuple[str | None, dict[str, bool]]:
    """Traits (as JSON) and consent of a customer from the profiles of their names, the oldest
    name first: the later word counts, of one moment that of the older name."""
    traits: dict[str, Stated] = {}
    consent: dict[str, tuple[int, bool]] = {}
    for profile in profiles:
        for name, stated in profile.traits.items():
            before = traits.get(name)
            if before is None or stated[0] > before[0]:
                traits[name] = stated
        for purpose, (stated_time, flag) in profile.consent.items():
            _state(consent, purpose, stated_time, flag)
    present = {name: raw for name, (_, raw) in traits.items() if bytes(raw) != b"null"}
    flags = {purpose: flag for purpose, (_, flag) in consent.items()}
    return to_json(present), flags


def _state(
    consent: dict[str, tuple[int, bool]], purpose: str, stated_time: int, flag: bool
) -> None:
    before = consent.get(purpose)
    if before is None or stated_time > before[0]:
        consent[purpose] = (stated_time, flag)
    elif stated_time == before[0]:
        consent[purpose] = (stated_time, flag and before[1])


def merge_traits(traits: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """`traits` with those of a later message; None removes one.

    >>> merge_traits({"city": "Lyon", "age": 31}, {"age": None, "tier": 2})
    {'city': 'Lyon', 'tier': 2}
    """
    return {name: value for name, value in (traits | later).items() if value is not None}


def join_consent(own: dict[str, bool], other: dict[str, bool]) -> dict[str, bool]:
    """The flags of two customers who turned out to be one, where no moments are known: a refusal
    wins.

    >>> join_consent({"train": True}, {"train": False, "advertise": True})
    {'train': False, 'advertise': True}
    """
    return {purpose: own.get(purpose, True) and other.get(purpose, True) for purpose in own | other}


def key_part(user_id: str) -> bytes:
    """What the keys of all messages of an id begin with."""
    return blake2b(user_id.encode(), digest_size=KEY_PART).digest()


def bounds_of(user_id: str) -> tuple[bytes, bytes]:
    """The keys of all messages of an id are from the first of these to before the second."""
    part = key_part(user_id)
    return part, part + b"\xff" * 17


def scoped_key(update: CustomerUpdate) -> bytes:
    """The 24 bytes under which a message is remembered: by its id, its customer, its kind, and
    whether a server sent it."""
    scope = "server" if update.trusted else "page"
    text = "\0".join((scope, update.kind, update.user_id, update.message_id))
    return key_part(update.user_id) + blake2b(text.encode(), digest_size=16).digest()


def content_of(update: CustomerUpdate) -> bytes:
    """The digest by which a repetition is told from another message."""
    if update.content:
        return update.content
    changes = (update.events, update.traits, update.previous_id, update.consent)
    return blake2b(_sorted(changes), digest_size=8).digest()


def to_json(value: object) -> str | None:
    """JSON text; None for an empty value."""
    return _encode(value).decode() if value else None


def ids_of(updates: Sequence[CustomerUpdate]) -> list[str]:
    """Every id that the updates name, once each."""
    ids = dict.fromkeys(update.user_id for update in updates)
    ids.update((update.previous_id, None) for update in updates if update.previous_id is not None)
    return list(ids)
