"""Promotion and rollback by a command: with the questions that the service will ask of the bundle,
in its audit log, and in the right of whoever may use its data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from propense.inference import shelf
from propense.inference.new_items import Misfit, fitting_items
from propense.inference.self_test import self_test
from propense.runtime.engine import network_takes_items, open_engine
from propense.runtime.item_updates import ItemUpdates, pending_updates
from propense.security.recording import recorded
from propense.security.secrets import key_id_file, open_secrets
from propense.security.signing import Signers, signers_of
from propense.serving.operations.least_bundle import LeastBundle
from propense.serving.operations.service_store import service_store
from propense.settings import Settings


def promote(
    settings: Settings, version: str, reason: str | None, made: str, actor: str
) -> tuple[Misfit, ...]:
    """Let a bundle serve that passes the gate and that the service can open. Returns the items
    that were sent and that it cannot take: the service sets them aside.

    Raises BundleError, SettingsError or SourceError where it could not serve, StoreError where
    the service's store must be asked and cannot be, ServeError where it cannot be logged.
    """
    misfits = check_bundle(settings, version)
    signers = signers_of(settings)

    def do() -> str:
        shelf.promote(_shelf(settings), version, reason, made, signers)
        return version

    _as_service(settings, actor, "promote", version, do, signers)
    return misfits


def roll_back(settings: Settings, made: str, actor: str) -> str:
    """Let the bundle serve that served before; returns its name. Raises as `promote`."""
    version = shelf.version_before(_shelf(settings))
    check_bundle(settings, version)
    signers = signers_of(settings)
    return _as_service(
        settings, actor, "rollback", version,
        lambda: shelf.rollback(_shelf(settings), made, signers), signers,
    )  # fmt: skip


def check_bundle(settings: Settings, version: str) -> tuple[Misfit, ...]:
    """Open a bundle as the service will, with the rules of the settings, and ask it. Returns the
    items that were sent and that it cannot take.

    Raises BundleError, SettingsError or SourceError where it could not serve.
    """
    folder = shelf.find_version(_shelf(settings), version)
    engine = open_engine(folder, settings.serve.scenarios, 0.0, None, signers_of(settings))
    self_test(engine.bundle)
    data = _data(settings)
    if not key_id_file(data).is_file() or not network_takes_items(engine.bundle):
        return ()
    with service_store(settings, open_secrets(data)) as store:
        updates = ItemUpdates(store.controls, data).read()[1]
    records = pending_updates(engine.packed, updates)
    return fitting_items(engine.packed, records)[1]


@contextmanager
def logged(settings: Settings, actor: str, action: str, version: str) -> Iterator[None]:
    """Log what is done to the shelf in the audit log of the service, where there is one."""
    data = _data(settings)
    if not key_id_file(data).is_file():
        yield
        return
    with recorded(data, open_secrets(data), actor, action, {"version": version}):
        yield


def _as_service(
    settings: Settings,
    actor: str,
    action: str,
    version: str,
    do: Callable[[], str],
    signers: Signers,
) -> str:
    with logged(settings, actor, action, version):
        data = _data(settings)
        if signers.required and key_id_file(data).is_file():
            # Before the shelf is changed: the running service looks at it at once.
            with service_store(settings, open_secrets(data)) as store:
                LeastBundle(store.controls, signed=True).allow(version)
        return do()


def _shelf(settings: Settings) -> Path:
    return Path(settings.folder) / settings.pack.shelf


def _data(settings: Settings) -> Path:
    return Path(settings.folder) / settings.serve.data
