"""The page on watching names every metric, alarm and threshold as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from propense.runtime.metrics import COUNTERS, FAMILIES, REQUESTS, Metrics
from propense.serving.monitoring import drift, item_share
from propense.settings import Limits

PAGE = (Path(__file__).resolve().parents[2] / "docs/watching.md").read_text("utf-8")


def test_the_table_of_metrics_is_the_registry():
    rows = re.findall(r"^\| `(propense_\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.*) \|$", PAGE, re.M)
    documented = {name: (kind, labels, help_) for name, kind, labels, help_ in rows}
    assert documented == {
        family.name: (family.kind, ", ".join(family.labels), family.help) for family in FAMILIES
    }
    assert len(rows) == len(documented)


def test_every_metric_named_anywhere_is_given_out(tmp_path):
    metrics = Metrics(tmp_path, ["/v1/track"])
    metrics.request("/v1/track", 200, 0.001)
    text, _ = metrics.render()
    metrics.close()
    rendered = set()
    for family in text_string_to_metric_families(text.decode()):
        rendered |= {family.name, f"{family.name}_total"} | {s.name for s in family.samples}
    assert set(re.findall(r"propense_\w+", PAGE)) <= rendered


def test_labels_named_in_the_page_are_labels():
    values = {family.name: (family.labels, family.values) for family in (*COUNTERS, REQUESTS)}
    for name, label, value in re.findall(r'(propense_\w+_total)\{(\w+)="(\w+)"\}', PAGE):
        labels, allowed = values[name]
        assert label in labels
        assert value in allowed or (label == "status" and 100 <= int(value) < 600)


@pytest.mark.parametrize(
    "phrase",
    [
        f"last {drift.WINDOW:,} ",
        f"From {drift.NOTICE:.2g}".replace("0.", "."),
        f"from {drift.ALARM:.2g} on an alarm".replace("0.", "."),
        f"fewer than {drift.FEWEST}",
        f"the {item_share.WINDOW:,} lists before",
        f"at least {item_share.LEAST_SHARE:.0%}".replace("%", " %"),
    ],
)
def test_numbers_are_those_of_the_code(phrase):
    assert phrase in " ".join(PAGE.split())


def test_factors_are_those_of_the_code():
    assert (drift.CALMER, item_share.RATIO, item_share.AGAINST_TRAINING, item_share.Z) == (
        0.8,
        2,
        4,
        6,
    )


def test_limits_are_settings():
    for name in ("events_per_day", "new_customers_per_hour"):
        assert f"`{name}`" in PAGE and hasattr(Limits(), name)
