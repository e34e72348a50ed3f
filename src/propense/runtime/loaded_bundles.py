"""The bundles that a process has open: the one that serves, and others that stay ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from propense.errors import BundleError, PropenseError, SettingsError, SourceError
from propense.files import State, state_of
from propense.inference.artifact.manifest import FILE, decode_manifest
from propense.inference.bundle import Bundle
from propense.inference.new_items import Record, fitting_items
from propense.inference.shelf import bundle_folder
from propense.runtime.engine import ScoringEngine, open_engine
from propense.runtime.item_updates import ItemUpdates, pending_updates
from propense.runtime.popularity import Popularity
from propense.security.signing import Signers
from propense.settings import Serve

MOST_OPEN: Final = 3
"""Bundles that stay open, so that a rollback is immediate."""
EVALUATED: Final = "evaluated"


class Bundles:
    """Engines by name, VERSION or VERSION/NETWORK. One change happens at a time, so an engine is
    never replaced by an older one."""

    def __init__(
        self,
        shelf: Path,
        serve: Serve,
        signers: Signers,
        items: ItemUpdates,
        popularity: Popularity,
        on_replaced: Callable[[ScoringEngine, ScoringEngine], None],
        on_shadow_failed: Callable[[Exception], None],
    ) -> None:
        """`on_replaced` is called with an engine and the one with newer items that replaces it,
        `on_shadow_failed` with the reason why the shadow's bundle could not take them."""
        self._shelf = shelf
        self._serve = serve
        self._signers = signers
        self._items = items
        self._popularity = popularity
        self._on_replaced = on_replaced
        self._on_shadow_failed = on_shadow_failed
        self._opened: dict[str, ScoringEngine] = {}
        self._changing = asyncio.Lock()
        self._checked: State = None
        """The state of the serving bundle's manifest when it was last compared."""
        self.serving: ScoringEngine
        """The engine that serves; set by `begin`."""

    def begin(self, versions: Sequence[str], check: Callable[[str], None]) -> None:
        """Open the first of these bundles that `check` allows and that can be opened: one that is
        bad must not keep every machine that starts from answering. Raises the first error where
        there is none."""
        first: PropenseError | None = None
        for version in versions:
            try:
                check(version)
                self.serving = self.open_now(version)
            except (BundleError, SettingsError, SourceError) as error:
                first = first or error
            else:
                return
        raise first or BundleError("the shelf has no bundle that has served")

    def all(self) -> list[ScoringEngine]:
        """Every engine, since each caches customers that change."""
        return list({id(one): one for one in (*self._opened.values(), self.serving)}.values())

    def open_now(self, version: str) -> ScoringEngine:
        """As `open`, but it blocks: only for before the service answers."""
        if version not in self._opened:
            self._opened[version] = self._follow(self._make(version, None, None))
        return self._opened[version]

    async def open(self, version: str, network: str | None = None) -> ScoringEngine:
        """A bundle beside the one that serves, with the items sent so far.

        Raises BundleError, SettingsError, SourceError, ServeError.
        """
        async with self._changing:
            await self._drop_replaced(version)
            return await self._current(version, network)

    async def evaluated(self) -> ScoringEngine:
        """The network that the report of the serving bundle evaluated; a test compares with it."""
        serving = self.serving
        # The report does not have items that were sent meanwhile.
        if not serving.bundle.info.refreshed and serving.bundle is serving.packed:
            return serving
        return await self.open(serving.version, EVALUATED)

    async def swap(self, version: str) -> ScoringEngine:
        """Let a bundle serve, from the next question on. Raises as `open`."""
        async with self._changing:
            await self._drop_replaced(version)
            self.serving = await self._current(version, None)
            self._close_old()
            return self.serving

    async def update_items(self) -> None:
        """Add the items sent meanwhile to the serving engine and the shadow. Raises as `open`."""
        async with self._changing:
            # Once each: while items keep arriving, other changes wait for this.
            await self._current(self.serving.version, None)
            shadow = self._opened.get(self._serve.shadow or "")
            if shadow is None:
                return
            try:
                await self._current(shadow.version, None)
            except PropenseError as error:
                # Nobody waits for its answers, so it goes on without these items.
                shadow.items_state = self._items.state()
                self._on_shadow_failed(error)

    def is_serving(self, version: str) -> bool:
        """Whether exactly the bundle that the shelf has under this name serves. Raises BundleError
        where the shelf has none."""
        if version != self.serving.version:
            return False
        folder = bundle_folder(self._shelf, version)
        state = state_of(folder / FILE)
        if state is None or state != self._checked:
            if decode_manifest(folder).content != self.serving.packed.manifest.content:
                return False
            self._checked = state
        return True

    async def _drop_replaced(self, version: str) -> None:
        """Close the networks of a bundle whose name has another content on the shelf now: names
        find engines, but the content is what answers."""
        if all(name.partition("/")[0] != version for name in self._opened):
            return
        folder = bundle_folder(self._shelf, version)
        content = (await asyncio.to_thread(decode_manifest, folder)).content
        for name, engine in list(self._opened.items()):
            if name.partition("/")[0] == version and engine.packed.manifest.content != content:
                del self._opened[name]

    def _is_stale(self, engine: ScoringEngine) -> bool:
        return engine.items_state != self._items.state()

    async def _current(self, version: str, network: str | None) -> ScoringEngine:
        name = version if network is None else f"{version}/{network}"
        before = self._opened.get(name)
        if before is not None and (network is not None or not self._is_stale(before)):
            return before
        made = await asyncio.to_thread(self._make, version, network, before)
        engine = await asyncio.to_thread(self._follow, made)
        self._opened[name] = engine
        if before is self.serving:
            self.serving = engine
        if before is not None:
            self._on_replaced(before, engine)
        self._close_old(name)
        return engine

    def _follow(self, engine: ScoringEngine) -> ScoringEngine:
        """Before it answers, an engine takes over what is popular."""
        self._popularity.attach(engine, time.time_ns() // 1_000_000_000)
        return engine

    def _make(
        self, version: str, network: str | None, before: ScoringEngine | None
    ) -> ScoringEngine:
        if before is None:
            before = open_engine(
                bundle_folder(self._shelf, version),
                self._serve.scenarios,
                self._serve.limits.cache_megabytes * 1e6 / 2,
                network,
                self._signers,
            )
        if network is not None:
            return before
        state, updates = self._items.read()
        records = pending_updates(before.packed, updates)
        if not records and before.bundle is before.packed:
            before.items_state, before.set_aside = state, ()
            return before
        try:
            return self._engine(version, before.packed, records, state)
        except (SourceError, BundleError):
            # A record that no longer fits must stop neither a promotion nor the start.
            good, misfits = fitting_items(before.packed, records)
            engine = self._engine(version, before.packed, good, state)
            engine.set_aside = misfits
            return engine

    def _engine(
        self, version: str, packed: Bundle, records: Sequence[Record], state: State
    ) -> ScoringEngine:
        cache_bytes = self._serve.limits.cache_megabytes * 1e6 / 2
        return ScoringEngine(version, packed, self._serve.scenarios, cache_bytes, records, state)

    def _close_old(self, new: str = "") -> None:
        """Close the oldest that are not in use."""
        used = (self.serving.version, self._serve.shadow, new.partition("/")[0])
        for name in list(self._opened):
            if len(self._opened) <= MOST_OPEN:
                return
            if name.partition("/")[0] not in used:
                del self._opened[name]
