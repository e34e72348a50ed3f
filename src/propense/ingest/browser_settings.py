"""The settings that the browser library asks its host for before it sends anything."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec


def site_settings(write_key: str, base_url: str) -> bytes:
    """The JSON answer to GET /v1/projects/{write_key}/settings: one integration, which sends to
    this host, and nothing to load from elsewhere.

    `base_url` is the address at which browsers reach the service, such as
    https://events.example.com, with the path of a proxy if there is one. Pages give it as
    `cdnURL`. Raises ValueError for a URL without a host or with a scheme other than http or https.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"base_url {base_url!r} must be http(s)://HOST[:PORT][/PATH]")
    api_host = f"{parts.netloc}{parts.path.rstrip('/')}/v1"
    settings: dict[str, Any] = {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": api_host,
                "protocol": parts.scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": False,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {
            "track": {"__default": {"enabled": True, "integrations": {}}},
            "identify": {"__default": {"enabled": True}},
            "group": {"__default": {"enabled": True}},
        },
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
        # Otherwise the library would report metrics to its maker's host.
        "metrics": {"sampleRate": 0, "host": api_host},
    }
    return msgspec.json.encode(settings)
