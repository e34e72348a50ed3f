"""Old bundles leave the shelf; what serves and what a rollback leads to never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.cli import main
from propense.errors import BundleError
from propense.inference.artifact.manifest import write_manifest
from propense.inference.pruning import prune
from propense.inference.shelf import activate, list_versions, new_version, rollback

MADE = "2025-03-01T00:00:00+00:00"


def fill(shelf: Path, *numbers: int) -> None:
    for number in numbers:
        bundle = shelf / f"v{number:04d}"
        bundle.mkdir(parents=True)
        (bundle / "notes.json").write_text(str(number))
        write_manifest(bundle, "0.1.0", MADE)


def names(shelf: Path) -> list[str]:
    return [version.name for version in list_versions(shelf)]


def test_the_newest_stay_and_what_serves_and_what_served_before_it(tmp_path: Path) -> None:
    fill(tmp_path, *range(1, 9))
    for version in ("v0001", "v0003", "v0002", "v0002"):
        activate(tmp_path, version, "", MADE)
    assert prune(tmp_path, 2, also=["v0005"]) == ["v0001", "v0004", "v0006"]
    assert names(tmp_path) == ["v0002", "v0003", "v0005", "v0007", "v0008"]
    assert rollback(tmp_path, MADE) == "v0003"
    assert prune(tmp_path, 2, also=["v0005"]) == []
    assert new_version(tmp_path) == "v0009"


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    fill(tmp_path, 9998, 9999, 10000)
    assert prune(tmp_path, 1) == ["v9998", "v9999"]


def test_what_a_killed_pruning_left_is_no_bundle_and_goes(tmp_path: Path) -> None:
    fill(tmp_path, 1, 2)
    (tmp_path / "v0001").rename(tmp_path / ".pruned-v0001")
    assert names(tmp_path) == ["v0002"]
    assert prune(tmp_path, 1) == []
    assert not (tmp_path / ".pruned-v0001").exists()


def test_nothing_to_keep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="--keep must be at least 1, got 0"):
        prune(tmp_path, 0)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "shelf", 1, 2, 3)
    asked = ["shelf", "prune", "--keep", "2", "--shelf", str(tmp_path / "shelf")]
    assert main(asked) == 0
    assert capsys.readouterr().out == "deleted v0001\n"
    assert main(asked) == 0
    assert capsys.readouterr().out == "nothing to delete\n"
    assert main(["shelf", "prune", "--shelf", str(tmp_path)]) == 2
