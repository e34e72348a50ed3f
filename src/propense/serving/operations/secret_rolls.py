"""Rolling the key of one purpose: the others, and what was signed before, stay as they are.

Which generation counts is a record of the store, so that every process and host follows within
seconds. The audit log notes its own generations in its rows, since it has to be checked without a
store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import ServeError, nearest
from propense.history.controls import Controls
from propense.security.audit import AuditLog
from propense.security.audit_records import ROLLED, Detail
from propense.security.secrets import Roll, Secrets, key_id_file, open_secrets
from propense.serving.operations.service_store import service_store
from propense.settings import Settings
from propense.times import MICROS_PER_SECOND

KIND: Final = "secrets"
BY_RECORD: Final = ("webhooks", "receipts", "keys")
BY_LOG: Final = "audit"
_FIXED: Final = {
    "pseudonyms": "customers are stored under pseudonyms made with it, so a new one would part "
    "every customer from their history",
    "suppression": "only hashes of erased customers are stored, so a new one would let them be "
    "stored again",
}
"""Purposes whose key cannot be rolled, and why."""


def read_rolls(controls: Controls) -> dict[str, Roll]:
    """Purpose -> its last roll."""
    return {
        record.key: msgspec.json.decode(record.value, type=Roll)
        for record in controls.read(KIND).records
    }


def check_purpose(purpose: str) -> None:
    """Raises ServeError where the key of this purpose cannot be rolled."""
    if purpose in _FIXED:
        raise ServeError(
            f"the key of {purpose!r} cannot be rolled: {_FIXED[purpose]}; begin with a new secret "
            f"and an empty data folder instead"
        )
    if purpose not in (*BY_RECORD, BY_LOG):
        raise ServeError(
            f"there is no purpose {purpose!r}; {nearest(purpose, (*BY_RECORD, BY_LOG))}"
        )


def roll(
    settings: Settings, purpose: str, grace_seconds: float, clock: Callable[[], int], actor: str
) -> tuple[Secrets, Roll]:
    """Give a purpose its next key; the old one stays valid for `grace_seconds` where others check
    it. Logged. Returns the secrets, with the new key, and the roll.

    Raises ServeError where the purpose has no such key, StoreError where the store cannot be
    reached.
    """
    check_purpose(purpose)
    data = Path(settings.folder) / settings.serve.data
    if not key_id_file(data).is_file():
        raise ServeError(f"{str(data)!r} is not the data folder of a service; check [serve] data")
    own = open_secrets(data)
    now = clock()
    with closing(AuditLog(data, own)) as log:
        if purpose == BY_LOG:
            return own, Roll(log.roll(now, actor), now, now)
        with service_store(settings, own) as store:
            rolls = read_rolls(store.controls)
            before = rolls.get(purpose, Roll())
            until = now + round(grace_seconds * MICROS_PER_SECOND)
            new = Roll(before.generation + 1, now, until)
            detail: Detail = {"purpose": purpose, "generation": new.generation}
            with log.recording(clock, actor, ROLLED, detail):
                store.controls.update(KIND, purpose, lambda _: msgspec.json.encode(new))
    own.follow({**rolls, purpose: new})
    return own, new


def present(settings: Settings) -> Secrets:
    """The secrets of a service with every roll so far. Raises as `roll`."""
    data = Path(settings.folder) / settings.serve.data
    own = open_secrets(data)
    with service_store(settings, own) as store:
        own.follow(read_rolls(store.controls))
    return own
