"""What a process that serves does without."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def leave_pandas_out() -> None:
    """Let pyarrow believe that pandas is not installed.

    pyarrow imports it before its first conversion, to know its types by sight: 35 MB a process
    and a fifth of a second at each start, for what the service never meets. To be called before
    anything has converted; where pandas is loaded already nothing is done. Others can import
    pandas afterwards.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        # Both ask once, and remember what they were told.
        pa.array([1]).to_numpy()
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """Finds no pandas, and looks for nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
