"""What the browser library is told."""

from __future__ import annotations

import json

import pytest

from propense.ingest.browser_settings import site_settings


@pytest.mark.parametrize(
    ("base_url", "host", "protocol"),
    [
        ("https://events.example.com", "events.example.com/v1", "https"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080/v1", "http"),
        ("https://example.com/collect", "example.com/collect/v1", "https"),
    ],
)
def test_the_library_sends_here_and_loads_from_nowhere(
    base_url: str, host: str, protocol: str
) -> None:
    answer = json.loads(site_settings('k"1', base_url))
    segment = answer["integrations"].pop("Segment.io")
    assert answer["integrations"] == {}
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == ('k"1', host, protocol)
    assert answer["metrics"]["sampleRate"] == 0 and answer["remotePlugins"] == []
    assert "segment.com" not in json.dumps(answer)


@pytest.mark.parametrize("base_url", ["example.com", "ftp://example.com", "https:///x", ""])
def test_a_url_that_no_browser_can_reach(base_url: str) -> None:
    with pytest.raises(ValueError, match="must be http"):
        site_settings("k", base_url)
