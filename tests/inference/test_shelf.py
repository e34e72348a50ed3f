"""A shelf lives longer than a version of propense: bundles it cannot read stand in nobody's way."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from propense.cli import main
from propense.errors import BundleError
from propense.evaluation.records import Report
from propense.inference.artifact.manifest import FORMAT, read_manifest, sign, write_manifest
from propense.inference.pruning import prune
from propense.inference.shelf import (
    activate,
    find_version,
    list_versions,
    new_version,
    promote,
    read_current,
    rollback,
    serving_bundle,
)
from propense.security.signing import Signers, make_signing_key, read_public_keys, sign_bundle

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


def test_a_name_is_given_once_also_where_its_bundle_was_deleted(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    assert [new_version(shelf), new_version(shelf)] == ["v0001", "v0002"]
    add(shelf, "v0002")
    activate(shelf, "v0002", "first", MADE)
    shutil.rmtree(shelf / "v0002")
    assert new_version(shelf) == "v0003"
    current = shelf / "current.json"
    old = json.loads(current.read_text())
    del old["last"]
    current.write_text(json.dumps(old))
    assert new_version(shelf) == "v0003", "a shelf of version 0.2 remembers its history alone"


def test_every_promotion_of_many_at_once_is_recorded(tmp_path: Path) -> None:
    """Each of them reads, changes and writes the same file."""
    shelf = tmp_path / "shelf"
    for number in range(8):
        add(shelf, f"v{number:04d}")
    errors: list[BaseException] = []

    def promote_often(version: str) -> None:
        try:
            for _ in range(10):
                activate(shelf, version, "", MADE)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=promote_often, args=(f"v{n:04d}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    history = [entry.version for entry in read_current(shelf).history]
    assert sorted(history) == sorted(f"v{n:04d}" for n in range(8) for _ in range(10))


@pytest.mark.parametrize("name", ["../elsewhere/v0001", "v0001/..", "/etc", ".", "v0001/../v0002"])
def test_no_name_leads_out_of_the_shelf(tmp_path: Path, name: str) -> None:
    shelf = tmp_path / "shelf"
    add(shelf, "v0001")
    add(tmp_path / "elsewhere", "v0001")
    (shelf / "current.json").write_text(json.dumps({"history": [
        {"version": name, "reason": "", "made": MADE}]}))  # fmt: skip
    with pytest.raises(BundleError, match="is not the name of a bundle"):
        serving_bundle(shelf)
    with pytest.raises(BundleError, match="has no bundle"):
        find_version(shelf, name)


def test_a_link_on_the_shelf_is_no_bundle(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    add(shelf, "v0001")
    add(tmp_path / "elsewhere", "v0007")
    (shelf / "v0007").symlink_to(tmp_path / "elsewhere" / "v0007")
    assert "is a link" in list_versions(shelf)[1].error
    with pytest.raises(BundleError, match="is a link"):
        activate(shelf, "v0007", "", MADE)
    (shelf / "current.json").symlink_to(tmp_path / "elsewhere" / "current.json")
    with pytest.raises(BundleError, match="must be a plain file"):
        read_current(shelf)


def test_a_signed_bundle_is_the_one_of_its_name_number_and_project(tmp_path: Path) -> None:
    """Otherwise an old bundle, signed once, could take the place of any other one."""
    key = tmp_path / "key.pem"
    signers = Signers(read_public_keys(make_signing_key(key)), "shop")
    shelf = tmp_path / "shelf"
    add(shelf, "v0003")
    sign(shelf / "v0003", key, "shop")
    manifest = read_manifest(shelf / "v0003", signers=signers)
    assert (manifest.name, manifest.project, manifest.counter) == ("v0003", "shop", 3)
    shutil.copytree(shelf / "v0003", shelf / "v0004")
    with pytest.raises(BundleError, match=r"signed as 'v0003'.*propense shelf sign v0004"):
        promote(shelf, "v0004", "an old one", MADE, signers)
    with pytest.raises(BundleError, match="signed for the project 'shop'"):
        read_manifest(shelf / "v0003", signers=Signers(signers.keys, "another"))


def test_a_signature_of_an_earlier_version_says_how_to_renew_it(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    signers = Signers(read_public_keys(make_signing_key(key)), "shop")
    bundle = add(tmp_path / "shelf", "v0001")
    old = json.loads((bundle / "manifest.json").read_text())
    for name in ("name", "project", "counter"):
        del old[name]
    (bundle / "manifest.json").write_text(json.dumps(old))
    sign_bundle(bundle, key)
    read_manifest(bundle)
    with pytest.raises(BundleError, match=r"does not cover its name.*propense shelf sign v0001"):
        read_manifest(bundle, signers=signers)
    sign(bundle, key, "shop")
    read_manifest(bundle, signers=signers)


def add(shelf: Path, version: str) -> Path:
    """A small bundle on the shelf."""
    (shelf / version).mkdir(parents=True)
    (shelf / version / "notes.json").write_text("{}")
    write_manifest(shelf / version, "0.1.0", MADE)
    return shelf / version
