"""Events from outside: the calls of existing SDKs, and bulk imports."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from propense.errors import RefusedError, StoreError
from propense.history.records import WRITTEN, CustomerUpdate, WriteResult
from propense.ingest.browser_settings import site_settings
from propense.ingest.json_lines import Import, read_lines
from propense.ingest.mapping import Mapper
from propense.ingest.page_messages import check_page_messages, without_grants
from propense.ingest.rules import Ignored, IgnoredReason
from propense.ingest.segment import (
    KINDS,
    Kind,
    Refusal,
    TooLargeError,
    TrackingCall,
    decode,
    find_write_keys,
    unpack,
)
from propense.ingest.updates import make_updates
from propense.runtime.integration_tests import token_of
from propense.security.keys import KeyRecord, Scope
from propense.serving.errors import STORE_RETRY
from propense.serving.messages.customers import IngestAnswer
from propense.serving.monitoring.monitor import Monitor
from propense.serving.operations.admission import Admission
from propense.settings import Serve
from propense.web.endpoint import Host
from propense.web.problems import Problem
from propense.web.request import Request, Response

MOST_SHOWN: Final = 20
"""Refusals that an answer names; further ones are only counted."""
MOST_ON_THE_LOOP: Final = 32_768
"""Bytes of a call that are read on the event loop; more are read beside it."""
SCOPES: Final[tuple[Scope, ...]] = ("ingest", "verify")
"""A key with one of these may send."""
_HOST: Final = re.compile(rb"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_BY_HOST: Final = ((b"vary", b"Host, X-Forwarded-Host, X-Forwarded-Proto"),)
"""Beside `no-store`: the settings name the host that was asked."""
REASONS: Final[dict[WriteResult, tuple[str, str]]] = {
    "suppressed": ("userId", "nothing may be stored about this customer"),
    "conflict": (
        "messageId",
        "another message with this id came before; give each message an id of its own",
    ),
    "misnamed": ("anonymousId", "this is a customer's id; send it as userId"),
    "unjoined": (
        "previousId",
        (
            "this id is another customer's, so it was not joined; the rest was kept. Only a "
            "server's key joins two customers, by an alias call; a customer has at most 1,000 ids"
        ),
    ),
    "unnamed": (
        "previousId", "nothing may be stored about this id, so it was left out; the rest was kept",
    ),
    "overfull": (
        "traits",
        "the customer has no room for more traits, so these were left out; the rest was kept",
    ),
}  # fmt: skip
"""Why an update was not written, or not all of it: the field, and the reason."""
ROUTES: Final = tuple(sorted(KINDS.items()))
"""(last word of the path, kind of call)."""


T = TypeVar("T")


class IngestHost(Host, Protocol):
    """What taking events in uses of the service."""

    serve: Serve
    mapper: Mapper
    admission: Admission
    monitor: Monitor

    def stored_id(self, user_id: str) -> str: ...

    async def refused_tests(self, tokens: Collection[str]) -> dict[str, str]: ...

    async def write_updates(
        self, updates: Sequence[CustomerUpdate], tests: dict[str, list[int]]
    ) -> list[WriteResult]: ...


def receive(kind: Kind) -> Callable[[Request[IngestHost]], Awaitable[IngestAnswer]]:
    """The handler of one kind of call."""

    async def handle(request: Request[IngestHost]) -> IngestAnswer:
        host = request.host
        body, encoding = request.body, _encoding(request)
        if request.key is None:
            # Before anything is read: one of the texts that look like the key is a good one.
            presented = find_write_keys(body, encoding)
            if not any(host.keys.check(key, request.now) for key in presented):
                request.authorize(presented[0] if presented else None, SCOPES)
        body = unpack(body, encoding, host.limits.body_bytes)
        run = _run_in_thread if len(body) > MOST_ON_THE_LOOP else _run_here
        call = await run(lambda: decode(body, kind, host.limits))
        key = request.key or request.authorize(call.write_key, SCOPES)
        request.charge(len(call.messages) - 1)
        call = msgspec.structs.replace(call, write_key=key.prefix)
        if key.is_page:
            call = _from_page(request, key, call, len(body))
        verifying = key.may("verify")
        ignored: Ignored = []
        updates, refusals = await run(
            lambda: make_updates(
                call, host.mapper, request.now, key.source, not verifying, verifying, ignored,
                not key.is_page,
            )
        )  # fmt: skip
        if key.is_page:
            updates = without_grants(updates, ignored)
        answer, refused = await _write(request, key, updates, refusals, ignored)
        if kind != "batch" or len(call.messages) + len(call.refusals) == 1:
            _check_kept(answer, refused)
        return answer

    return handle


def _from_page(
    request: Request[IngestHost], key: KeyRecord, call: TrackingCall, size: int
) -> TrackingCall:
    """The call without what a page may not send. Raises TooLargeError."""
    host = request.host
    if size > host.limits.page_bytes:
        raise TooLargeError(
            "",
            f"a page sends at most {host.limits.page_bytes:,} bytes at once, got {size:,}; send "
            "smaller batches, or from your server with a key of --kind server",
        )
    has_signed = None
    if host.serve.page_user_ids == "signed":
        has_signed = functools.partial(host.keys.has_signed, key, now=request.now)
    return check_page_messages(call, host.mapper.rules, has_signed)


def _check_kept(answer: IngestAnswer, refusals: Sequence[Refusal]) -> None:
    """Raises Problem where the only message of a call was refused. Libraries send a message again
    after 429 and 5xx, so the status is 422."""
    if answer.success:
        return
    refusal = refusals[0]
    raise Problem(422, refusal.reason, pointer=refusal.pointer)


async def receive_lines(request: Request[IngestHost]) -> IngestAnswer:
    """A bulk import: one message or plain event a line."""
    limits = request.host.limits
    key = request.key
    assert key is not None, "the endpoint lets no request in without a key"
    encoding = _encoding(request)
    body = await _run_in_thread(lambda: unpack(request.body, encoding, limits.import_bytes))
    if not body:
        raise Problem(400, "the body is empty; send one message or event per line")
    source = Import(
        mapper=request.host.mapper, limits=limits, received=request.now, source=key.source,
        write_key=key.prefix, verifying=key.may("verify"), ignored=[], trusted=not key.is_page,
    )  # fmt: skip
    total = IngestAnswer(success=True, kept=0)
    ignored = source.ignored
    assert ignored is not None
    lines = read_lines(body, source)
    while (some := await _run_in_thread(lambda: next(lines, None))) is not None:
        await request.charge_patiently(len(some.updates))
        try:
            answer, _ = await _write(request, key, some.updates, some.refusals, ignored)
        except StoreError as error:
            raise Problem(
                503,
                f"live history is unavailable; of the import, {total.kept:,} lines are stored: "
                "send all of it again, what is stored counts once",
                retry_after=STORE_RETRY,
                operator_detail=str(error),
            ) from error
        ignored.clear()
        total = _add(total, answer)
    return total


async def browser_settings(request: Request[IngestHost]) -> Response:
    """The settings that Segment's browser library asks for before it sends anything."""
    write_key = request.path["key"]
    request.authorize(write_key, SCOPES)
    # Those of a proxy that is not trusted have been dropped; see web.connections.
    host = request.headers.get(b"x-forwarded-host") or request.headers.get(b"host", b"")
    scheme = request.headers.get(b"x-forwarded-proto", b"http").decode("latin-1")
    if _HOST.fullmatch(host) is None:
        raise Problem(400, "the Host header is not a valid host name")
    try:
        settings = site_settings(write_key, f"{scheme}://{host.decode('latin-1')}")
    except ValueError as error:
        raise Problem(400, f"the Host header is not a valid host name: {error}") from error
    return Response(settings, headers=_BY_HOST)


async def _run_in_thread(work: Callable[[], T]) -> T:
    """What takes long, so that others are answered meanwhile."""
    return await asyncio.to_thread(work)


async def _run_here(work: Callable[[], T]) -> T:
    """What takes less than handing it to a thread."""
    return work()


async def _write(
    request: Request[IngestHost],
    key: KeyRecord,
    updates: Sequence[CustomerUpdate],
    refusals: list[Refusal],
    ignored: Ignored,
) -> tuple[IngestAnswer, list[Refusal]]:
    """The answer, and every refusal."""
    host = request.host
    # Each update with the token of its integration test, None for a real customer's.
    parsed: list[tuple[CustomerUpdate, str | None]] = []
    for update in updates:
        try:
            parsed.append((update, token_of(update.user_id)))
        except RefusedError as error:
            # Its neighbours are not to blame.
            refusals.append(Refusal("/userId", str(error)))
    if not key.may("ingest"):
        refusals += [
            Refusal("/userId", "a key of scope verify can only send customers of tests")
            for _, test in parsed if test is None
        ]  # fmt: skip
        parsed = [(update, test) for update, test in parsed if test is not None]
    begun = dict.fromkeys(test for _, test in parsed if test is not None)
    refused_tests = await host.refused_tests(begun) if begun else {}
    if refused_tests:
        refusals += [
            Refusal("/userId", refused_tests[test])
            for _, test in parsed if test in refused_tests
        ]  # fmt: skip
        parsed = [(update, test) for update, test in parsed if test not in refused_tests]
    if host.serve.pseudonyms:
        parsed = [
            (_with_pseudonyms(host, update) if test is None else update, test)
            for update, test in parsed
        ]
    refused = await host.admission.refused_customers(
        [update for update, test in parsed if test is None], key, request.address,
        time.monotonic_ns() // 1000,
    )  # fmt: skip
    if refused:
        host.monitor.quota_exceeded(len(refused))
        refusals += [
            Refusal(f"/{index}", refused[update.user_id])
            for index, (update, _) in enumerate(parsed) if update.user_id in refused
        ]  # fmt: skip
        parsed = [(update, test) for update, test in parsed if update.user_id not in refused]
    tests: dict[str, list[int]] = {}
    for index, (_, test) in enumerate(parsed):
        if test is not None:
            tests.setdefault(test, []).append(index)
    admitted = [update for update, _ in parsed]
    results = await host.write_updates(admitted, tests) if admitted else []
    real = [index for index, (_, test) in enumerate(parsed) if test is None]
    host.monitor.updates_written(
        [admitted[index] for index in real], [results[index] for index in real], len(refusals)
    )
    left_out = [
        _refusal_of(update, result, f"/{index}" if len(admitted) > 1 else "")
        for index, (update, result) in enumerate(zip(admitted, results, strict=True))
        if result in REASONS
    ]
    reasons = Counter(ignored)
    if key.may("ingest"):
        host.monitor.parts_ignored(reasons)
    answer = _answer(results, refusals, left_out, reasons)
    return answer, [*refusals, *left_out]


def _refusal_of(update: CustomerUpdate, result: WriteResult, pointer: str) -> Refusal:
    field, reason = REASONS[result]
    if field == "userId" and update.is_visitor:
        field = "anonymousId"
    if field == "previousId" and update.previous_is_visitor:
        field = "anonymousId"
    return Refusal(f"{pointer}/{field}", reason)


def _with_pseudonyms(host: IngestHost, update: CustomerUpdate) -> CustomerUpdate:
    """The update under the ids by which its customer is stored."""
    previous = update.previous_id
    return msgspec.structs.replace(
        update,
        user_id=host.stored_id(update.user_id),
        previous_id=None if previous is None else host.stored_id(previous),
    )


def _answer(
    results: Sequence[WriteResult],
    refusals: Sequence[Refusal],
    left_out: Sequence[Refusal],
    ignored: Counter[IgnoredReason],
) -> IngestAnswer:
    n_kept, n_repeated = sum(result in WRITTEN for result in results), results.count("repeated")
    n_refused = len(refusals) + len(results) - n_kept - n_repeated
    return IngestAnswer(
        success=n_refused == 0 or n_refused < len(refusals) + len(results),
        kept=n_kept,
        repeated=n_repeated,
        refused=n_refused,
        conflicts=results.count("conflict"),
        refusals=[
            f"{refusal.pointer}: {refusal.reason}"
            for refusal in [*refusals, *left_out][:MOST_SHOWN]
        ],
        ignored=dict(ignored),
    )


def _add(one: IngestAnswer, other: IngestAnswer) -> IngestAnswer:
    n_accepted = one.kept + other.kept + one.repeated + other.repeated
    return IngestAnswer(
        success=n_accepted > 0 or one.refused + other.refused == 0,
        kept=one.kept + other.kept,
        repeated=one.repeated + other.repeated,
        refused=one.refused + other.refused,
        conflicts=one.conflicts + other.conflicts,
        refusals=[*one.refusals, *other.refusals][:MOST_SHOWN],
        ignored=dict(Counter(one.ignored) + Counter(other.ignored)),
    )


def _encoding(request: Request[IngestHost]) -> str | None:
    header = request.headers.get(b"content-encoding")
    return None if header is None else header.decode("latin-1")
