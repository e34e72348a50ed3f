"""The running service: its parts, put together, and what they tell each other."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from propense.errors import BundleError, ServeError, SettingsError, SourceError, StoreError
from propense.files import private_folder
from propense.history.group_commit import Writer
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.store import Store
from propense.ingest.mapping import MOST_REMEMBERED, Mapper
from propense.ingest.rules import IngestRules
from propense.privacy.pseudonyms import Pseudonyms
from propense.runtime.batcher import Batcher
from propense.runtime.customer_reader import CustomerReader, follow_updates
from propense.runtime.engine import ScoringEngine
from propense.runtime.integration_tests import IntegrationTests
from propense.runtime.item_updates import ItemUpdates
from propense.runtime.load_shedding import LoadShedder
from propense.runtime.loaded_bundles import Bundles
from propense.runtime.metrics import Gauges, ShedReason
from propense.runtime.popularity import Popularity, forget_outdated
from propense.security.audit import AuditLog
from propense.security.key_ring import KeyRing
from propense.security.old_keys import move_old_keys
from propense.security.secrets import open_secrets
from propense.security.signing import signers_of
from propense.serving.monitoring.monitor import Monitor
from propense.serving.monitoring.readiness import Readiness, State
from propense.serving.operations.admission import Admission
from propense.serving.operations.erasure import Eraser
from propense.serving.operations.least_bundle import LeastBundle
from propense.serving.operations.opening import versions_latest_first
from propense.serving.operations.pending_erasures import PendingErasures
from propense.serving.operations.popularity_counting import PopularityCounting
from propense.serving.operations.retention import Expiry
from propense.serving.operations.secret_rolls import read_rolls
from propense.serving.operations.service_store import open_history
from propense.serving.operations.upkeep import Upkeep
from propense.serving.reloading import Backoff, ErasureNotice, Reloader
from propense.serving.shadow import FILE as SHADOW_FILE
from propense.serving.shadow import Shadow
from propense.settings import Limits, Settings
from propense.web.endpoint import Route, refusal
from propense.web.quotas import Quotas
from propense.web.rate_limits import Limiter
from propense.web.request import Response
from propense.web.webhooks import Hooks, WebhookMessage

CHECK_SECONDS: Final = 0.25
"""Seconds between two checks for what other processes have changed."""
KEY_SECONDS: Final = 0.2
"""The same for API keys: a revoked key opens nothing after half a second."""

_TOO_LATE: Final = refusal("the answer would come too late; try again")
_TOO_FULL: Final = refusal("too many events wait to be written; try again")


class Service:
    """One process of the service. Everything runs on its event loop but writing to the store.

    Its parts get only what they use; handlers name what they use in a protocol of their own.
    """

    def __init__(
        self, settings: Settings, routes: Sequence[Route[Any]] = (), n_workers: int = 1
    ) -> None:
        """Open keys, store and the bundle that serves.

        Raises ServeError, StoreError, BundleError, SettingsError or SourceError, saying what is
        missing.
        """
        self.settings = settings
        self.serve = settings.serve
        self.routes = routes
        self.data = Path(settings.folder) / self.serve.data
        private_folder(self.data)
        self.shelf = Path(settings.folder) / settings.pack.shelf
        self.signers = signers_of(settings)
        self.in_flight = 0
        self.body_bytes: Counter[str] = Counter()
        self.secrets = open_secrets(self.data)
        self.limiter = Limiter(self.serve.limits)
        self.pseudonyms = Pseudonyms(self.secrets)
        self.audit = AuditLog(self.data, self.secrets)
        self.hooks = Hooks(self.serve.webhooks, self.secrets)
        self.monitor = Monitor(
            self.data / "metrics", [route.path for route in routes], self._gauges, self.announce
        )
        self.store = self._open_store("history")
        self.items = ItemUpdates(self.store.controls, self.data)
        self.popularity = Popularity(self.store.controls)
        self.bundles = Bundles(
            self.shelf, self.serve, self.signers, self.items, self.popularity, self._on_replaced,
            self.monitor.shadow_failed,
        )  # fmt: skip
        self.secrets.follow(read_rolls(self.store.controls))
        self.keys = KeyRing(self.store.controls, self.secrets)
        move_old_keys(self.data, self.keys)
        self.least = LeastBundle(self.store.controls, self.signers.required)
        self.bundles.begin(versions_latest_first(self.shelf), self.least.check)
        self.least.rise(self.engine.version)
        self.mapper = self._make_mapper()
        self.shadow: Shadow | None = None
        self._shadow_refused = False
        self.tests = IntegrationTests(self.data, self._open_store, self.store)
        self.batcher: Batcher
        self.shedder: LoadShedder
        self.writer: Writer
        self._tasks: list[asyncio.Task[None]] = []
        self._announced: ScoringEngine  # the last whose serving was logged
        metrics = self.monitor.metrics
        self._unsettled: Counter[str] = Counter()
        self.reader = CustomerReader(self.store, n_workers == 1, self._unsettled, metrics)
        quotas = Quotas(self.serve.limits, self.secrets.key("suppression")[:32])
        self.admission = Admission(quotas, self.reader, metrics)
        self._notice = ErasureNotice(self.data, self._forget)
        self.reloader = Reloader(
            self.shelf, self.bundles, self.items, self._notice, self.swap,
            self.monitor.reload_failed,
        )  # fmt: skip
        self.readiness = Readiness(
            self.data, lambda: self.engine.bundle, self.store.ping, self._why_not_written,
            self.store.check,
        )  # fmt: skip
        self.pending = PendingErasures(self.store.controls, self.data)
        counting = PopularityCounting(
            self.store, self.popularity, lambda: self.engine, self.pending
        )
        self.eraser = Eraser(
            settings, self.reader, self.secrets, self.pseudonyms, self.audit, metrics,
            self.pending, self.forget, counting.uncount, self.announce,
        )  # fmt: skip
        self.upkeep = Upkeep(
            self.eraser, self.audit, self.keys, self.secrets,
            Expiry(settings, self.store, self.audit, self.tests),
            counting, self.forget, self.monitor.upkeep_failed,
        )  # fmt: skip

    async def start(self) -> None:
        """Begin to write and to check for changes; called on the event loop that answers."""
        loop = asyncio.get_running_loop()
        limits, metrics = self.serve.limits, self.monitor.metrics
        self.shedder = LoadShedder(loop, limits.wait_ms / 1e3, limits.standing_wait_ms / 1e3)
        self.batcher = Batcher(loop, self.shedder)
        self.writer = Writer(
            self.store, loop, self._on_written, limits.queued_messages, self._unsettled,
            metrics.store,
        )  # fmt: skip
        if self.serve.shadow is not None:
            self._open_shadow(self.serve.shadow)
        self.monitor.start(self.engine.bundle, self.engine.version)
        self.readiness.begin()
        self._announced = self.engine
        await self.upkeep.log_serving(self.engine.version, self.engine.packed.manifest.content)
        self._tasks = [
            loop.create_task(self._check_for_changes()), loop.create_task(self.upkeep.run()),
            loop.create_task(self._follow_records()),
        ]  # fmt: skip

    async def stop(self) -> None:
        """Write what waits and close everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self.keys.write_uses)
        await asyncio.to_thread(self.writer.close)
        self.tests.close()
        self.store.close()
        self.audit.close()
        self.monitor.close()
        await asyncio.to_thread(self.hooks.close)

    @property
    def engine(self) -> ScoringEngine:
        """The bundle that serves."""
        return self.bundles.serving

    @property
    def limits(self) -> Limits:
        return self.serve.limits

    @property
    def origins(self) -> Sequence[str]:
        return self.serve.origins

    def overload(self, route: Route[Any]) -> Response | None:
        """The refusal of a request that would only make others wait."""
        if route.is_question and self.shedder.is_too_long():
            return _TOO_LATE
        if route.browser and self.writer.is_full:
            return _TOO_FULL
        return None

    def count_shed(self, reason: ShedReason) -> None:
        self.monitor.metrics.shed(reason)

    def count_answer(self, route: str, status: int, seconds: float) -> None:
        self.monitor.request_answered(route, status, seconds)

    def report_defect(self, route: str, error: Exception) -> None:
        self.monitor.log.problem("defect", error, route=route, status=500)

    def start_shadow(self, engine: ScoringEngine) -> None:
        """Let a second bundle answer silently."""
        self.shadow = Shadow(
            engine, self.reader, self.batcher, self.monitor.metrics, self.data / SHADOW_FILE,
            self.monitor.log,
        )  # fmt: skip

    def _open_shadow(self, version: str) -> None:
        """Open the bundle that answers silently. Nobody waits for its answers, so one that cannot
        be opened must not keep the service from starting."""
        try:
            self.start_shadow(self.bundles.open_now(version))
        except (BundleError, SettingsError, SourceError) as error:
            self._shadow_refused = True
            self.monitor.shadow_failed(error)

    def engines(self) -> list[ScoringEngine]:
        """Every open bundle, as each remembers customers that may change."""
        engines = self.bundles.all()
        if self.shadow is not None and self.shadow.engine not in engines:
            engines.append(self.shadow.engine)
        return engines

    async def swap(self, version: str) -> None:
        """Let another bundle answer, from the next question on. Nobody waits for it."""
        await asyncio.to_thread(self.least.check, version)
        engine = await self.bundles.swap(version)
        await asyncio.to_thread(self.least.rise, version)
        self.reloader.swapped()
        if engine is self._announced:
            return  # the promotion and the look at the shelf came at the same time
        self._announced = engine
        await self.upkeep.log_serving(version, engine.packed.manifest.content)
        self.mapper = self._make_mapper()
        self.monitor.follow(engine.bundle)
        self.monitor.log.notice("bundle promoted", bundle=version)

    def stored_id(self, user_id: str) -> str:
        """The id under which a customer is stored."""
        return self.pseudonyms.pseudonym(user_id) if self.serve.pseudonyms else user_id

    async def refused_tests(self, tokens: Collection[str]) -> dict[str, str]:
        """The integration tests among these that cannot begin, and why."""
        return await self.tests.refused(tokens)

    async def write_updates(
        self, updates: Sequence[CustomerUpdate], tests: dict[str, list[int]]
    ) -> list[WriteResult]:
        """Write updates; on return the next answer takes them into account. Raises StoreError.

        `tests` has the indexes of those that belong to each integration test.
        """
        if not tests:
            return await self.writer.append(updates)
        results = dict(await self.tests.append(updates, tests, self.engines()))
        indexes = [index for index in range(len(updates)) if index not in results]
        if indexes:
            real = [updates[index] for index in indexes]
            results |= zip(indexes, await self.writer.append(real), strict=True)
        return [results[index] for index in range(len(updates))]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """Have the lists that were shown written soon."""
        if self.serve.log_decisions:
            self.writer.log(decisions)

    def announce(self, kind: str, content: dict[str, Any]) -> None:
        """Send a message to the webhooks."""
        now = time.time_ns() // 1000
        self.hooks.send(
            WebhookMessage(id=secrets.token_hex(16), kind=kind, time=now, content=content)
        )

    async def forget(self, user_ids: Collection[str] | None = None) -> None:
        """Drop erased customers, or all, from memory, here and in the other processes."""
        self._forget(user_ids)
        if not self.reader.alone:
            await asyncio.to_thread(self._notice.publish)

    def unreadiness(self) -> State:
        """Why the service is not ready. May take a second: not for the event loop."""
        return self.readiness.check()

    def warnings(self) -> list[str]:
        """What somebody has to look at, though the service is ready, in words that anyone may
        read."""
        warnings = [*self.reloader.warnings(), *self.upkeep.warnings()]
        if n_items := len(self.engine.set_aside):
            warnings.append(
                f"{n_items} items that were sent do not fit the serving bundle and are set aside; "
                f"GET /v1/bundles names them"
            )
        if self._shadow_refused:
            warnings.append("the shadow bundle cannot be opened; see the log")
        if self.items.damaged:
            warnings.append(
                "items that were sent are damaged: send them again; if there is a file "
                "items.json.damaged, remove it then"
            )
        return warnings

    async def _check_for_changes(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.monitor.check(self.writer, len(self.engine.set_aside))
            await self.reloader.check()

    async def _follow_records(self) -> None:
        """Take over the keys and items of other processes. Apart from other checks, as opening a
        bundle must not keep a revoked key valid."""
        backoff = Backoff()
        while True:
            await asyncio.sleep(KEY_SECONDS)
            try:
                if await asyncio.to_thread(self.keys.refresh) and self.keys.unreadable:
                    raise ServeError(
                        f"{len(self.keys.unreadable)} keys were not written with this service's "
                        f"secret and open nothing, such as {self.keys.unreadable[0]!r}; give every "
                        "host the same secret"
                    )
                await asyncio.to_thread(self.keys.write_uses)
                await asyncio.to_thread(self.items.refresh)
                await asyncio.to_thread(self._follow_popularity)
                forget_outdated(self.engines())
                backoff.clear()
            except Exception as error:
                # The keys in memory stay valid: without its store the service changes nothing.
                if backoff.record(None, error):
                    self.monitor.log.problem("keys failed", error)

    def _follow_popularity(self) -> None:
        self.popularity.refresh()
        for engine in self.engines():
            self.popularity.attach(engine, int(time.time()))

    def _forget(self, user_ids: Collection[str] | None) -> None:
        self.reader.forget(self.engines(), user_ids)

    def _on_written(
        self, updates: Sequence[CustomerUpdate], results: Sequence[WriteResult]
    ) -> None:
        follow_updates(self.engines(), updates, results, self.reader.alone)

    def _on_replaced(self, before: ScoringEngine, engine: ScoringEngine) -> None:
        if self.shadow is not None and self.shadow.engine is before:
            # Otherwise nothing would update the customers it remembers.
            self.shadow.engine = engine

    def _make_mapper(self) -> Mapper:
        encoder = self.engine.bundle.encoder
        rules = IngestRules(
            currency=self.settings.currency,
            exchange_rates=self.settings.exchange_rates,
            is_refund=lru_cache(MOST_REMEMBERED)(self.settings.clean.is_refund),
            placeholder_ids=self.settings.clean.no_customer,
            consent_categories=self.serve.consent_categories,
        )
        return Mapper(self.serve, encoder.actions.words, encoder.sources.words, rules)

    def _open_store(self, name: str) -> Store:
        return open_history(self.settings, self.secrets, name)

    def _why_not_written(self) -> str | None:
        if not self.writer.is_alive:
            return "the writer of events has stopped; restart the service"
        if self.writer.failed:
            return "the last events could not be written; see the log"
        return None

    def _gauges(self) -> Gauges:
        return Gauges(
            bundle=self.engine.version,
            content=self.engine.bundle.manifest.content[:12],
            ready=self.writer.is_alive and not self.writer.failed,
            shadow="" if self.shadow is None else self.shadow.engine.version,
            in_flight=self.in_flight,
            writer_queue=self.writer.n_waiting,
            store_lag_seconds=self.writer.lag(),
            items_set_aside=len(self.engine.set_aside),
            erasures_pending=self.upkeep.n_erasing,
        )
