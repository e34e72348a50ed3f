"""`propense keys` and `propense audit`: API keys and the audit log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.errors import ServeError
from propense.settings import seconds
from propense.times import MICROS_PER_SECOND

if TYPE_CHECKING:
    from propense.security.audit_records import Detail
    from propense.security.keys import KeyRecord, KeyRing

Scopes = Annotated[
    list[Literal["ingest", "read", "admin", "verify"]], Parameter(name="--scope", negative="")
]
OptionalText = Annotated[str | None, Parameter(show_default=False)]
ACTOR = "cli"
"""The actor that the audit log names for actions of this command line."""


def create_key(
    name: str,
    /,
    *,
    scope: Scopes,
    source: OptionalText = None,
    lasts: OptionalText = None,
    common: Common = DEFAULTS,
) -> None:
    """Create an API key. It is shown once and stored only as a hash.

    Scopes: ingest sends events, read asks for answers, admin changes bundles and
    erases customers, verify is for `propense verify`. A key with the scope ingest
    alone is safe in a web page.

    Parameters
    ----------
    name
        What the key is for, such as "website".
    scope
        What the key permits; may be repeated.
    source
        Source name of the events that are sent with it.
    lasts
        How long the key is valid, such as 52w; default: for ever.
    """
    output = open_output(common)
    folder, now = _data_folder(common), now_micros()
    expires = None if lasts is None else now + seconds(lasts) * MICROS_PER_SECOND
    ring = _ring(folder)
    record, key = ring.create(name, scope, now=now, source=source, expires=expires)
    _log(folder, now, "keys.create", {"prefix": record.prefix, "scopes": sorted(record.scopes)})
    output.message(f"key {record.prefix} for {name}; it is not shown again:")
    output.result({"key": key, **_public_fields(record)}, key)


def list_keys(*, common: Common = DEFAULTS) -> None:
    """List API keys, oldest first, without their secrets."""
    output = open_output(common)
    now = now_micros()
    records = _ring(_data_folder(common)).records()
    lines = [
        f"{record.prefix}  {_state(record, now):<9} {_day(record.created)}  "
        f"{','.join(sorted(record.scopes)):<18} {record.name}"
        for record in records
    ]
    output.result(
        [_public_fields(record) | {"state": _state(record, now)} for record in records],
        "\n".join(lines)
        or "there are no keys; create one with: propense keys create NAME --scope read",
    )


def revoke_key(prefix: str, /, *, common: Common = DEFAULTS) -> None:
    """Revoke an API key; running services refuse it within a second.

    Parameters
    ----------
    prefix
        The eight characters after pp_, see `propense keys list`.
    """
    output = open_output(common)
    folder, now = _data_folder(common), now_micros()
    record = _ring(folder).revoke(prefix, now)
    _log(folder, now, "keys.revoke", {"prefix": prefix})
    output.result(_public_fields(record), f"{prefix} ({record.name}) is revoked")


def rotate_key(prefix: str, /, *, grace: str = "1d", common: Common = DEFAULTS) -> None:
    """Give an API key a new secret, which is shown once.

    Parameters
    ----------
    prefix
        The eight characters after pp_, see `propense keys list`.
    grace
        How long the old secret remains valid; 0 ends it at once.
    """
    output = open_output(common)
    folder, now = _data_folder(common), now_micros()
    grace_seconds = 0 if grace.strip() == "0" else seconds(grace)
    record, key = _ring(folder).rotate(prefix, grace_seconds, now)
    _log(folder, now, "keys.rotate", {"prefix": prefix, "grace_seconds": grace_seconds})
    output.message(f"new secret of key {prefix} ({record.name}); it is not shown again:")
    output.result({"key": key, **_public_fields(record)}, key)


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


def _ring(folder: Path) -> KeyRing:
    from propense.security.keys import KeyRing
    from propense.security.secrets import open_secrets

    return KeyRing(folder, open_secrets(folder))


def _log(folder: Path, now: int, action: str, detail: Detail) -> None:
    from propense.security.recording import write_down
    from propense.security.secrets import open_secrets

    write_down(folder, open_secrets(folder), now, ACTOR, action, detail)


def _data_folder(common: Common) -> Path:
    settings = load_settings(common)
    return Path(settings.folder) / settings.serve.data


def now_micros() -> int:
    """The time of the clock in microseconds UTC."""
    return time.time_ns() // 1000


def _public_fields(record: KeyRecord) -> dict[str, Any]:
    """What is shown of a key, without its secret."""
    return {
        "prefix": record.prefix, "name": record.name, "scopes": sorted(record.scopes),
        "source": record.source, "created": _time(record.created),
        "expires": _time(record.expires), "revoked": _time(record.revoked),
    }  # fmt: skip


def _state(record: KeyRecord, now: int) -> str:
    if record.revoked is not None:
        return "revoked"
    return "live" if record.is_live(now) else "expired"


def _time(micros: int | None) -> str | None:
    if micros is None:
        return None
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat()


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).strftime("%Y-%m-%d")
