"""The writing thread survives every failure and reports the last one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from propense.errors import StoreError
from propense.history import group_commit
from propense.history.group_commit import Writer
from propense.history.records import CustomerUpdate, Decision, WriteResult

DECISION = Decision(user_id="ann", time=1, scenario="s", bundle="v0001", policy="network", items=())


class Failing:
    """A store that fails with chosen errors."""

    def __init__(self) -> None:
        self.append_with: Exception | None = None
        self.log_with: Exception | None = None
        self.logged = 0

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        if self.append_with is not None:
            raise self.append_with
        return ["kept"] * len(updates)

    def check_writable(self) -> None:
        if self.append_with is not None or self.log_with is not None:
            raise self.append_with or self.log_with or AssertionError

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        if self.log_with is not None:
            raise self.log_with
        self.logged += len(decisions)


async def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        await asyncio.sleep(0.01)


def with_writer(play: Callable[[Writer, Failing], Any]) -> None:
    async def run() -> None:
        store = Failing()
        loop = asyncio.get_running_loop()
        any_store: Any = store
        writer = Writer(any_store, loop, lambda updates, results: None, 1_000, Counter(), print)
        try:
            await play(writer, store)
        finally:
            await asyncio.to_thread(writer.close)

    asyncio.run(run())


def update(name: str) -> CustomerUpdate:
    return CustomerUpdate(message_id=name, user_id="ann", received=1)


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ValueError("unforeseen")])
def test_decisions_that_fail_are_counted_and_the_thread_lives(error: Exception) -> None:
    async def play(writer: Writer, store: Failing) -> None:
        store.log_with = error
        writer.log([DECISION])
        await until(lambda: writer.n_lost_decisions == 1)
        assert writer.failed == str(error) and writer.is_alive
        store.log_with = None
        writer.log([DECISION, DECISION])
        await until(lambda: store.logged == 2)
        await until(lambda: writer.failed is None)
        assert await writer.append([update("m1")]) == ["kept"]

    with_writer(play)


def test_decisions_do_not_hide_that_events_fail() -> None:
    async def play(writer: Writer, store: Failing) -> None:
        store.append_with = ValueError("unforeseen")
        with pytest.raises(StoreError, match="unforeseen"):
            await writer.append([update("m1")])
        writer.log([DECISION])
        await until(lambda: store.logged == 1)
        assert writer.failed == "unforeseen"
        store.append_with = None
        assert await writer.append([update("m1")]) == ["kept"]
        assert writer.failed is None

    with_writer(play)


def test_decisions_are_written_while_events_keep_arriving() -> None:
    async def play(writer: Writer, store: Failing) -> None:
        def append(updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
            time.sleep(0.005)
            return ["kept"] * len(updates)

        store.append = append  # type: ignore[method-assign]
        waiting = [writer.append([update(f"m{n}")]) for n in range(3)]
        writer.log([DECISION])
        ends = time.monotonic() + 10
        while store.logged == 0:
            assert time.monotonic() < ends, "decisions wait for the last event"
            waiting.append(writer.append([update("more")]))
            await asyncio.sleep(0.001)
        await asyncio.gather(*waiting)

    with_writer(play)


def test_the_store_is_timed() -> None:
    calls: list[str] = []

    async def run() -> None:
        store: Any = Failing()
        loop = asyncio.get_running_loop()
        writer = Writer(
            store, loop, lambda updates, results: None, 1_000, Counter(),
            lambda call, seconds: calls.append(call) if seconds >= 0 else None,
        )  # fmt: skip
        await writer.append([update("m1")])
        writer.log([DECISION])
        await until(lambda: calls == ["append", "log"])
        await asyncio.to_thread(writer.close)

    asyncio.run(run())


def test_a_store_that_is_back_is_found_without_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer sends nothing to a service that is not ready, so none would ever come."""
    monkeypatch.setattr(group_commit, "PROBE", 0.01)

    async def play(writer: Writer, store: Failing) -> None:
        store.append_with = StoreError("the disk is full")
        with pytest.raises(StoreError):
            await writer.append([update("ann")])
        await asyncio.sleep(0.1)
        assert writer.failed == "the disk is full"
        store.append_with = None
        await until(lambda: writer.failed is None)

    with_writer(play)
