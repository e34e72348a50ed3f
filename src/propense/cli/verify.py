"""`propense verify`: checks that the deployed model matches the report."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Changes, Common, load_settings
from propense.cli.output import open_output
from propense.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from propense.pipeline.verification import Verification
    from propense.security.audit_records import Detail
    from propense.settings import Settings

KEY = "PROPENSE_KEY"
SENTENCE = "Check that the deployed model matches the report"
KEY_LIFETIME = 3_600_000_000
"""Microseconds until a key that was created for one test expires."""


def verify(
    url: str,
    /,
    *,
    run: str | None = None,
    key: str | None = None,
    customers: int | None = None,
    set_: Changes = (),
    common: Common = DEFAULTS,
) -> int:
    """Check that the deployed model matches the report, through the live service.

    Sends the events of the test customers under temporary ids, and asks for answers
    at the times of the test part. Recomputes accuracy, recall, F1, AUC, recall@k
    and ndcg@k from the answers, and compares them with the report. At the end it
    deletes everything it sent. Exit code 1 if anything differs.

    With --customers only a sample is sent, which takes seconds; its answers are
    compared with those that the bundle gives without the service. If there is no
    --key and no $PROPENSE_KEY, a temporary key is created in the data folder and
    revoked at the end.

    Parameters
    ----------
    url
        URL of the service.
    run
        Folder of the run that packed the bundle; default: `run` in the settings.
    key
        A key with the scope verify; default: $PROPENSE_KEY.
    customers
        Check a sample of this many customers only.
    set_
        Override a setting, KEY=VALUE; may be repeated.
    """
    import msgspec

    from propense.pipeline import verification

    output = open_output(common)
    settings = load_settings(common, set_)
    if run is not None:
        settings = msgspec.structs.replace(settings, run=run)
    with verify_key(settings, key) as api_key, show_progress(output) as progress:
        progress.stage("verify", SENTENCE)
        result = verification.verify(settings, url, api_key, customers, progress)
    output.result(verification_record(result), format_verification(result))
    return 1 if result.failed else 0


@contextmanager
def verify_key(settings: Settings, key: str | None) -> Iterator[str]:
    """A key with the scope verify: `key`, $PROPENSE_KEY, or a temporary one, revoked at the end."""
    from propense.security.recording import recorded
    from propense.security.secrets import open_secrets
    from propense.serving.operations.opening import data_folder, opened_keys

    existing = key or os.environ.get(KEY)
    if existing:
        yield existing
        return
    data = data_folder(settings)
    secrets = open_secrets(data)
    now = time.time_ns() // 1000
    with (
        recorded(data, secrets, ACTOR, "keys.create", {"scopes": ["verify"]}) as outcome,
        opened_keys(settings, lambda text: None) as ring,
    ):
        record, created = ring.create(
            "integration test", ["verify"], now=now, expires=now + KEY_LIFETIME
        )
        outcome["prefix"] = record.prefix
    try:
        # Running services look for new keys several times a second.
        time.sleep(0.6)
        yield created
    finally:
        detail: Detail = {"prefix": record.prefix}
        with (
            recorded(data, secrets, ACTOR, "keys.revoke", detail),
            opened_keys(settings, lambda text: None) as ring,
        ):
            ring.revoke(record.prefix, time.time_ns() // 1000)


def verification_record(result: Verification) -> dict[str, object]:
    """The result as JSON."""
    return {
        "bundle": result.bundle,
        "verified": not result.failed,
        "whole": result.whole,
        "customers": result.n_customers,
        "messages": result.n_messages,
        "rows": result.n_rows,
        "lists": result.n_lists,
        "seconds": result.seconds,
        "checks": [
            {"name": check.name, "expected": check.expected, "found": check.live,
             "allowed": check.allowed, "met": check.is_met}
            for check in result.checks
        ],
    }  # fmt: skip


def format_verification(result: Verification) -> str:
    """The result as text: a line for each check, then the verdict."""
    width = max((len(check.name) for check in result.checks), default=0)
    lines = [
        f"{'ok  ' if check.is_met else 'FAIL'} {check.name:<{width}}  "
        f"report {check.expected:.5f}  live {check.live:.5f}"
        for check in result.checks
    ]
    verdict = (
        f"{len(result.failed)} of {len(result.checks)} checks FAILED: the deployed model is not "
        "the one that was evaluated"
        if result.failed
        else f"verified: {result.bundle} answers as reported"
        + ("" if result.whole else " (a sample, compared with offline answers)")
    )
    counts = (
        f"{result.n_customers:,} customers, {result.n_messages:,} messages in "
        f"{result.seconds.get('replay', 0):.0f} s; {result.n_rows:,} rows and {result.n_lists:,} "
        f"lists in {result.seconds.get('ask', 0):.0f} s"
    )
    return "\n".join([*lines, "", counts, verdict])
