"""The store of a service, for commands that have no service open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from propense.history.opening import open_store
from propense.history.store import Store, StoreOptions
from propense.privacy.pseudonyms import Pseudonyms
from propense.security.secrets import Secrets
from propense.settings import Settings, seconds


@contextmanager
def service_store(settings: Settings, secrets: Secrets) -> Iterator[Store]:
    """The live store of these settings, also while the service runs. Raises StoreError."""
    options = StoreOptions(
        durable=settings.serve.durable,
        suppression_hash=Pseudonyms(secrets).suppression_hash,
        remember_seconds=seconds(settings.serve.remember_messages),
    )
    data = Path(settings.folder) / settings.serve.data
    with closing(open_store(settings.serve.store, data, options)) as store:
        yield store
