"""The running service: what it holds open, and what happens when something changes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from propense.errors import ServeError
from propense.history.group_commit import Writer
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.store import Store
from propense.inference.shelf import read_current
from propense.ingest.mapping import Mapper
from propense.privacy.pseudonyms import Pseudonyms
from propense.runtime.batcher import Batcher
from propense.runtime.customer_reader import CustomerReader, follow_updates
from propense.runtime.engine import ScoringEngine
from propense.runtime.integration_tests import IntegrationTests
from propense.runtime.item_updates import ItemUpdates
from propense.runtime.load_shedding import LoadShedder
from propense.runtime.loaded_bundles import Bundles
from propense.security.audit import AuditLog
from propense.security.keys import KeyRing
from propense.security.secrets import Secrets, open_secrets
from propense.security.signing import trusted_keys
from propense.serving.monitoring.monitor import Monitor
from propense.serving.operations.admission import Admission
from propense.serving.reloading import Reloader
from propense.serving.shadow import Shadow, open_shadow
from propense.settings import Settings, seconds
from propense.times import MICROS_PER_SECOND
from propense.web.rate_limits import Limiter
from propense.web.webhooks import Hooks, WebhookMessage


@dataclass(frozen=True)
class Doors:
    """Who may come in, and how often."""

    keys: KeyRing
    limiter: Limiter
    pseudonyms: Pseudonyms
    audit: AuditLog
    secrets: Secrets


class Service:
    """One process of the service. Everything runs on its event loop but writing to the store."""

    def __init__(
        self, settings: Settings, route_paths: Sequence[str] = (), n_workers: int = 1
    ) -> None:
        """Open keys, store and the bundle that serves; `route_paths` are counted one by one.

        Raises ServeError, StoreError, BundleError, SettingsError or SourceError, saying what is
        missing.
        """
        self.settings = settings
        self.serve = settings.serve
        self.n_workers = n_workers
        self.data = Path(settings.folder) / self.serve.data
        self.data.mkdir(parents=True, exist_ok=True)
        self.shelf = Path(settings.folder) / settings.pack.shelf
        self.public_keys = trusted_keys(settings)
        """Who may sign bundles; () where none has to."""
        own = open_secrets(self.data)
        self.doors = Doors(
            KeyRing(self.data, own),
            Limiter(self.serve.limits),
            Pseudonyms(own),
            AuditLog(self.data, own),
            own,
        )
        self.stock = ItemUpdates(self.data)
        self.following = Reloader(self)
        self.shadow: Shadow | None = None
        self.bundles = Bundles(
            self.shelf,
            self.serve,
            self.public_keys,
            self.stock,
            self._on_replaced,
            self._on_shadow_failed,
        )
        self.bundles.begin(self._current())
        self.mapper = self._mapper()
        self.store = self._open_store("history")
        self.unsettled: Counter[str] = Counter()
        self.trials = IntegrationTests(self.data, self._open_store)
        self.gather: Batcher
        self.writer: Writer
        self._watching: asyncio.Task[None] | None = None
        self.in_flight = 0
        self.body_bytes: Counter[str] = Counter()
        """Of the requests at work with large bodies, by the name of their route."""
        self.routes: Sequence[Any] = ()
        """Set by the application, which knows them."""
        self.watch = Monitor(self, self.data / "metrics", route_paths)
        self.metrics = self.watch.metrics
        self.people = CustomerReader(self.store, n_workers == 1, self.unsettled, self.metrics)
        self.intake = Admission(self)
        self.hooks = Hooks(self.serve.webhooks, own)

    async def start(self) -> None:
        """Begin to write and to watch; called on the event loop that answers."""
        loop = asyncio.get_running_loop()
        limits = self.serve.limits
        self.queue = LoadShedder(loop, limits.wait_ms / 1e3, limits.standing_wait_ms / 1e3)
        self.gather = Batcher(loop, self.queue)
        most = self.serve.limits.queued_messages
        self.writer = Writer(
            self.store, loop, self._on_kept, most, self.unsettled, self.metrics.store
        )
        self.shadow = open_shadow(self)
        self.watch.start()
        self._watching = loop.create_task(self.following.run())

    async def stop(self) -> None:
        """Write what waits and let go of everything."""
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.to_thread(self.writer.close)
        self.trials.close()
        self.store.close()
        self.doors.audit.close()
        self.watch.close()
        await asyncio.to_thread(self.hooks.close)

    @property
    def engine(self) -> ScoringEngine:
        """What answers."""
        return self.bundles.serving

    def engines(self) -> list[ScoringEngine]:
        """Every opened bundle whose memory of customers must follow changes."""
        engines = self.bundles.all()
        if self.shadow is not None and self.shadow.engine not in engines:
            engines.append(self.shadow.engine)
        return engines

    async def swap(self, version: str) -> None:
        """Let another bundle answer, from the next question on. Nobody waits for it."""
        engine = await self.bundles.swap(version)
        self.mapper = self._mapper()
        self.watch.follow(engine)
        self.watch.log.notice("bundle promoted", bundle=version)
        self.following.swapped()

    def _on_replaced(self, before: ScoringEngine, engine: ScoringEngine) -> None:
        if self.shadow is not None and self.shadow.engine is before:
            # Else what its memory holds would follow nothing any more.
            self.shadow.engine = engine

    def _on_shadow_failed(self, error: Exception) -> None:
        self.metrics.shadow("failed")
        self.watch.log.problem("shadow failed", error)

    def user(self, user_id: str) -> str:
        """The id a customer is kept under."""
        return self.doors.pseudonyms.pseudonym(user_id) if self.serve.pseudonyms else user_id

    async def keep(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """Have deeds written; on return they are in the next answer. Raises StoreError."""
        own, trial = self.trials.part(updates)
        if not trial:
            return await self.writer.append(own)
        found = dict(await self.trials.keep(updates, trial, self.engines()))
        if own:
            places = [place for place in range(len(updates)) if place not in found]
            found |= zip(places, await self.writer.append(own), strict=True)
        return [found[place] for place in range(len(updates))]

    def log(self, decisions: Sequence[Decision]) -> None:
        """Keep what was shown, later."""
        if self.serve.log_decisions:
            self.writer.log(decisions)

    def is_trusted(self, address: str) -> bool:
        """Whether no limit holds for an address: this machine itself."""
        return address in ("127.0.0.1", "::1", "-")

    def announce(self, kind: str, content: dict[str, Any]) -> None:
        """Tell the webhooks."""
        now = time.time_ns() // 1000
        self.hooks.send(
            WebhookMessage(id=secrets.token_hex(16), kind=kind, time=now, content=content)
        )

    def _on_kept(self, updates: Sequence[CustomerUpdate], outcomes: Sequence[WriteResult]) -> None:
        follow_updates(self.engines(), updates, outcomes, self.people.alone)

    def _current(self) -> str:
        version = read_current(self.shelf).version
        if version is None:
            raise ServeError(
                f"shelf {str(self.shelf)!r} is empty; make a bundle with: propense run"
            )
        return version

    def _mapper(self) -> Mapper:
        encoder = self.engine.bundle.encoder
        return Mapper(self.serve, encoder.actions.words, encoder.sources.words)

    def _open_store(self, name: str) -> Store:
        return open_store(
            self.serve.store,
            self.data,
            durable=self.serve.durable,
            mark=self.doors.pseudonyms.mark,
            remember_seconds=seconds(self.serve.remember_messages),
            name=name,
            consent_required=self.serve.consent,
        )


def iso(micros: int) -> str:
    """A moment for the record of what served when."""
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat(timespec="seconds")
