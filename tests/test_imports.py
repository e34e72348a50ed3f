"""Importing does nothing: heavy packages load at the door that needs them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "ibis", "sklearn", "lightgbm", "duckdb", "onnxruntime", "pandas", "pyspark"}


def loaded_by(program: str) -> set[str]:
    """Top-level packages in a fresh interpreter after `program`."""
    tail = "\nimport json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", program + tail], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "program",
    [
        "import propense",
        "import propense.cli",
        "import propense.cli.app; propense.cli.app.build()",
        "import propense; propense.read_settings; dir(propense)",
        "from propense.cli import data, flow, results, shelf, demo",
        "from propense.cli import main; main(['run', '--help'])",
    ],
)
def test_nothing_heavy_is_loaded(program):
    assert loaded_by(program) & HEAVY == set()


def test_propense_alone_needs_the_standard_library_only():
    ours = loaded_by("import propense") - loaded_by("")
    assert ours - set(sys.stdlib_module_names) == {"propense"}


def test_the_help_page_needs_the_standard_library_only():
    ours = loaded_by("from propense.cli import main; main([])") - loaded_by("")
    assert ours - set(sys.stdlib_module_names) == {"propense"}


def test_every_public_name_exists():
    import propense

    for name in propense.__all__:
        assert getattr(propense, name) is not None
    assert set(propense.__all__) == set(dir(propense))


def test_an_unknown_name_is_an_attribute_error():
    propense = importlib.import_module("propense")
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = propense.trian
