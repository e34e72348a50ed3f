"""The live store of a service, opened by the service itself or beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from propense.history.opening import open_store
from propense.history.store import Store, StoreOptions
from propense.privacy.pseudonyms import Pseudonyms
from propense.security.secrets import Secrets
from propense.settings import Settings, seconds


def open_history(settings: Settings, secrets: Secrets, name: str = "history") -> Store:
    """The live store of these settings, or the one of another name beside it. Raises StoreError."""
    serve = settings.serve
    options = StoreOptions(
        durable=serve.durable,
        suppression_hash=Pseudonyms(secrets).suppression_hash,
        remember_seconds=seconds(serve.remember_messages),
        name=name,
        consent_required=serve.consent,
        bounds=(serve.limits.traits, serve.limits.trait_bytes),
    )
    return open_store(serve.store, Path(settings.folder) / serve.data, options)


@contextmanager
def service_store(settings: Settings, secrets: Secrets) -> Iterator[Store]:
    """The live store of these settings, also while the service runs. Raises StoreError."""
    with closing(open_history(settings, secrets)) as store:
        yield store
