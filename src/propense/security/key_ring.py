"""The API keys of a service: one set for all its processes and hosts, checked from memory."""

from __future__ import annotations

import functools
import hmac
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from propense.errors import ConflictError, ServeError, nearest
from propense.security.keys import (
    LENGTH,
    PREFIX_LENGTH,
    START,
    KeyRecord,
    OldSecret,
    choose_scopes,
    fresh_key,
    fresh_prefix,
    read_origin,
)
from propense.security.secrets import Secrets
from propense.times import MICROS_PER_SECOND

KEYS: Final = "keys"
"""The kind of their records,"""
USES: Final = "key_uses"
"""and of those of their last use: a record changes at most once an hour a key and process."""
USE_MICROS: Final = 3_600 * MICROS_PER_SECOND
_MOST_GENERATIONS: Final = 1_000
_SEAL: Final = 32
"""Bytes before a record by which it is known that a holder of the secret wrote it."""


class _Record(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...


class _Snapshot(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def whole(self) -> bool: ...
    @property
    def records(self) -> Sequence[_Record]: ...


class Records(Protocol):
    """What keys need of `history.controls.Controls`."""

    def numbers(self) -> dict[str, int]: ...
    def read(self, kind: str, after: int = 0) -> _Snapshot: ...
    def put(self, kind: str, key: str, value: bytes, expected: int | None = None) -> int: ...
    def update(
        self, kind: str, key: str, change: Callable[[bytes | None], bytes | None]
    ) -> None: ...


class KeyRing:
    """The keys among the records of a service.

    `check` looks into memory alone; `refresh` takes over what other processes have changed.
    Everything else blocks, and raises StoreError where the records cannot be reached.
    """

    def __init__(self, records: Records, secrets: Secrets) -> None:
        self._stored = records
        self._secrets = secrets
        self._hmacs: dict[int, hmac.HMAC] = {}
        self._no_key = KeyRecord(
            prefix="", mac=os.urandom(32), name="", kind="page", scopes=frozenset(), created=0,
            revoked=0,
        )  # fmt: skip
        self.refused: Counter[str] = Counter()
        """How often keys were refused since somebody last looked, by the prefix of those that there
        are or were; "" stands for all others."""
        self._keys: dict[str, KeyRecord] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._hours: dict[str, int] = {}
        self._unwritten: dict[str, int] = {}
        self.unreadable: tuple[str, ...] = ()
        """Prefixes of records that nobody with this secret wrote; they open nothing."""
        self.refresh()

    def check(self, presented: str, now: int) -> KeyRecord | None:
        """The record of a key that is valid at `now` (microseconds UTC), otherwise None.

        A wrong secret, an unknown prefix and an invalid key take the same time.
        """
        prefix = presented[len(START) : len(START) + PREFIX_LENGTH]
        record = self._keys.get(prefix, self._no_key)
        mac = self._mac(presented[: 2 * LENGTH], record.generation)
        good = hmac.compare_digest(mac, record.mac)
        for old in record.old:
            good |= hmac.compare_digest(mac, old.mac) and now < old.until
        if not good or not record.is_live(now):
            self.refused[record.prefix] += 1
            return None
        if self._hours.get(prefix) != now // USE_MICROS:
            self._hours[prefix] = now // USE_MICROS
            self._unwritten[prefix] = now
        return record

    def refresh(self) -> bool:
        """Take over what was changed since the last time; returns whether anything was. Cheap:
        made to be called a few times a second."""
        with self._lock:
            if self._stored.numbers().get(KEYS, 0) == self._number:
                return False
            snapshot = self._stored.read(KEYS, self._number)
            keys = {} if snapshot.whole else dict(self._keys)
            unreadable = set() if snapshot.whole else set(self.unreadable)
            for stored in snapshot.records:
                record = self._unseal(stored.key, stored.value)
                keys.pop(stored.key, None)
                unreadable.discard(stored.key)
                if record is None:
                    unreadable.add(stored.key)
                else:
                    keys[stored.key] = record
            self._keys, self._number = keys, snapshot.number
            self.unreadable = tuple(sorted(unreadable))
            return True

    def records(self) -> list[KeyRecord]:
        """Every key, oldest first."""
        self.refresh()
        return sorted(self._keys.values(), key=lambda record: (record.created, record.prefix))

    def find(self, prefix: str) -> KeyRecord:
        """The key with this prefix. Raises ServeError, naming the nearest, if there is none."""
        self.refresh()
        if prefix not in self._keys:
            hint = nearest(prefix, self._keys) if self._keys else "no key was created yet"
            raise ServeError(f"there is no key {prefix[:64]!r}; {hint}")
        return self._keys[prefix]

    def create(
        self,
        name: str,
        scopes: Iterable[str] = (),
        *,
        now: int,
        kind: str | None = None,
        source: str | None = None,
        origins: Sequence[str] = (),
        expires: int | None = None,
    ) -> tuple[KeyRecord, str]:
        """Make a key; the second value is the whole key, which is not stored anywhere.

        Raises ServeError for an invalid name, kind, scope or origin, and for an end in the past.
        """
        chosen, wanted = choose_scopes(kind, scopes)
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise ServeError(
                f"the name of a key must have 1 to 100 printable characters, got {name[:120]!r}"
            )
        if expires is not None and expires <= now:
            raise ServeError(
                f"key {name!r} would never be valid: expires {expires}, now {now} (microseconds "
                f"UTC); choose a later end"
            )
        if origins and chosen != "page":
            raise ServeError(
                f"a {chosen} key is for no web page, so it has no --origin; make a page key with: "
                "propense keys create NAME --kind page --origin https://shop.example"
            )
        generation = self._secrets.roll_of("keys").generation
        while True:
            prefix = fresh_prefix()
            whole = fresh_key(prefix)
            record = KeyRecord(
                prefix=prefix, mac=self._mac(whole, generation), name=name, kind=chosen,
                scopes=wanted, source=source, created=now,
                origins=tuple(dict.fromkeys(map(read_origin, origins))),
                expires=expires, generation=generation,
            )  # fmt: skip
            try:
                self._stored.put(KEYS, prefix, self._sealed(record), expected=0)
            except ConflictError:
                continue  # the prefix is taken
            self.refresh()
            return record, whole

    def revoke(self, prefix: str, now: int) -> KeyRecord:
        """Make the key and its old secrets invalid.

        Raises ServeError, naming the nearest prefix, if there is no such key.
        """

        def end(record: KeyRecord) -> KeyRecord:
            revoked = now if record.revoked is None else record.revoked
            return msgspec.structs.replace(record, revoked=revoked, old=())

        return self._change(prefix, end)

    def rotate(self, prefix: str, grace_seconds: float, now: int) -> tuple[KeyRecord, str]:
        """Give the key a new secret; the old one stays valid for `grace_seconds`.

        Returns the record and the whole new key. Raises ServeError if there is no such key, it is
        not valid any more, or the grace is below 0.
        """
        if not 0 <= grace_seconds < 10 * 366 * 86_400:
            raise ServeError(f"the grace must be 0 seconds to ten years, got {grace_seconds}")
        whole = fresh_key(prefix)
        until = now + round(grace_seconds * MICROS_PER_SECOND)

        def renew(record: KeyRecord) -> KeyRecord:
            if not record.is_live(now):
                raise ServeError(
                    f"key {prefix!r} is not valid any more and cannot be rotated; make a new one"
                )
            old = (*record.old, OldSecret(record.mac, until))
            return msgspec.structs.replace(
                record,
                mac=self._mac(whole, record.generation),
                old=tuple(one for one in old if one.until > now),
            )

        return self._change(prefix, renew), whole

    def switch_off(self, now: int) -> int:
        """Switch off every key that is not revoked, until `switch_on`; returns how many."""
        n_switched = 0
        for record in self.records():
            if record.revoked is None and record.off is None:
                self._change(record.prefix, lambda one: msgspec.structs.replace(one, off=now))
                n_switched += 1
        return n_switched

    def switch_on(self, prefix: str) -> KeyRecord:
        """Make a key valid again that was switched off. Raises ServeError for one that is unknown
        or revoked."""

        def on(record: KeyRecord) -> KeyRecord:
            if record.revoked is not None:
                raise ServeError(f"key {prefix!r} is revoked for good; make a new one")
            return msgspec.structs.replace(record, off=None)

        return self._change(prefix, on)

    def add_old(self, records: Iterable[KeyRecord]) -> int:
        """Take in keys that were stored elsewhere; returns how many were new. Of a key that is
        there already the older record changes nothing, except that it can be the revoked one."""
        n_new = 0
        for record in records:
            try:
                self._stored.put(KEYS, record.prefix, self._sealed(record), expected=0)
                n_new += 1
            except ConflictError:
                if record.revoked is not None:
                    self.revoke(record.prefix, record.revoked)
        self.refresh()
        return n_new

    def signing_secret(self, record: KeyRecord) -> str:
        """The secret with which a shop's server signs the customer ids of a page key."""
        return self._derived(b"user\0" + record.mac, record.generation).hex()

    def has_signed(self, record: KeyRecord, user_id: str, signature: str, now: int) -> bool:
        """Whether `signature` is the hexadecimal HMAC-SHA256 of `user_id` under the key's signing
        secret, or under an old one that is still valid."""
        good = False
        for mac in (record.mac, *(old.mac for old in record.old if now < old.until)):
            secret = self._derived(b"user\0" + mac, record.generation).hex()
            expected = sign_user_id(secret, user_id)
            good |= hmac.compare_digest(
                expected.encode(), signature.lower().encode("utf-8", "replace")
            )
        return good

    def write_uses(self) -> None:
        """Record when keys were last used, to the hour."""
        while self._unwritten:
            prefix, time = self._unwritten.popitem()
            try:
                self._stored.update(USES, prefix, functools.partial(_later, time))
            except ServeError:
                self._hours.pop(prefix, None)  # noted again at the next use
                raise

    def last_uses(self) -> dict[str, int]:
        """Prefix -> when the key was last used, to the hour; keys never used are left out."""
        return {one.key: int(one.value) for one in self._stored.read(USES).records}

    def _mac(self, presented: str, generation: int) -> bytes:
        return self._derived(presented.encode("utf-8", "surrogatepass"), generation)

    def _derived(self, data: bytes, generation: int) -> bytes:
        """The HMAC of a presented key, of a record after "record", or of a key's HMAC after "user":
        each begins in its own way."""
        made = self._hmacs.get(generation)
        if made is None:
            key = self._secrets.of_generation("keys", generation)
            made = self._hmacs[generation] = hmac.new(key, digestmod="sha256")
        # Copied for each key. `hmac.digest` would release the interpreter to other threads, and
        # waiting to get it back takes longer than the work.
        own = made.copy()
        own.update(data)
        return own.digest()

    def _sealed(self, record: KeyRecord) -> bytes:
        content = msgspec.json.encode(record, order="deterministic")
        return self._derived(b"record\0" + content, record.generation) + content

    def _unseal(self, prefix: str, value: bytes) -> KeyRecord | None:
        seal, content = value[:_SEAL], value[_SEAL:]
        try:
            record = msgspec.json.decode(content, type=KeyRecord)
        except (msgspec.DecodeError, UnicodeError):
            return None
        # A later generation than is known here may come before the news of it.
        if not 0 <= record.generation < _MOST_GENERATIONS:
            return None
        expected = self._derived(b"record\0" + content, record.generation)
        is_own = hmac.compare_digest(seal, expected)
        return record if is_own and record.prefix == prefix else None

    def _change(self, prefix: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        changed = self.find(prefix)

        def renew(value: bytes | None) -> bytes | None:
            nonlocal changed
            record = None if value is None else self._unseal(prefix, value)
            if record is None:
                raise ServeError(
                    f"the record of key {prefix!r} was not written with this service's secret; "
                    "make a new key with: propense keys create"
                )
            changed = change(record)
            return self._sealed(changed)

        self._stored.update(KEYS, prefix, renew)
        self.refresh()
        return changed


def sign_user_id(signing_secret: str, user_id: str) -> str:
    """The signature of a customer's id, as the shop's server makes it."""
    return hmac.new(signing_secret.encode(), user_id.encode(), "sha256").hexdigest()


def _later(time: int, before: bytes | None) -> bytes:
    hour = time // USE_MICROS * USE_MICROS
    return b"%d" % max(hour, int(before or b"0"))
