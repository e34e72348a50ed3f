"""Counts are exact: over threads, over processes, and after one of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from propense.errors import ServeError
from propense.runtime.metrics import FAMILIES, Gauges, Metrics
from propense.web.shared_counters import SharedCounters

ROUTES = ("/v1/track", "/v1/recommend", "/v1/users/{id}")


@pytest.fixture
def metrics(tmp_path):
    metrics = Metrics(tmp_path, ROUTES)
    yield metrics
    metrics.close()


def read(metrics):
    """(name, labels) -> number of every sample."""
    text, kind = metrics.render()
    assert kind.startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_is_counted_is_rendered(metrics):
    metrics.request("/v1/track", 200, 0.0003)
    metrics.request("/v1/track", 200, 0.0004)
    metrics.request("/v1/track", 429, 2.0)
    metrics.request("/somebody/0815", 200, 7.0)
    metrics.request("/v1/recommend", 999, -1.0)
    metrics.events("kept", 3)
    metrics.question("fallback")
    metrics.cache("hit")
    metrics.shed("wait")
    metrics.quota_refusal("events_per_day")
    metrics.alarm("drift")
    metrics.shadow("different")
    metrics.store("append", 0.002)
    counts = read(metrics)
    route = ("route", "/v1/track")
    assert counts["propense_requests_total", route, ("status", "200")] == 2
    assert counts["propense_requests_total", route, ("status", "429")] == 1
    assert counts["propense_requests_total", ("route", "other"), ("status", "200")] == 1
    assert counts["propense_requests_total", ("route", "/v1/recommend"), ("status", "500")] == 1
    assert not any("0815" in str(key) for key in counts)
    assert counts["propense_request_seconds_bucket", ("le", "0.00025"), route] == 0
    assert counts["propense_request_seconds_bucket", ("le", "0.0005"), route] == 2
    assert counts["propense_request_seconds_bucket", ("le", "+Inf"), route] == 3
    assert counts["propense_request_seconds_count", route] == 3
    assert counts["propense_request_seconds_sum", route] == pytest.approx(2.0007, abs=1e-6)
    assert counts["propense_events_total", ("outcome", "kept")] == 3
    assert counts["propense_events_total", ("outcome", "refused")] == 0
    assert counts["propense_questions_total", ("policy", "fallback")] == 1
    assert counts["propense_cache_total", ("result", "hit")] == 1
    assert counts["propense_shed_total", ("reason", "wait")] == 1
    assert counts["propense_quota_refusals_total", ("limit", "events_per_day")] == 1
    assert counts["propense_alarms_total", ("kind", "drift")] == 1
    assert counts["propense_shadow_total", ("result", "different")] == 1
    assert counts["propense_store_seconds_count", ("call", "append")] == 1


def test_every_family_has_its_help_and_kind(metrics):
    text, _ = metrics.render()
    counts = {family.name: family for family in text_string_to_metric_families(text.decode())}
    for family in FAMILIES:
        assert counts[family.name.removesuffix("_total")].documentation == family.help
        assert counts[family.name.removesuffix("_total")].type == family.kind
    assert len(counts) == len(FAMILIES)
    openmetrics, kind = metrics.render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert openmetrics.endswith(b"# EOF\n")


def test_an_edge_belongs_to_its_bucket(metrics):
    metrics.request("/v1/track", 200, 0.001)
    counts = read(metrics)
    route = ("route", "/v1/track")
    assert counts["propense_request_seconds_bucket", ("le", "0.001"), route] == 1
    assert counts["propense_request_seconds_bucket", ("le", "0.0005"), route] == 0


def test_threads_lose_no_count(metrics):
    def work():
        for _ in range(5000):
            metrics.request("/v1/track", 200, 0.001)
            metrics.events("kept")

    threads = [threading.Thread(target=work) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    counts = read(metrics)
    assert counts["propense_events_total", ("outcome", "kept")] == 20_000
    assert counts["propense_request_seconds_count", ("route", "/v1/track")] == 20_000


WORKER = """
import sys, time
from pathlib import Path
from propense.runtime.metrics import Gauges, Metrics
metrics = Metrics(Path(sys.argv[1]), {routes!r}, lambda: Gauges(
    bundle="v0002", content="ab", ready=True, in_flight=2, store_lag_seconds=1.5,
    drift={{"actions": 0.3}}, alarms={{"drift": 1}}))
metrics.events("kept", 7)
metrics.publish()
print("counted", flush=True)
while True:
    time.sleep(60)
"""


def start_worker(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(routes=ROUTES), str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"counted\n"
    return process


def test_processes_are_summed_and_a_killed_one_is_not_forgotten(tmp_path):
    gauges = Gauges(bundle="v0002", content="ab", store_lag_seconds=0.5, drift={"actions": 0.1})
    own = Metrics(tmp_path, ROUTES, lambda: gauges)
    other = start_worker(tmp_path)
    try:
        own.events("kept", 5)
        counts = read(own)
        stored = ("propense_events_total", ("outcome", "kept"))
        model = (("bundle", "v0002"), ("content", "ab"), ("role", "serving"))
        assert counts[stored] == 12
        assert counts["propense_workers",] == 2
        assert counts["propense_workers_ready",] == 1
        assert counts["propense_in_flight",] == 2
        assert counts["propense_store_lag_seconds",] == 1.5
        assert counts["propense_drift", ("input", "actions")] == 0.3
        assert counts["propense_alarms_active", ("kind", "drift")] == 1
        assert counts["propense_model_info", *model] == 2

        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        counts = read(own)
        assert counts[stored] == 12, "the counts of the dead are kept"
        assert counts["propense_workers",] == 1, "its present state is not"
        assert counts["propense_drift", ("input", "actions")] == 0.1

        other.stdout.close()
        other = start_worker(tmp_path)
        assert read(own)[stored] == 19, "its heir goes on counting"
        assert len(list(tmp_path.glob("*.counts"))) == 2
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
        own.close()


def test_a_file_of_other_metrics_starts_anew(tmp_path):
    old = SharedCounters(tmp_path, ["a", "b"])
    old.add(1, 5)
    assert old.read_all()[0].tolist() == [0, 5]
    new = SharedCounters(tmp_path, ["a", "b", "c"])
    new.add(2, 1)
    assert new.read_all()[0].tolist() == [0, 0, 1]
    assert old.read_all()[0].tolist() == [0, 5]
    old.close()
    newer = SharedCounters(tmp_path, ["a", "b", "c"])
    assert newer.read_all()[0].tolist() == [0, 0, 1]
    new.close()
    newer.close()
    newer.close()


def test_torn_and_strange_files_are_left_aside(tmp_path):
    own = SharedCounters(tmp_path, ["a"])
    own.add(0, 3)
    (tmp_path / "worker-0007.counts").write_bytes(b"propense but short")
    (tmp_path / "worker-0008.counts").write_bytes(b"")
    assert own.read_all()[0].tolist() == [3]
    own.note(b"{}")
    assert own.read_all()[1] == [b"{}"]
    with pytest.raises(ValueError, match="65536 bytes, got 65537"):
        own.note(b"x" * 65_537)
    own.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServeError, match=r"metrics cannot be written to .*file"):
        Metrics(tmp_path / "file", ROUTES)


def test_a_request_is_counted_within_microseconds(metrics):
    n, best = 20_000, 1.0
    for _ in range(5):
        began = time.process_time()
        for _ in range(n):
            metrics.request("/v1/track", 200, 0.0007)
        best = min(best, (time.process_time() - began) / n)
    assert best < 5e-6, f"{best * 1e6:.2f} us"
