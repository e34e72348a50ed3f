"""`propense verify`: is the deployed model the evaluated one?"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.cli.waiting import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from propense.pipeline.verification import Verification
    from propense.security.audit import Detail
    from propense.settings import Settings

KEY = "PROPENSE_KEY"
SENTENCE = "Is the deployed model the evaluated one?"
LASTS = 3_600_000_000
"""Microseconds that a key made for one test lasts."""


def verify(
    url: str,
    /,
    *,
    run: str | None = None,
    key: str | None = None,
    customers: int | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    common: Common = DEFAULTS,
) -> int:
    """Hold the deployed model against its report, through the live service.

    Sends the test part's customers under ids of their own, asks about them at the
    test part's moments, computes accuracy, recall, F1, AUC, recall@k and ndcg@k
    anew from the answers, compares them with the report, and has all of it
    destroyed. Exit code 1 where anything differs.

    Parameters
    ----------
    url
        Where the service answers.
    run
        Folder of the run that made the bundle; default: the settings'.
    key
        A key of scope verify; default: $PROPENSE_KEY, else one is made in the
        settings' data folder and revoked afterwards.
    customers
        Ask about a sample of so many customers: quick, but its numbers are held
        against offline ones, not against the report.
    set_
        KEY=VALUE laid over the settings.
    """
    import msgspec

    from propense.pipeline.verification import verify as hold

    output = open_output(common)
    settings = load_settings(common, set_)
    if run is not None:
        settings = msgspec.structs.replace(settings, run=run)
    with verify_key(settings, key) as opened, show_progress(output) as progress:
        progress.stage("verify", SENTENCE)
        found = hold(settings, url, opened, customers, progress)
    output.result(record_of(found), words_of(found))
    return 1 if found.failed else 0


@contextmanager
def verify_key(settings: Settings, given: str | None) -> Iterator[str]:
    """A key of scope verify: the given one, the environment's, or one that lasts for the test."""
    from propense.security.audit import write_down
    from propense.security.keys import KeyRing
    from propense.security.secrets import open_secrets

    known = given or os.environ.get(KEY)
    if known:
        yield known
        return
    data = Path(settings.folder) / settings.serve.data
    data.mkdir(parents=True, exist_ok=True)
    secrets = open_secrets(data)
    ring = KeyRing(data, secrets)
    now = time.time_ns() // 1000
    record, shown = ring.create("integration test", ["verify"], now=now, expires=now + LASTS)
    detail: Detail = {"prefix": record.prefix, "scopes": ["verify"]}
    try:
        write_down(data, secrets, now, ACTOR, "keys.create", detail)
        # The service looks at the file of keys twice a second.
        time.sleep(0.6)
        yield shown
    finally:
        now = time.time_ns() // 1000
        ring.revoke(record.prefix, now)
        write_down(data, secrets, now, ACTOR, "keys.revoke", {"prefix": record.prefix})


def record_of(found: Verification) -> dict[str, object]:
    """For machines."""
    return {
        "bundle": found.bundle,
        "verified": not found.failed,
        "whole": found.whole,
        "customers": found.n_customers,
        "messages": found.n_messages,
        "rows": found.n_rows,
        "lists": found.n_lists,
        "seconds": found.seconds,
        "checks": [
            {"name": check.name, "expected": check.expected, "found": check.found,
             "allowed": check.allowed, "met": check.is_met}
            for check in found.checks
        ],
    }  # fmt: skip


def words_of(found: Verification) -> str:
    """For people: a line a check, then the verdict."""
    width = max((len(check.name) for check in found.checks), default=0)
    lines = [
        f"{'ok ' if check.is_met else 'NO '} {check.name:<{width}}  "
        f"report {check.expected:.5f}  live {check.found:.5f}"
        for check in found.checks
    ]
    verdict = (
        f"{len(found.failed)} of {len(found.checks)} checks are NOT met: what answers is not "
        "what was evaluated"
        if found.failed
        else f"verified: {found.bundle} answers as its report says"
        + ("" if found.whole else " (a sample, against offline answers)")
    )
    counts = (
        f"{found.n_customers:,} customers, {found.n_messages:,} messages in "
        f"{found.seconds.get('replay', 0):.0f} s; {found.n_rows:,} rows and {found.n_lists:,} "
        f"lists in {found.seconds.get('ask', 0):.0f} s"
    )
    return "\n".join([*lines, "", counts, verdict])
