"""API keys: their kinds, what each allows, and how they are written.

A key is `pp_PREFIX_SECRET`: the prefix (8 characters) identifies it in logs, the secret (256
bits) is shown once. What is stored has only the key's HMAC, so reading it gives no key.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Collection, Iterable
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from propense.errors import ServeError, nearest

START: Final = "pp_"
PREFIX_LENGTH: Final = 8
LENGTH: Final = len(START) + PREFIX_LENGTH + 1 + 43

KeyKind = Literal["page", "server", "admin"]
KEY_KINDS: Final[tuple[KeyKind, ...]] = get_args(KeyKind)
Scope = Literal["ingest", "read", "decide", "export", "people", "bid", "verify", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_ALLOWED: Final[dict[KeyKind, tuple[Scope, ...]]] = {
    "page": ("ingest",),
    "server": ("ingest", "read", "decide", "export", "bid", "verify"),
    "admin": SCOPES,
}
"""Kind -> the scopes that its keys can have."""
_DEFAULT: Final[dict[KeyKind, tuple[Scope, ...]]] = {
    "page": ("ingest",),
    "server": ("ingest", "read", "decide"),
    "admin": ("ingest", "read", "decide", "export", "people", "bid", "admin"),
}
"""Kind -> the scopes of a key that was made without naming any. A key with verify sends and
reads customers of integration tests, so it has to be asked for."""


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
    kind: KeyKind
    scopes: frozenset[Scope]
    source: str | None = None
    """The source of the events that it sends."""
    origins: tuple[str, ...] = ()
    """Web origins whose pages alone can use it; () for all that `[serve] origins` has."""
    created: int
    expires: int | None = None
    """It is valid before this time; None: without end."""
    revoked: int | None = None
    off: int | None = None
    """Since when it is switched off, as every key is after a restoration."""
    old: tuple[OldSecret, ...] = ()
    generation: int = 0
    """Of the service's key that its HMACs were made with; `propense secret roll keys` begins the
    next."""

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope."""
        return scope in self.scopes

    @property
    def is_page(self) -> bool:
        """Whether everybody may know it, since it is inside web pages."""
        return self.kind == "page"

    def is_live(self, now: int) -> bool:
        """Whether the key is valid at the time `now`."""
        ended = self.expires is not None and now >= self.expires
        return self.revoked is None and self.off is None and not ended

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a page of this origin can use it; None stands for a client without one."""
        return not self.origins or (origin is not None and origin.lower() in self.origins)


def kind_of(scopes: Collection[str]) -> KeyKind:
    """The kind of a key that was made without naming one.

    >>> kind_of(["ingest"]), kind_of(["ingest", "read"]), kind_of(["read", "admin"])
    ('page', 'server', 'admin')
    """
    if set(scopes) == {"ingest"}:
        return "page"
    return "server" if set(scopes) <= set(_ALLOWED["server"]) else "admin"


def choose_scopes(kind: str | None, scopes: Iterable[str]) -> tuple[KeyKind, frozenset[Scope]]:
    """The kind and scopes of a new key. Raises ServeError for those that do not exist or do not
    go together."""
    wanted = list(scopes)
    for scope in wanted:
        if scope not in SCOPES:
            raise ServeError(f"a key has no scope {scope!r}; {nearest(scope, SCOPES)}")
    if kind is None:
        if not wanted:
            raise ServeError(
                "a key needs a kind or scopes; choose --kind page, server or admin, or --scope "
                f"among {', '.join(SCOPES)}"
            )
        kind = kind_of(wanted)
    if kind not in _ALLOWED:
        raise ServeError(f"there is no kind of key {kind!r}; {nearest(kind, KEY_KINDS)}")
    chosen = kind
    wrong = [scope for scope in wanted if scope not in _ALLOWED[chosen]]
    if wrong:
        raise ServeError(
            f"a {kind} key cannot have the scope {wrong[0]!r}, only "
            f"{', '.join(_ALLOWED[chosen])}; make another key with: propense keys create NAME "
            f"--kind {kind_of(['read', *wrong])} --scope {wrong[0]}"
        )
    return chosen, frozenset(scope for scope in SCOPES if scope in (wanted or _DEFAULT[chosen]))


def read_origin(text: str) -> str:
    """A web origin as browsers send it. Raises ServeError for anything else.

    >>> read_origin("https://Shop.example:443/")
    'https://shop.example'
    """
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment
    host = parts.hostname or ""
    if (
        parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not is_plain
        or not host.isascii() or not all(c.isalnum() or c in ".-:" for c in host)
    ):  # fmt: skip
        raise ServeError(
            f"{text[:100]!r} is not the origin of a web page; write it as https://shop.example or "
            "http://localhost:3000, without a path (and a domain with other letters as xn--...)"
        )
    shown = f"[{host}]" if ":" in host else host
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if is_default else f":{port}")


def fresh_prefix() -> str:
    return base64.b32encode(os.urandom(5)).decode().lower()


def fresh_key(prefix: str) -> str:
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    return f"{START}{prefix}_{secret}"


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
