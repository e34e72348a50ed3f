"""Files of arrays: what is read back is what was written, however an array lies in memory."""

import ast
from pathlib import Path

import numpy as np
import pytest

from propense.encoding.storage import decode_arrays, save_arrays

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)
VIEWS = {
    "reversed": ARRAY[::-1],
    "both reversed": ARRAY[::-1, ::-1],
    "transposed": ARRAY.T,
    "strided": ARRAY[::2, 1::3],
    "broadcast": np.broadcast_to(ARRAY[:1], (4, 6)),
    "big-endian": ARRAY.astype(">f4"),
    "of columns": np.asfortranarray(ARRAY),
    "one number": np.float32(3) * np.ones(()),
    "nothing": ARRAY[:0],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_written_as_they_read(tmp_path: Path, name: str):
    save_arrays(tmp_path / "arrays", {"view": VIEWS[name]})
    again = decode_arrays((tmp_path / "arrays").read_bytes())["view"]
    assert again.shape == VIEWS[name].shape
    assert np.array_equal(again, VIEWS[name])


def test_arrays_are_written_in_one_place_alone():
    source = Path(__file__).parents[2] / "src" / "propense"
    writers = [
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "safetensors.numpy"
        and any(name.name in ("save", "save_file") for name in node.names)
    ]  # fmt: skip
    assert writers == ["encoding/storage.py"]
