"""A shelf lives longer than a version of propense: bundles it cannot read stand in nobody's way."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from propense.cli import main
from propense.errors import BundleError
from propense.evaluation.records import Report
from propense.inference.artifact.manifest import FORMAT, write_manifest
from propense.inference.pruning import prune
from propense.inference.shelf import (
    activate,
    find_version,
    list_versions,
    promote,
    read_current,
    rollback,
)

MADE = "2025-03-01T00:00:00+00:00"
OLD, DAMAGED, NEW = "v0001", "v0002", "v0003"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A bundle of an older format that serves, one that cannot be read, and a good one."""
    folder = tmp_path / "shelf"
    for version in (OLD, DAMAGED, NEW):
        (folder / version).mkdir(parents=True)
        (folder / version / "notes.json").write_text("{}")
        write_manifest(folder / version, "0.1.0", MADE)
    activate(folder, OLD, "first", MADE)
    manifest = folder / OLD / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": FORMAT - 1}))
    (folder / DAMAGED / "manifest.json").write_text("{")
    return folder


def test_they_are_listed_with_what_is_wrong(shelf: Path) -> None:
    old, damaged, new = list_versions(shelf)
    assert (old.name, old.serving, old.made) == (OLD, True, MADE) and old.content
    assert old.error == (
        f"bundle {str(shelf / OLD)!r} was written by propense 0.1.0 in format {FORMAT - 1}, this "
        f"version reads format {FORMAT}; make it again with: propense run"
    )
    assert (damaged.content, damaged.made) == ("", "") and "cannot be read" in damaged.error
    assert (new.error, new.serving) == ("", False)


def test_a_readable_one_takes_over_and_the_way_back_is_refused(shelf: Path) -> None:
    assert find_version(shelf, NEW) == shelf / NEW
    activate(shelf, NEW, "new format", MADE)
    assert read_current(shelf).version == NEW
    with pytest.raises(BundleError, match=f"propense 0.1.0 in format {FORMAT - 1}"):
        rollback(shelf, MADE)
    with pytest.raises(BundleError, match="cannot be read"):
        activate(shelf, DAMAGED, "", MADE)
    assert read_current(shelf).version == NEW
    assert prune(shelf, 1) == [DAMAGED]


def test_what_cannot_be_compared_needs_a_reason(shelf: Path) -> None:
    with pytest.raises(BundleError, match=r"not promoted: report .* cannot be read"):
        promote(shelf, NEW, None, MADE)
    empty = msgspec.json.encode(Report(title="", version="0.1.0"))
    (shelf / NEW / "report.json").write_bytes(empty)
    write_manifest(shelf / NEW, "0.1.0", MADE)
    with pytest.raises(BundleError, match=f"cannot be compared with what serves: .*{OLD}"):
        promote(shelf, NEW, None, MADE)
    promote(shelf, NEW, "the format changed", MADE)
    assert read_current(shelf).version == NEW


def test_the_verb_tells_of_them(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shelf", "list", "--shelf", str(shelf)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cannot serve: bundle" in lines[0] and "cannot serve" not in lines[2]
