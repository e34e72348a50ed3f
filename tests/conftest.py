"""Fixtures that many tests share: real data, table engines, served worlds and live services."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from propense.tables.engine.engine import TableEngine, connect
from support.required import require

if TYPE_CHECKING:
    from support.service_bundle import ServedWorld
    from support.service_live import Live

_DATA = Path(os.environ.get("PROPENSE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


_FOREIGN = (
    "ignore:fetch_arrow_table:DeprecationWarning",
    "ignore:The 'future.infer_string' option",
    "ignore:The copy keyword is deprecated",
    "ignore:unclosed <socket:ResourceWarning",
)
"""Warnings of Ibis about DuckDB and of pyspark about pandas, which only they can mend."""


def pytest_configure(config: pytest.Config) -> None:
    for line in _FOREIGN:
        config.addinivalue_line("filterwarnings", line)
    # The same examples on every run; `pytest --hypothesis-profile default` looks for new ones.
    hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
    if not config.getoption("--hypothesis-profile", None):
        hypothesis.settings.load_profile("same")


_COSTLY_FIXTURES = frozenset({"shop", "untimed", "table", "live", "shared"})
_COSTLY_CALLS = frozenset({"export_graphs", "generate_education", "learn", "train_network"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a trained network or a large world as costly, and put the files with such
    tests first, so that at the end no worker waits for a long one."""
    for item in items:
        names = vars(getattr(item, "module", None) or object).keys()
        fixtures = getattr(item, "fixturenames", ())
        if _COSTLY_FIXTURES.intersection(fixtures) or _COSTLY_CALLS & names:
            item.add_marker("costly")
    costly = {item.path for item in items if item.get_closest_marker("costly")}
    items.sort(key=lambda item: item.path not in costly)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; skips where it is absent."""
    if not _DATA.is_dir():
        require("data", f"no real data at {_DATA}; name the folder in PROPENSE_DATA")
    return _DATA.resolve()


@pytest.fixture(scope="module")
def spark_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    """A local Spark for the tests of one file."""
    if shutil.which("java") is None:
        require("java", "Spark needs java, which is not installed")
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    engine = connect("spark", tmp_path_factory.mktemp("spark"))
    yield engine
    engine.con._session.stop()


@pytest.fixture
def duckdb_engine(tmp_path: Path) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path / "scratch")
    yield engine
    engine.con.disconnect()


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> TableEngine:
    """Both engines in turn; the Spark half carries the marker `spark`."""
    chosen: TableEngine = request.getfixturevalue(f"{request.param}_engine")
    return chosen


def _world(kind: str, factory: pytest.TempPathFactory) -> ServedWorld:
    # Imported here: tests that need no bundle do not wait for torch.
    from support.service_bundle import served_world

    return served_world(kind, factory)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    """Timed events, goals, a catalogue; the serving network was refreshed after evaluation."""
    return _world("refreshed", tmp_path_factory)


@pytest.fixture(scope="session")
def untimed(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    """Events in order, without times; no goals."""
    return _world("untimed", tmp_path_factory)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    """A table of profiles; one goal, no items."""
    return _world("table", tmp_path_factory)


@pytest.fixture
def live(shop: ServedWorld, tmp_path: Path) -> Iterator[Live]:
    """A service without any customer."""
    from support.service_live import live_service

    with live_service(shop, tmp_path / "live") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(shop: ServedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for tests that only read, or change customers of their own."""
    from support.service_live import live_service

    with live_service(shop, tmp_path_factory.mktemp("live")) as opened:
        yield opened
