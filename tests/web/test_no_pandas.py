"""A process that serves does not load pandas; others still can."""

from __future__ import annotations

import subprocess
import sys

SERVES = """
import sys
from propense.web.no_pandas import leave_pandas_out
leave_pandas_out()
import propense.serving.server
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
assert pa.array(np.array(["a", None], object)).to_pylist() == ["a", None]
assert pa.array([1.5, None]).to_numpy(zero_copy_only=False)[0] == 1.5
assert pc.index_in(pa.array(["b"]), pa.array(["a", "b"])).to_pylist() == [1]
assert "pandas" not in sys.modules, "pandas was loaded"
import pandas
assert pandas.Series([1]).sum() == 1
"""
LOADED = """
import pandas
from propense.web.no_pandas import leave_pandas_out
leave_pandas_out()
import pyarrow as pa
assert pa.array([1]).to_pandas().sum() == 1
"""


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_service_loads_no_pandas() -> None:
    run(SERVES)


def test_where_it_is_loaded_nothing_changes() -> None:
    run(LOADED)
