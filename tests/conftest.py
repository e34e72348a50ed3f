"""What tests share: real data where it is, engines, and what must not be skipped."""

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
    from support.service_bundle import Place
    from support.service_live import Live

_DATA = Path(os.environ.get("PROPENSE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


_FOREIGN = (
    "ignore:fetch_arrow_table:DeprecationWarning",
    "ignore:The 'future.infer_string' option",
    "ignore:The copy keyword is deprecated",
    "ignore:unclosed <socket:ResourceWarning",
)
"""Warnings of Ibis about DuckDB and of pyspark about pandas, which are theirs to mend."""


def pytest_configure(config: pytest.Config) -> None:
    for line in _FOREIGN:
        config.addinivalue_line("filterwarnings", line)
    # The same examples on every run; `pytest --hypothesis-profile default` looks for new ones.
    hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
    if not config.getoption("--hypothesis-profile", None):
        hypothesis.settings.load_profile("same")


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
    found: TableEngine = request.getfixturevalue(f"{request.param}_engine")
    return found


def _place(kind: str, factory: pytest.TempPathFactory) -> Place:
    # Imported here: tests that need no bundle do not wait for torch.
    from support.service_bundle import place_of

    return place_of(kind, factory)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Timed events, goals, a catalogue; the network that serves is not the evaluated one."""
    return _place("refreshed", tmp_path_factory)


@pytest.fixture(scope="session")
def untimed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Order alone; no goals."""
    return _place("untimed", tmp_path_factory)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Profiles alone; one goal, no items."""
    return _place("table", tmp_path_factory)


@pytest.fixture
def live(shop: Place, tmp_path: Path) -> Iterator[Live]:
    """A service that has heard of nobody yet."""
    from support.service_live import live_service

    with live_service(shop, tmp_path / "live") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(shop: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service for tests that only ask, or change customers of their own."""
    from support.service_live import live_service

    with live_service(shop, tmp_path_factory.mktemp("live")) as opened:
        yield opened
