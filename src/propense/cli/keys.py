"""`propense keys` and `propense audit`: API keys and the audit log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from propense.cli.options import DEFAULTS, Common, Flag, load_settings
from propense.cli.output import Output, open_output
from propense.errors import ServeError, SettingsError
from propense.settings import seconds
from propense.times import MICROS_PER_SECOND

if TYPE_CHECKING:
    from propense.security.audit_records import Detail
    from propense.security.key_ring import KeyRing
    from propense.security.keys import KeyRecord
    from propense.settings import Settings

Scopes = Annotated[
    tuple[Literal["ingest", "read", "decide", "export", "people", "bid", "verify", "admin"], ...],
    Parameter(name="--scope", negative="", consume_multiple=False, show_default=False),
]
Kind = Annotated[Literal["page", "server", "admin"] | None, Parameter(show_default=False)]
Origins = Annotated[
    tuple[str, ...],
    Parameter(name="--origin", negative="", consume_multiple=False, show_default=False),
]
OptionalText = Annotated[str | None, Parameter(show_default=False)]
ACTOR = "cli"
"""The actor that the audit log names for actions of this command line."""


def create_key(
    name: str,
    /,
    *,
    kind: Kind = None,
    scope: Scopes = (),
    origin: Origins = (),
    source: OptionalText = None,
    expires: OptionalText = None,
    common: Common = DEFAULTS,
) -> None:
    """Create an API key. It is shown once and stored only as a hash.

    Kinds: a page key is public, since it is inside a web page or an app; it sends
    what visitors do there. A server key stays on your servers. An admin key is for
    people who run the service.

    Scopes: ingest sends events and imports, read asks for answers and decide for
    decisions, export reads what is stored, bid is for bidding, verify for `propense
    verify`, people manages who may sign in, admin changes bundles and items and
    erases customers. A key with the scope ingest alone and no kind is a page key.

    Parameters
    ----------
    name
        What the key is for, such as "website".
    kind
        page, server or admin; default: what the scopes need.
    scope
        What the key permits; may be repeated. Default: ingest for page; ingest,
        read and decide for server; all but verify for admin.
    origin
        Origin of the web pages that can use a page key, such as
        https://shop.example; may be repeated. Default: those of [serve] origins.
    source
        Source name of the events that are sent with it.
    expires
        When the key ends: a date such as 2027-12-31, a time with its offset, or a
        span such as 52w; default: never.
    """
    output = open_output(common)
    now = now_micros()
    end = None if expires is None else _end(expires, now)
    with _opened(common, output) as (settings, ring):
        with _logged(settings, "keys.create") as outcome:
            record, key = ring.create(
                name, scope, now=now, kind=kind, source=source, origins=origin, expires=end
            )
            outcome |= {
                "prefix": record.prefix, "kind": record.kind, "scopes": sorted(record.scopes),
            }  # fmt: skip
        output.message(f"{record.kind} key {record.prefix} for {name}; it is not shown again:")
        secret = _secret_field(ring, record)
        output.result({"key": key, **_public_fields(record), **secret}, key)
    if record.is_page:
        output.message(
            "customer ids that pages send must be signed by your server; the secret for that: "
            f"propense keys secret {record.prefix}"
        )


def list_keys(*, common: Common = DEFAULTS) -> None:
    """List API keys, oldest first, without their secrets.

    The last use is known to the hour.
    """
    output = open_output(common)
    now = now_micros()
    with _opened(common, output) as (_, ring):
        records, uses = ring.records(), ring.last_uses()
    lines = [
        f"{record.prefix}  {_state(record, now):<9} {record.kind:<7} {_day(record.created)}  "
        f"{_last_use(uses.get(record.prefix)):<20} {','.join(sorted(record.scopes)):<18} "
        f"{record.name}"
        for record in records
    ]
    output.result(
        [
            _public_fields(record)
            | {"state": _state(record, now), "last_used": _time(uses.get(record.prefix))}
            for record in records
        ],
        "\n".join(lines)
        or "there are no keys; create one with: propense keys create NAME --kind server",
    )


def revoke_key(prefix: str, /, *, common: Common = DEFAULTS) -> None:
    """Revoke an API key; running services refuse it within half a second.

    Parameters
    ----------
    prefix
        The eight characters after pp_, see `propense keys list`.
    """
    output = open_output(common)
    now = now_micros()
    with _opened(common, output) as (settings, ring):
        with _logged(settings, "keys.revoke", {"prefix": prefix}):
            record = ring.revoke(prefix, now)
    output.result(_public_fields(record), f"{prefix} ({record.name}) is revoked")


def rotate_key(prefix: str, /, *, grace: str = "1d", common: Common = DEFAULTS) -> None:
    """Give an API key a new secret, which is shown once.

    The secret that signs customer ids of a page key changes with it.

    Parameters
    ----------
    prefix
        The eight characters after pp_, see `propense keys list`.
    grace
        How long the old secret remains valid; 0 ends it at once.
    """
    output = open_output(common)
    now = now_micros()
    grace_seconds = 0 if grace.strip() == "0" else seconds(grace)
    with _opened(common, output) as (settings, ring):
        detail: Detail = {"prefix": prefix, "grace_seconds": grace_seconds}
        with _logged(settings, "keys.rotate", detail):
            record, key = ring.rotate(prefix, grace_seconds, now)
        output.message(f"new secret of key {prefix} ({record.name}); it is not shown again:")
        secret = _secret_field(ring, record)
        output.result({"key": key, **_public_fields(record), **secret}, key)


def enable_keys(
    *prefixes: str,
    all_: Annotated[bool, Flag, Parameter(name="--all")] = False,
    common: Common = DEFAULTS,
) -> None:
    """Switch API keys on that a restoration has switched off.

    A backup has keys that were revoked after it was made: name those that are still
    in use.

    Parameters
    ----------
    prefixes
        The eight characters after pp_ of each key, see `propense keys list`.
    all_
        Switch all of them on, except those that were revoked before the backup.
    """
    output = open_output(common)
    now = now_micros()
    if all_ == bool(prefixes):
        raise ServeError("name the keys to switch on, or --all: propense keys enable PREFIX ...")
    with _opened(common, output) as (settings, ring):
        is_off = [one.prefix for one in ring.records() if _state(one, now) == "off"]
        enabled = []
        for prefix in is_off if all_ else prefixes:
            with _logged(settings, "keys.enable", {"prefix": prefix}):
                enabled.append(ring.switch_on(prefix))
    names = ", ".join(f"{record.prefix} ({record.name})" for record in enabled)
    output.result(
        [_public_fields(record) for record in enabled],
        f"switched on: {names}" if enabled else "no key was switched off",
    )


def show_secret(prefix: str, user_id: OptionalText = None, /, *, common: Common = DEFAULTS) -> None:
    """Print the secret with which your server signs customer ids for a page key.

    A page sends the signature beside the id, as userIdSignature: the hexadecimal
    HMAC-SHA256 of the id. With USER_ID the command prints that id's signature.

    Parameters
    ----------
    prefix
        The eight characters after pp_ of a page key, see `propense keys list`.
    user_id
        Id of a customer to sign.
    """
    from propense.security.key_ring import sign_user_id

    output = open_output(common)
    with _opened(common, output) as (settings, ring):
        record = ring.find(prefix)
        if not record.is_page:
            raise ServeError(
                f"key {prefix!r} is a {record.kind} key, whose customer ids need no signature; "
                "only page keys have such a secret"
            )
        secret = ring.signing_secret(record)
        with _logged(settings, "keys.secret", {"prefix": prefix}):
            pass  # it is printed once that is logged
    fields: dict[str, Any] = {"prefix": prefix, "signing_secret": secret}
    if user_id is None:
        output.result(fields, secret)
        return
    signature = sign_user_id(secret, user_id)
    output.result(fields | {"user_id": user_id, "userIdSignature": signature}, signature)


def audit(
    *,
    earlier: Annotated[Path | None, Parameter(show_default=False)] = None,
    accept: OptionalText = None,
    common: Common = DEFAULTS,
) -> int:
    """Verify that the audit log has not been tampered with; exit code 2 if it has.

    With --earlier it also detects that the whole log was replaced by an older copy.
    A running service looks for that too, every few seconds, by what the store has.

    Parameters
    ----------
    earlier
        An earlier output of `propense audit --json`, stored elsewhere.
    accept
        Take note that an earlier log is gone, and why; the reason is logged.
    """
    import msgspec

    from propense.security.audit import FILE, HEAD, AuditLog
    from propense.security.audit_records import ACCEPTED, SavedHead
    from propense.security.secrets import log_began, open_secrets

    output = open_output(common)
    folder = _data_folder(common)
    if not any((folder / name).exists() for name in (FILE, HEAD)) and not log_began(folder):
        raise ServeError(
            f"there is no audit log in {str(folder)!r}; "
            "it begins when the service is first started with: propense serve"
        )
    try:
        head = msgspec.json.decode(earlier.read_bytes(), type=SavedHead).head if earlier else None
    except (OSError, msgspec.DecodeError) as error:
        raise ServeError(
            f"{str(earlier)!r} is not an output of `propense audit --json`: {error}; "
            "write one with: propense audit --json > FILE"
        ) from error
    log = AuditLog(folder, open_secrets(folder))
    try:
        if accept is not None:
            if not log.is_lost():
                raise ServeError("no earlier audit log is missing; leave --accept out")
            log.append(now_micros(), ACTOR, ACCEPTED, None, {"reason": accept[:1_000]})
        verdict, current = log.verify(head), log.head()
    finally:
        log.close()
    state = "unchanged" if verdict.good else f"unchanged, but then: {verdict.reason}"
    output.result({"verdict": verdict, "head": current}, f"{verdict.rows} rows {state}")
    return 0 if verdict.good else 2


@contextmanager
def _opened(common: Common, output: Output) -> Iterator[tuple[Settings, KeyRing]]:
    """The keys of the service that the settings name, wherever its store is."""
    from propense.serving.operations.opening import opened_keys

    settings = load_settings(common)
    with opened_keys(settings, output.message) as ring:
        yield settings, ring


@contextmanager
def _logged(
    settings: Settings, action: str, detail: Detail | None = None
) -> Iterator[dict[str, Any]]:
    """Log the intention before the body, and its outcome with what the body puts into the dict:
    what cannot be logged is not done."""
    from propense.security.recording import recorded
    from propense.security.secrets import open_secrets

    data = Path(settings.folder) / settings.serve.data
    with recorded(data, open_secrets(data), ACTOR, action, detail) as outcome:
        yield outcome


def _data_folder(common: Common) -> Path:
    settings = load_settings(common)
    return Path(settings.folder) / settings.serve.data


def now_micros() -> int:
    """The time of the clock in microseconds UTC."""
    return time.time_ns() // 1000


def _end(text: str, now: int) -> int:
    """Microseconds UTC of the end of a key. Raises ServeError."""
    with suppress(SettingsError):
        return now + seconds(text) * MICROS_PER_SECOND
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise ServeError(
            f"--expires {text!r} is neither a date such as 2027-12-31, a time with its offset such "
            "as 2027-12-31T18:00:00+08:00, nor a span such as 52w"
        ) from None
    if end.tzinfo is None:
        if len(text.strip()) > len("2027-12-31"):
            raise ServeError(
                f"--expires {text!r} has no offset from UTC; write it like {text.strip()}+00:00"
            )
        end = end.replace(tzinfo=UTC)
    return round(end.timestamp() * MICROS_PER_SECOND)


def _public_fields(record: KeyRecord) -> dict[str, Any]:
    """What is shown of a key, without its secret."""
    return {
        "prefix": record.prefix, "name": record.name, "kind": record.kind,
        "scopes": sorted(record.scopes), "source": record.source, "origins": list(record.origins),
        "created": _time(record.created), "expires": _time(record.expires),
        "revoked": _time(record.revoked),
    }  # fmt: skip


def _secret_field(ring: KeyRing, record: KeyRecord) -> dict[str, str]:
    return {"signing_secret": ring.signing_secret(record)} if record.is_page else {}


def _state(record: KeyRecord, now: int) -> str:
    if record.revoked is not None:
        return "revoked"
    if record.off is not None:
        return "off"
    return "live" if record.is_live(now) else "expired"


def _time(micros: int | None) -> str | None:
    if micros is None:
        return None
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat()


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).strftime("%Y-%m-%d")


def _last_use(micros: int | None) -> str:
    if micros is None:
        return "never used"
    used = datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC)
    return f"used {used:%Y-%m-%d %H}h"
