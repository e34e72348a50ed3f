"""Verbs of who may ask the service, and of the log of who did what."""

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
    from propense.security.audit import Detail
    from propense.security.keys import KeyRecord, KeyRing

Scopes = Annotated[
    list[Literal["ingest", "read", "admin", "verify"]], Parameter(name="--scope", negative="")
]
Text = Annotated[str | None, Parameter(show_default=False)]
ACTOR = "cli"
"""Who did it, in the audit log, where it was done with this command line."""


def create_key(
    name: str,
    /,
    *,
    scope: Scopes,
    source: Text = None,
    lasts: Text = None,
    common: Common = DEFAULTS,
) -> None:
    """Make an API key. It is shown once, and kept only as a hash.

    A key with the scope ingest alone may stand in a web page.

    Parameters
    ----------
    name
        What it is for, such as "website".
    scope
        What it may: send events (ingest), ask (read), change what serves and
        erase (admin), run the integration test (verify). May be given again.
    source
        Source word of the events it sends.
    lasts
        For how long it opens, such as 52w; without it for ever.
    """
    output = open_output(common)
    folder, now = _data(common), _now()
    expires = None if lasts is None else now + seconds(lasts) * MICROS_PER_SECOND
    ring = _ring(folder)
    record, whole = ring.create(name, scope, now=now, source=source, expires=expires)
    _log(folder, now, "keys.create", {"prefix": record.prefix, "scopes": sorted(record.scopes)})
    output.say(f"key {record.prefix} for {name}; it is not shown again:")
    output.result({"key": whole, **_plain(record)}, whole)


def list_keys(*, common: Common = DEFAULTS) -> None:
    """Every API key, oldest first, without its secret."""
    output = open_output(common)
    now = _now()
    records = _ring(_data(common)).records()
    lines = [
        f"{record.prefix}  {_state(record, now):<9} {_day(record.created)}  "
        f"{','.join(sorted(record.scopes)):<18} {record.name}"
        for record in records
    ]
    output.result(
        [_plain(record) | {"state": _state(record, now)} for record in records],
        "\n".join(lines) or "no keys; make one: propense keys create NAME --scope read",
    )


def revoke_key(prefix: str, /, *, common: Common = DEFAULTS) -> None:
    """Let an API key open nothing any more; running services know within a second.

    Parameters
    ----------
    prefix
        The key's first eight characters after pp_, as `propense keys list` shows.
    """
    output = open_output(common)
    folder, now = _data(common), _now()
    record = _ring(folder).revoke(prefix, now)
    _log(folder, now, "keys.revoke", {"prefix": prefix})
    output.result(_plain(record), f"{prefix} ({record.name}) opens nothing any more")


def rotate_key(prefix: str, /, *, grace: str = "1d", common: Common = DEFAULTS) -> None:
    """Give an API key a new secret, which is shown once.

    Parameters
    ----------
    prefix
        The key's first eight characters after pp_, as `propense keys list` shows.
    grace
        For how long the old secret opens too; 0 ends it at once.
    """
    output = open_output(common)
    folder, now = _data(common), _now()
    left = 0 if grace.strip() == "0" else seconds(grace)
    record, whole = _ring(folder).rotate(prefix, left, now)
    _log(folder, now, "keys.rotate", {"prefix": prefix, "grace_seconds": left})
    output.say(f"new secret of key {prefix} ({record.name}); it is not shown again:")
    output.result({"key": whole, **_plain(record)}, whole)


def audit(
    *, kept: Annotated[Path | None, Parameter(show_default=False)] = None, common: Common = DEFAULTS
) -> int:
    """Prove that nothing was changed in the log of who did what; 2 if something was.

    Parameters
    ----------
    kept
        File with what `propense audit --json` said before, kept in another place:
        shows also that log and head were not both taken back since.
    """
    import msgspec

    from propense.security.audit import FILE, HEAD, AuditLog, Kept
    from propense.security.secrets import open_secrets

    output = open_output(common)
    folder = _data(common)
    if not (folder / FILE).exists() and not (folder / HEAD).exists():
        raise ServeError(
            f"there is no audit log in {str(folder)!r}; the service begins one when it starts"
        )
    try:
        earlier = msgspec.json.decode(kept.read_bytes(), type=Kept).head if kept else None
    except (OSError, msgspec.DecodeError) as error:
        raise ServeError(
            f"{str(kept)!r} cannot be read: {error}; write it with: propense audit --json > FILE"
        ) from error
    log = AuditLog(folder, open_secrets(folder))
    try:
        verdict, head = log.verify(earlier), log.head()
    finally:
        log.close()
    said = "as they were written" if verdict.good else f"as they were; then: {verdict.reason}"
    output.result({"verdict": verdict, "head": head}, f"{verdict.rows} rows {said}")
    return 0 if verdict.good else 2


def _ring(folder: Path) -> KeyRing:
    from propense.security.keys import KeyRing
    from propense.security.secrets import open_secrets

    return KeyRing(folder, open_secrets(folder))


def _log(folder: Path, now: int, action: str, detail: Detail) -> None:
    from propense.security.audit import write_down
    from propense.security.secrets import open_secrets

    write_down(folder, open_secrets(folder), now, ACTOR, action, detail)


def _data(common: Common) -> Path:
    settings = load_settings(common)
    return Path(settings.folder) / settings.serve.data


def _now() -> int:
    return time.time_ns() // 1000


def _plain(record: KeyRecord) -> dict[str, Any]:
    """What may be shown of a key."""
    return {
        "prefix": record.prefix, "name": record.name, "scopes": sorted(record.scopes),
        "source": record.source, "created": _moment(record.created),
        "expires": _moment(record.expires), "revoked": _moment(record.revoked),
    }  # fmt: skip


def _state(record: KeyRecord, now: int) -> str:
    if record.revoked is not None:
        return "revoked"
    return "live" if record.is_live(now) else "expired"


def _moment(micros: int | None) -> str | None:
    return (
        None
        if micros is None
        else datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat()
    )


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).strftime("%Y-%m-%d")
