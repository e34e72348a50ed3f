"""What is counted, without a service."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from propense.runtime.metrics import Gauges
from propense.serving.monitoring.monitor import Monitor


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    return Monitor(tmp_path, ["/v1/predict"], Gauges, lambda kind, content: None)


@pytest.mark.parametrize(
    ("champions", "counted"),
    [(["rival", "network"], [("rival", 2)]), (["network"], [("network", 2)]),
     (["average"], [("network", 2)]), ([], [])],
)  # fmt: skip
def test_a_prediction_counts_once_for_the_first_goals_champion(
    monitor: Monitor,
    monkeypatch: pytest.MonkeyPatch,
    champions: list[str],
    counted: list[tuple[str, int]],
) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(monitor.metrics, "question", lambda policy, n=1: calls.append((policy, n)))
    goals = [SimpleNamespace(champion=champion) for champion in champions]
    bundle: Any = SimpleNamespace(info=SimpleNamespace(goals=goals))
    customers: Any = [SimpleNamespace(n_events=1)] * 2
    monitor.goals_answered(bundle, customers, [np.zeros(len(goals))] * 2, by_serving=False)
    assert calls == counted


def test_a_failure_of_the_writer_is_reported_once(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []
    nothing: Any = SimpleNamespace(take_alarms=lambda: [])
    monitor._drift = monitor._item_share = nothing
    monkeypatch.setattr(monitor.metrics, "publish", lambda: None)
    monkeypatch.setattr(monitor.log, "problem", lambda what, *_, **__: reported.append(what))
    writer: Any = SimpleNamespace(failed="disk full", n_lost_decisions=0)
    for _ in range(3):
        monitor.check(writer)
    assert reported == ["store failed"]
    writer.failed, writer.n_lost_decisions = None, 5
    monitor.check(writer)
    monitor.check(writer)
    assert reported == ["store failed", "decisions lost"]
