"""Two hosts with one store have one set of keys."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from propense.serving.operations.opening import opened_keys
from support.service_live import Live, live_service
from support.store_servers import STORES, started_store

HALF_A_SECOND = 0.5
SLACK = 0.5
"""On a busy machine the answer itself can be late."""


@pytest.fixture(scope="module", params=STORES[1:])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from started_store(request.param)


def until_status(live: Live, key: str, status: int) -> float:
    """Seconds until a question with the key is answered so."""
    began = time.monotonic()
    while True:
        headers = {"authorization": f"Bearer {key}"}
        answer = live.client.request("GET", "/v1/popular", headers=headers)
        if answer.status_code == status:
            return time.monotonic() - began
        assert time.monotonic() < began + 20, answer.text
        time.sleep(0.01)


def test_a_key_that_is_revoked_at_one_host_opens_nothing_at_another(
    shop: Any, tmp_path: Path, url: str
) -> None:
    now = time.time_ns() // 1000
    with live_service(shop, tmp_path / "a", store=url) as one:
        (tmp_path / "b").mkdir(mode=0o700)
        shutil.copy(tmp_path / "a" / "secret", tmp_path / "b" / "secret")
        with live_service(shop, tmp_path / "b", store=url) as other:
            assert until_status(other, one.keys["read"], 200) < HALF_A_SECOND + SLACK
            record, key = one.service.keys.create("a", ["read"], now=now)
            assert until_status(other, key, 200) < HALF_A_SECOND + SLACK
            one.service.keys.revoke(record.prefix, now)
            assert until_status(one, key, 401) < SLACK
            assert until_status(other, key, 401) < HALF_A_SECOND + SLACK
            # By the command line of either host, without a service.
            with opened_keys(other.settings, print) as ring:
                assert ring.find(record.prefix).revoked == now
                ring.revoke(one.keys["read"][3:11], now)
            for live in (one, other):
                assert until_status(live, one.keys["read"], 401) < HALF_A_SECOND + SLACK
