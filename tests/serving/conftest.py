"""What tests of the service share: places with bundles, services that answer from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service_bundle import Place, place_of
from service_live import Live, live_service


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Timed events, goals, a catalogue; the network that serves is not the evaluated one."""
    return place_of("refreshed", tmp_path_factory)


@pytest.fixture(scope="session")
def untimed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Order alone; no goals."""
    return place_of("untimed", tmp_path_factory)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Profiles alone; one goal, no items."""
    return place_of("table", tmp_path_factory)


@pytest.fixture
def live(shop: Place, tmp_path: Path) -> Iterator[Live]:
    """A service that has heard of nobody yet."""
    with live_service(shop, tmp_path / "live") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(shop: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for tests that only ask, or change customers of their own."""
    with live_service(shop, tmp_path_factory.mktemp("live")) as opened:
        yield opened
