"""The running service: what it holds open, and what happens when something changes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from propense.errors import ServeError
from propense.inference.shelf import read_current
from propense.inference.signing import trusted_keys
from propense.serving.audit import AuditLog
from propense.serving.bundles import Bundles
from propense.serving.engine import Engine
from propense.serving.files import State, replace_file, state_of
from propense.serving.gather import Gather
from propense.serving.ingest.mapping import Mapper
from propense.serving.intake import Intake
from propense.serving.keys import KeyRing
from propense.serving.limits import Limiter
from propense.serving.people import People, follow_deeds
from propense.serving.pseudonyms import Pseudonyms
from propense.serving.queue import Queue
from propense.serving.records import Decision, Deed, Outcome
from propense.serving.secrets import Secrets, open_secrets
from propense.serving.shadow import Shadow, open_shadow
from propense.serving.stock import Stock
from propense.serving.store import Store
from propense.serving.stores.opening import open_store
from propense.serving.trial import Trials
from propense.serving.watch import Watch
from propense.serving.webhooks import Hooks, Message
from propense.serving.writer import Writer
from propense.settings import Settings, seconds

LOOK_SECONDS: Final = 0.25
"""How often the shelf is looked at."""


ERASED: Final = "erased"
"""File in the data folder that is written anew after each erasure, for the other processes."""


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

        Raises ServeError, StoreError, BundleError or SettingsError, saying what is missing.
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
        self.stock = Stock(self.data)
        self._erased = self.data / ERASED
        self.shadow: Shadow | None = None
        self.bundles = Bundles(
            self.shelf, self.serve, self.public_keys, self.stock, self._on_replaced
        )
        self.bundles.begin(self._current())
        self.mapper = self._mapper()
        self.store = self._open_store("history")
        self.unsettled: Counter[str] = Counter()
        self.trials = Trials(self.data, self._open_store)
        self.gather: Gather
        self.writer: Writer
        self._watching: asyncio.Task[None] | None = None
        self.in_flight = 0
        self.body_bytes = 0
        """Of the requests at work."""
        self.broken_bundle = ""
        """Why the bundle that was promoted does not answer; "" where it does."""
        self.routes: Sequence[Any] = ()
        """Set by the application, which knows them."""
        self.watch = Watch(self, self.data / "metrics", route_paths)
        self.metrics = self.watch.metrics
        self.people = People(self.store, n_workers == 1, self.unsettled, self.metrics)
        self.intake = Intake(self)
        self.hooks = Hooks(self.serve.webhooks, own)

    async def start(self) -> None:
        """Begin to write and to watch; called on the event loop that answers."""
        loop = asyncio.get_running_loop()
        limits = self.serve.limits
        self.queue = Queue(loop, limits.wait_ms / 1e3, limits.standing_wait_ms / 1e3)
        self.gather = Gather(loop, self.queue)
        most = self.serve.limits.waiting_deeds
        self.writer = Writer(
            self.store, loop, self._on_kept, most, self.unsettled, self.metrics.store
        )
        self.shadow = open_shadow(self)
        self.watch.start()
        self._watching = loop.create_task(self._watch())

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
    def engine(self) -> Engine:
        """What answers."""
        return self.bundles.serving

    def engines(self) -> list[Engine]:
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

    def _on_replaced(self, before: Engine, engine: Engine) -> None:
        if self.shadow is not None and self.shadow.engine is before:
            # Else what its memory holds would follow nothing any more.
            self.shadow.engine = engine

    def user(self, user_id: str) -> str:
        """The id a customer is kept under."""
        return self.doors.pseudonyms.pseudonym(user_id) if self.serve.pseudonyms else user_id

    async def keep(self, deeds: Sequence[Deed]) -> list[Outcome]:
        """Have deeds written; on return they are in the next answer. Raises StoreError."""
        own, trial = self.trials.part(deeds)
        if not trial:
            return await self.writer.append(own)
        found = dict(await self.trials.keep(deeds, trial, self.engines()))
        if own:
            places = [place for place in range(len(deeds)) if place not in found]
            found |= zip(places, await self.writer.append(own), strict=True)
        return [found[place] for place in range(len(deeds))]

    def log(self, decisions: Sequence[Decision]) -> None:
        """Keep what was shown, later."""
        if self.serve.log_decisions:
            self.writer.log(decisions)

    def is_trusted(self, address: str) -> bool:
        """Whether no limit holds for an address: this machine itself."""
        return address in ("127.0.0.1", "::1", "-")

    async def forget(self, names: Collection[str]) -> None:
        """Take erased customers out of what memory holds, here and in other processes."""
        self.people.forget(self.engines(), names)
        await asyncio.to_thread(replace_file, self._erased, b"")

    def announce(self, kind: str, content: dict[str, Any]) -> None:
        """Tell the webhooks."""
        now = time.time_ns() // 1000
        self.hooks.send(Message(id=secrets.token_hex(16), kind=kind, time=now, content=content))

    def _on_kept(self, deeds: Sequence[Deed], outcomes: Sequence[Outcome]) -> None:
        follow_deeds(self.engines(), deeds, outcomes, self.people.alone)

    async def _watch(self) -> None:
        """Follow the shelf and the stock: another process, or person, may have changed them."""
        refused: tuple[str, State] | None = None
        erased = state_of(self._erased)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.watch.turn()
            if erased != (erased := state_of(self._erased)):
                self.people.forget(self.engines(), None)
            wanted = refused
            try:
                wanted = read_current(self.shelf).version or self.engine.version, self.stock.state()
                if wanted == refused:
                    continue
                if wanted[0] != self.engine.version:
                    await self.swap(wanted[0])
                await self.bundles.restock()
                refused, self.broken_bundle = None, ""
            except Exception as error:
                # Whatever it is, what answers now goes on answering; readiness tells of it.
                if wanted != refused or str(error) != self.broken_bundle:
                    self.watch.refused(error)
                refused, self.broken_bundle = wanted, str(error) or type(error).__name__

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
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
