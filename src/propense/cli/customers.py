"""propense customers: undo a join, refuse customers and allow them again."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.errors import RefusedError, ServeError

if TYPE_CHECKING:
    from propense.history.store import Store
    from propense.privacy.pseudonyms import Pseudonyms
    from propense.security.audit import AuditLog
    from propense.security.audit_records import Detail

_ID_COLUMNS: Final = ("user_id", "userid", "customer_id", "id", "email", "e-mail")
_AT_ONCE: Final = 1_000

File = Annotated[Path | None, Parameter(show_default=False)]
Column = Annotated[str | None, Parameter(show_default=False)]


def split(user_id: str, /, *, common: Common = DEFAULTS) -> None:
    """Undo every join of a customer.

    Each id is a customer of its own again, with the events, traits and consent that
    came under it. What came before propense remembered that stays with the main id.
    The past that was loaded from a run is parted by the next run.

    Parameters
    ----------
    user_id
        Any id of the customer.
    """
    output = open_output(common)
    with _opened(common) as opened:
        opened.log("customers.split", user_id)
        names = opened.store.split(opened.stored_id(user_id))
        if not names:
            raise RefusedError(f"{user_id!r} is not joined with another id; nothing was changed")
    output.result(
        {"user_id": user_id, "customers": len(names)},
        f"{user_id}: {len(names)} ids are customers of their own again",
    )


def allow(user_id: str, /, *, common: Common = DEFAULTS) -> None:
    """Let events of an erased or suppressed customer be stored again.

    Parameters
    ----------
    user_id
        The id to allow. Other ids of an erased customer stay refused.
    """
    output = open_output(common)
    with _opened(common) as opened:
        # An erasure refuses an id also as it is, beside its pseudonym.
        hashes = [opened.hash_of(one) for one in {user_id, opened.stored_id(user_id)}]
        if not any(opened.store.suppressed(hashes)):
            raise RefusedError(f"{user_id!r} is not refused; nothing was changed")
        opened.log("customers.allow", user_id)
        opened.store.allow(hashes)
    output.result({"user_id": user_id, "allowed": True}, f"{user_id} may be stored again")


def suppress(
    user_id: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    file: File = None,
    column: Column = None,
    common: Common = DEFAULTS,
) -> None:
    """Refuse all events of customers from now on.

    What is stored stays: erase a customer over HTTP to remove it.

    Parameters
    ----------
    user_id
        One id.
    file
        A list of ids: a line each, or CSV.
    column
        Column of the ids in a CSV with a header.
    """
    output = open_output(common)
    ids = _ids(user_id, file, column)
    with _opened(common) as opened:
        opened.log("customers.suppress", user_id, {"customers": len(ids)})
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            opened.store.suppress([opened.hash_of(opened.stored_id(one)) for one in some])
    output.result({"suppressed": len(ids)}, f"{len(ids)} ids are refused from now on")


def unsubscribe(
    user_id: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    file: File = None,
    column: Column = None,
    purpose: Annotated[
        list[Literal["personalise", "train", "advertise"]], Parameter(negative="")
    ] = ["advertise"],  # noqa: B006
    common: Common = DEFAULTS,
) -> None:
    """Refuse purposes for customers, as an unsubscription list says.

    A later message that grants a purpose counts again.

    Parameters
    ----------
    user_id
        One id.
    file
        A list of ids: a line each, or CSV.
    column
        Column of the ids in a CSV with a header.
    purpose
        What is refused; may be repeated.
    """
    from propense.history.records import WRITTEN, CustomerUpdate

    output = open_output(common)
    ids = _ids(user_id, file, column)
    now = _now()
    flags: dict[str, bool] = dict.fromkeys(sorted(purpose), False)
    n_written = 0
    with _opened(common) as opened:
        opened.log("customers.unsubscribe", user_id, {"customers": len(ids)})
        for start in range(0, len(ids), _AT_ONCE):
            updates = [
                CustomerUpdate(
                    message_id=hashlib.blake2b(f"{now} {one}".encode()).hexdigest()[:32],
                    user_id=opened.stored_id(one), received=now, consent=flags, kind="unsubscribe",
                )
                for one in ids[start : start + _AT_ONCE]
            ]  # fmt: skip
            n_written += sum(result in WRITTEN for result in opened.store.append(updates))
    output.result(
        {"unsubscribed": n_written, "suppressed": len(ids) - n_written, "purposes": sorted(flags)},
        f"{n_written} customers refuse {', '.join(flags)}"
        + (f"; {len(ids) - n_written} are refused altogether" if n_written < len(ids) else ""),
    )


def _ids(user_id: str | None, file: Path | None, column: str | None) -> list[str]:
    """The ids that a command is about, tidied as ids of events are, once each."""
    from propense.ids import is_placeholder, tidy_id

    if (user_id is None) == (file is None):
        raise ServeError("name one id, or a list with --file FILE")
    texts = [user_id or ""] if file is None else _read_list(file, column)
    ids = dict.fromkeys(tidy_id(text) for text in texts if text.strip())
    for one in ids:
        if is_placeholder(one):
            raise ServeError(
                f"{one!r} is a word for a missing id and is nobody's; take it out of the list"
            )
    if not ids:
        raise ServeError(f"there are no ids in {str(file)!r}")
    return list(ids)


def _read_list(file: Path, column: str | None) -> list[str]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ServeError(f"{str(file)!r} cannot be read as a list of ids: {error}") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    names = _ID_COLUMNS if column is None else (column.strip().lower(),)
    index = next((header.index(name) for name in names if name in header), None)
    if index is None and (column is not None or len(header) > 1):
        raise ServeError(
            f"{str(file)!r} has the columns {', '.join(header)[:200]!r}; name that of the ids with "
            "--column NAME"
        )
    body = rows if index is None else rows[1:]
    short = next((number for number, row in enumerate(body, 1) if len(row) <= (index or 0)), None)
    if short is not None:
        raise ServeError(f"{str(file)!r} has no id in row {short}; complete the row")
    return [row[index or 0] for row in body]


@dataclass(frozen=True)
class _Opened:
    """What a command changes, and how the service names it."""

    store: Store
    pseudonyms: Pseudonyms
    has_pseudonyms: bool
    audit: AuditLog

    def stored_id(self, user_id: str) -> str:
        """The id under which a customer is stored."""
        return self.pseudonyms.pseudonym(user_id) if self.has_pseudonyms else user_id

    def hash_of(self, stored_id: str) -> bytes:
        """What the store keeps of an id that is refused."""
        return self.pseudonyms.suppression_hash(stored_id)

    def log(self, action: str, user_id: str | None, detail: Detail | None = None) -> None:
        """Write to the audit log, before anything is done."""
        self.audit.append(_now(), ACTOR, action, user_id, detail)


@contextmanager
def _opened(common: Common) -> Iterator[_Opened]:
    """The live store. At the end the processes of the service forget the customers in their
    memory."""
    from propense.files import ERASED, locked, replace_file
    from propense.privacy.pseudonyms import Pseudonyms
    from propense.security.audit import AuditLog
    from propense.security.secrets import key_id_file, open_secrets
    from propense.serving.operations.service_store import service_store

    settings = load_settings(common)
    serve, data = settings.serve, Path(settings.folder) / settings.serve.data
    if not key_id_file(data).is_file():
        raise ServeError(f"{str(data)!r} is not the data folder of a service; check [serve] data")
    secrets = open_secrets(data)
    pseudonyms = Pseudonyms(secrets)
    with (
        closing(AuditLog(data, secrets)) as audit,
        service_store(settings, secrets) as store,
    ):
        yield _Opened(store, pseudonyms, serve.pseudonyms, audit)
        with locked((data / ERASED).with_suffix(".lock")):
            replace_file(data / ERASED, b"")


def _now() -> int:
    return time.time_ns() // 1000
