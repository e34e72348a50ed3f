"""Opens the API keys of a service, whether it runs or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from propense.errors import ServeError
from propense.inference.shelf import read_current
from propense.security.key_ring import KeyRing
from propense.security.old_keys import move_old_keys
from propense.security.secrets import open_secrets
from propense.serving.operations.secret_rolls import read_rolls
from propense.serving.operations.service_store import service_store
from propense.settings import Settings


def data_folder(settings: Settings) -> Path:
    """The service's data folder."""
    return Path(settings.folder) / settings.serve.data


@contextmanager
def opened_keys(settings: Settings, report: Callable[[str], None]) -> Iterator[KeyRing]:
    """The keys of the service, wherever its store is. `report` prints what was moved from files of
    older versions. Raises ServeError or StoreError."""
    data = data_folder(settings)
    secrets = open_secrets(data)
    with service_store(settings, secrets) as store:
        secrets.follow(read_rolls(store.controls))
        ring = KeyRing(store.controls, secrets)
        moved = move_old_keys(data, ring)
        if moved:
            report(moved)
        yield ring


def versions_latest_first(shelf: Path) -> list[str]:
    """The version that serves and those that served before it. Raises ServeError where the shelf
    is empty."""
    history = [entry.version for entry in reversed(read_current(shelf).history)]
    if not history:
        raise ServeError(f"shelf {str(shelf)!r} is empty; make a bundle with: propense run")
    return list(dict.fromkeys(history))
