"""API keys, and what each allows: sending, reading, administration, verification.

A key is `pp_PREFIX_SECRET`: the prefix (8 characters) identifies it in logs, the secret (256
bits) is shown once. The file `keys.json` has only the key's HMAC, so reading it gives no key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from propense.errors import ServeError, nearest
from propense.files import locked, replace_file
from propense.security.secrets import Secrets
from propense.times import MICROS_PER_SECOND

FILE: Final = "keys.json"
LOCK: Final = "keys.lock"
START: Final = "pp_"
PREFIX_LENGTH: Final = 8
LENGTH: Final = len(START) + PREFIX_LENGTH + 1 + 43
REREAD: Final = MICROS_PER_SECOND // 2
"""Microseconds between two checks of the file."""

Scope = Literal["ingest", "read", "admin", "verify"]
SCOPES: Final = get_args(Scope)


class OldSecret(msgspec.Struct, frozen=True):
    """A secret that was replaced and stays valid for a while."""

    mac: bytes
    until: int


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a key. Times are microseconds UTC."""

    prefix: str
    mac: bytes
    """The HMAC-SHA256 of the whole key."""
    name: str
    scopes: frozenset[Scope]
    source: str | None = None
    """The source of the events that it sends."""
    created: int
    expires: int | None = None
    """It is valid before this time; None: without end."""
    revoked: int | None = None
    old: tuple[OldSecret, ...] = ()

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope."""
        return scope in self.scopes

    @property
    def is_page(self) -> bool:
        """Whether the key may stand in web pages, so that anybody may use it."""
        return self.scopes == {"ingest"}

    def is_live(self, now: int) -> bool:
        """Whether the key is valid at the time `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyRing:
    """The keys of the service with the data folder `folder`.

    Changes by other processes take effect within half a second.
    """

    def __init__(self, folder: Path, secrets: Secrets) -> None:
        """Raises ServeError where keys.json cannot be read."""
        self._file = folder / FILE
        self._lock = folder / LOCK
        # Copied for each key. `hmac.digest` would release the interpreter to other threads, and
        # waiting to get it back takes longer than the work.
        self._hmac = hmac.new(secrets.key("keys"), digestmod="sha256")
        self._no_key = KeyRecord(
            prefix="", mac=os.urandom(32), name="", scopes=frozenset(), created=0, revoked=0
        )
        self.refused: Counter[str] = Counter()
        """How often keys were refused since somebody last looked, by the prefix of those that there
        are or were; "" stands for all others."""
        self._records: dict[str, KeyRecord] = {}
        self._state: tuple[int, int, int] | None = None
        self._checked: int | None = None
        self._reread()

    def check(self, presented: str, now: int) -> KeyRecord | None:
        """The record of a key that is valid at `now` (microseconds UTC), otherwise None.

        A wrong secret, an unknown prefix and an invalid key take the same time. Raises ServeError
        where keys.json was damaged meanwhile: then no key is valid.
        """
        if self._checked is None or not 0 <= now - self._checked < REREAD:
            self._reread()
            self._checked = now
        mac = self._mac(presented[: 2 * LENGTH])
        prefix = presented[len(START) : len(START) + PREFIX_LENGTH]
        record = self._records.get(prefix, self._no_key)
        good = hmac.compare_digest(mac, record.mac)
        for old in record.old:
            good |= hmac.compare_digest(mac, old.mac) and now < old.until
        if good and record.is_live(now):
            return record
        self.refused[record.prefix] += 1
        return None

    def records(self) -> list[KeyRecord]:
        """Every key in the file, oldest first."""
        self._reread()
        return sorted(self._records.values(), key=lambda record: (record.created, record.prefix))

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        now: int,
        source: str | None = None,
        expires: int | None = None,
    ) -> tuple[KeyRecord, str]:
        """Make a key; the second value is the whole key, which is not stored anywhere.

        Raises ServeError for an invalid name or scope, and for an end in the past.
        """
        wanted = _scopes(scopes)
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise ServeError(
                f"the name of a key must have 1 to 100 printable characters, got {name[:120]!r}"
            )
        if expires is not None and expires <= now:
            raise ServeError(
                f"key {name!r} would never be valid: expires {expires}, now {now} (microseconds "
                f"UTC); choose a later end"
            )

        def add(records: dict[str, KeyRecord]) -> tuple[KeyRecord, str]:
            prefix = _fresh_prefix()
            while prefix in records:
                prefix = _fresh_prefix()
            whole = _fresh_key(prefix)
            return KeyRecord(
                prefix=prefix, mac=self._mac(whole), name=name, scopes=wanted, source=source,
                created=now, expires=expires,
            ), whole  # fmt: skip

        return self._change(add)

    def revoke(self, prefix: str, now: int) -> KeyRecord:
        """Make the key and its old secrets invalid.

        Raises ServeError, naming the nearest prefix, if there is no such key.
        """

        def end(records: dict[str, KeyRecord]) -> tuple[KeyRecord, str]:
            record = _find(records, prefix)
            revoked = now if record.revoked is None else record.revoked
            return msgspec.structs.replace(record, revoked=revoked, old=()), ""

        return self._change(end)[0]

    def rotate(self, prefix: str, grace_seconds: float, now: int) -> tuple[KeyRecord, str]:
        """Give the key a new secret; the old one stays valid for `grace_seconds`.

        Returns the record and the whole new key. Raises ServeError if there is no such key, it is
        not valid any more, or the grace is below 0.
        """
        if not 0 <= grace_seconds < 10 * 366 * 86_400:
            raise ServeError(f"the grace must be 0 seconds to ten years, got {grace_seconds}")

        def renew(records: dict[str, KeyRecord]) -> tuple[KeyRecord, str]:
            record = _find(records, prefix)
            if not record.is_live(now):
                raise ServeError(
                    f"key {prefix!r} is not valid any more and cannot be rotated; make a new one"
                )
            whole = _fresh_key(prefix)
            until = now + round(grace_seconds * MICROS_PER_SECOND)
            old = (*record.old, OldSecret(record.mac, until))
            return msgspec.structs.replace(
                record, mac=self._mac(whole), old=tuple(one for one in old if one.until > now)
            ), whole

        return self._change(renew)

    def _mac(self, presented: str) -> bytes:
        own = self._hmac.copy()
        own.update(presented.encode("utf-8", "surrogatepass"))
        return own.digest()

    def _change(
        self, change: Callable[[dict[str, KeyRecord]], tuple[KeyRecord, str]]
    ) -> tuple[KeyRecord, str]:
        try:
            with locked(self._lock):
                self._reread()
                record, whole = change(self._records)
                records = {**self._records, record.prefix: record}
                text = msgspec.json.encode(list(records.values()), order="deterministic")
                replace_file(self._file, msgspec.json.format(text, indent=1))
                self._reread()
        except OSError as error:
            raise ServeError(f"{str(self._file)!r} cannot be written: {error}") from error
        return record, whole

    def _reread(self) -> None:
        """Read the file if it has changed."""
        try:
            status = os.stat(self._file)
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state == self._state:
                return
            records = msgspec.json.decode(self._file.read_bytes(), type=list[KeyRecord])
        except FileNotFoundError:
            self._records, self._state = {}, None
            return
        except (OSError, msgspec.DecodeError) as error:
            self._records, self._state = {}, None
            raise ServeError(
                f"the keys {str(self._file)!r} cannot be read: {error}; restore the file from a "
                f"backup, or remove it and make new keys with: propense keys create"
            ) from error
        self._records = {record.prefix: record for record in records}
        self._state = state


def basic_user(authorization: str | None) -> str | None:
    """The user of a Basic `Authorization` header, where tracking libraries put the write key.

    None where the header is missing, empty or of another scheme. Raises ValueError where it
    cannot be decoded.

    >>> basic_user("Basic a2V5Og==")
    'key'
    """
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ValueError("the Authorization header is neither 'Bearer KEY' nor Basic") from None
    return user or None


def _scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    wanted = list(scopes)
    for scope in wanted:
        if scope not in SCOPES:
            raise ServeError(f"a key has no scope {scope!r}; {nearest(scope, SCOPES)}")
    if not wanted:
        raise ServeError(f"a key needs a scope; choose among {', '.join(SCOPES)}")
    return frozenset(scope for scope in SCOPES if scope in wanted)


def _find(records: dict[str, KeyRecord], prefix: str) -> KeyRecord:
    if prefix not in records:
        hint = nearest(prefix, records) if records else "no key was created yet"
        raise ServeError(f"there is no key {prefix[:64]!r}; {hint}")
    return records[prefix]


def _fresh_prefix() -> str:
    return base64.b32encode(os.urandom(5)).decode().lower()


def _fresh_key(prefix: str) -> str:
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    return f"{START}{prefix}_{secret}"
