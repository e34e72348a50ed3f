"""The bundles that a process has open: the one that answers, and those that stay ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from propense.errors import PropenseError
from propense.runtime.engine import ScoringEngine, open_engine
from propense.runtime.item_updates import ItemUpdates, pending_updates
from propense.settings import Serve

KEPT: Final = 3
"""Opened bundles that stay ready, so that a roll back is at once."""
EVALUATED: Final = "evaluated"


class Bundles:
    """Opened by name, VERSION or VERSION/NETWORK. One change at a time: an engine is never
    replaced by one that was made before it."""

    def __init__(
        self,
        shelf: Path,
        serve: Serve,
        public_keys: Sequence[bytes],
        stock: ItemUpdates,
        on_replaced: Callable[[ScoringEngine, ScoringEngine], None],
        on_shadow_failed: Callable[[Exception], None],
    ) -> None:
        """`on_replaced` hears of an engine that knows newer items, in the place of another;
        `on_shadow_failed` of a shadow that cannot take them."""
        self._shelf = shelf
        self._serve = serve
        self._public_keys = public_keys
        self._stock = stock
        self._on_replaced = on_replaced
        self._on_shadow_failed = on_shadow_failed
        self._opened: dict[str, ScoringEngine] = {}
        self._changing = asyncio.Lock()
        self.serving: ScoringEngine
        """What answers; set by `begin`."""

    def begin(self, version: str) -> None:
        """Open the bundle that answers first. Raises as `open`."""
        self.serving = self.open_now(version)

    def all(self) -> list[ScoringEngine]:
        """Every engine whose memory of customers must follow what changes."""
        return list({id(one): one for one in (*self._opened.values(), self.serving)}.values())

    def open_now(self, version: str) -> ScoringEngine:
        """As `open`, before anybody is answered: it takes a while."""
        if version not in self._opened:
            self._opened[version] = self._make(version, None, None)
        return self._opened[version]

    async def open(self, version: str, network: str | None = None) -> ScoringEngine:
        """A bundle beside the one that answers, with the items of now.

        Raises BundleError, SettingsError, SourceError, ServeError.
        """
        async with self._changing:
            return await self._current(version, network)

    async def evaluated(self) -> ScoringEngine:
        """The network of the report, of the bundle that serves: what a test is held against."""
        serving = self.serving
        # Items that came meanwhile are not in the report.
        if not serving.bundle.info.refreshed and serving.bundle is serving.packed:
            return serving
        return await self.open(serving.version, EVALUATED)

    async def swap(self, version: str) -> ScoringEngine:
        """Let a bundle answer, from the next question on. Raises as `open`."""
        async with self._changing:
            self.serving = await self._current(version, None)
            self._close_old()
            return self.serving

    async def restock(self) -> None:
        """Let what answers, and the shadow, know what items came. Raises as `open`."""
        async with self._changing:
            # Once each: where items keep coming, others wait for this.
            await self._current(self.serving.version, None)
            shadow = self._opened.get(self._serve.shadow or "")
            if shadow is None:
                return
            try:
                await self._current(shadow.version, None)
            except PropenseError as error:
                # Nobody waits for its answers; it goes on without these items.
                shadow.stock = self._stock.state()
                self._on_shadow_failed(error)

    def _is_stale(self, engine: ScoringEngine) -> bool:
        return engine.stock != self._stock.state()

    async def _current(self, version: str, network: str | None) -> ScoringEngine:
        name = version if network is None else f"{version}/{network}"
        before = self._opened.get(name)
        if before is not None and (network is not None or not self._is_stale(before)):
            return before
        engine = await asyncio.to_thread(self._make, version, network, before)
        self._opened[name] = engine
        if before is self.serving:
            self.serving = engine
        if before is not None:
            self._on_replaced(before, engine)
        self._close_old(name)
        return engine

    def _make(
        self, version: str, network: str | None, before: ScoringEngine | None
    ) -> ScoringEngine:
        room = self._serve.limits.cache_megabytes * 1e6 / 2
        if before is None:
            before = open_engine(
                self._shelf / version, self._serve.scenarios, room, network, self._public_keys
            )
        if network is not None:
            return before
        state, sent = self._stock.read()
        records = pending_updates(before.packed, sent)
        if not records and before.bundle is before.packed:
            before.stock = state
            return before
        return ScoringEngine(version, before.packed, self._serve.scenarios, room, records, state)

    def _close_old(self, but: str = "") -> None:
        """Let the oldest go that answer nothing any more."""
        used = (self.serving.version, self._serve.shadow, but.partition("/")[0])
        for name in list(self._opened):
            if len(self._opened) <= KEPT:
                return
            if name.partition("/")[0] not in used:
                del self._opened[name]
