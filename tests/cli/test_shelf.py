"""The shelf from the command line."""

from __future__ import annotations

import json

import pytest

from propense.cli import main
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    for number in (1, 2):
        bundle = folder / f"v000{number}"
        bundle.mkdir(parents=True)
        (bundle / "notes.json").write_text(str(number))
        write_manifest(bundle, "0.1.0", f"2025-03-0{number}T00:00:00+00:00")
    activate(folder, "v0001", "first", "2025-03-01T00:00:00+00:00")
    return folder


def test_list_marks_the_serving_bundle(shelf, capsys):
    assert main(["shelf", "list", "--shelf", str(shelf)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("* v0001") and "2025-03-01" in first
    assert second.startswith("  v0002")
    assert main(["shelf", "list", "--shelf", str(shelf), "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["serving"]) for one in versions] == [
        ("v0001", True),
        ("v0002", False),
    ]


def test_the_settings_name_the_shelf(shelf, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "propense.toml").write_text('[users]\npath = "u.csv"\n[pack]\nshelf = "shelf"\n')
    assert main(["shelf", "list"]) == 0
    assert "v0002" in capsys.readouterr().out


def test_an_empty_shelf_says_how_to_fill_it(tmp_path, capsys):
    assert main(["shelf", "list", "--shelf", str(tmp_path / "none")]) == 0
    assert "is empty; pack a bundle with: propense pack" in capsys.readouterr().out


def test_rollback_goes_back_and_no_further(shelf, capsys):
    activate(shelf, "v0002", "better", "2025-03-02T00:00:00+00:00")
    assert main(["shelf", "rollback", "--shelf", str(shelf)]) == 0
    assert capsys.readouterr().out == "v0001 now serves\n"
    history = json.loads((shelf / "current.json").read_bytes())["history"]
    assert history[-1]["version"] == "v0001"
    assert history[-1]["made"].endswith("+00:00")


def test_rollback_without_an_earlier_one_is_refused(shelf, capsys):
    assert main(["shelf", "rollback", "--shelf", str(shelf)]) == 2
    assert "has no earlier bundle" in capsys.readouterr().err
