"""Keeps pandas out of a process that serves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def leave_pandas_out() -> None:
    """Make pyarrow believe that pandas is not installed.

    pyarrow imports pandas before its first conversion, to recognise its types. That costs 35 MB a
    process and a fifth of a second at each start, and the service never uses such types. Call it
    before any conversion; where pandas is loaded already, it does nothing. Other code can import
    pandas afterwards.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        # pyarrow and numpy look once, and remember the result.
        pa.array([1]).to_numpy()
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """An import hook that hides pandas and nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
