"""Fixtures that many tests share: real data, table engines, served worlds and live services."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from propense.tables.engine.engine import TableEngine, connect
from support.real_data import real_data
from support.required import require

if TYPE_CHECKING:
    from support.service_bundle import ServedWorld
    from support.service_live import Live


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
    hypothesis.settings.register_profile("fast", derandomize=True, deadline=None, max_examples=20)
    if not config.getoption("--hypothesis-profile", None):
        hypothesis.settings.load_profile("same")


_WORLDS = frozenset({"shop", "untimed", "table", "live", "shared"})
"""Fixtures that need a served world, whose network is trained and exported first."""
_COSTLY_CALLS = frozenset(
    {
        "clean",
        "cleaned",
        "export_graphs",
        "exported_networks",
        "fit_customer_model",
        "generate_education",
    }
    | {"served_world", "started_postgres", "started_redis", "started_store", "train_network"}
)
"""Functions that take seconds; a file that imports one is costly."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark costly tests, and put their files first, so that at the end no worker waits for a long
    one: one file makes the served world, others train meanwhile, then the rest read that world."""
    costly, worlds, n_seen = set(), [], Counter[str]()
    for item in items:
        few = item.get_closest_marker("few")
        if few is not None:
            function = item.nodeid.partition("[")[0]
            n_seen[function] += 1
            if n_seen[function] > few.args[0]:
                item.add_marker("slow")
        names = vars(getattr(item, "module", None) or object).keys()
        if _WORLDS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("costly")
            worlds.append(item.path)
        elif _COSTLY_CALLS & names:
            item.add_marker("costly")
        if item.get_closest_marker("costly"):
            costly.add(item.path)

    def rank(item: pytest.Item) -> int:
        if item.path not in costly:
            return 3
        if item.path not in worlds:
            return 1
        return 0 if item.path == worlds[0] else 2

    items.sort(key=rank)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; skips where it is absent."""
    return real_data("")


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
