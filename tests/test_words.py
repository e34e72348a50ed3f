"""The script that counts the house's own words in identifiers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import words


def test_no_word_is_left(capsys):
    assert words.main([]) == 0
    assert "allowed with a reason" in capsys.readouterr().out


def test_every_exception_is_still_needed():
    assert words.unused() == []


def test_every_exception_has_its_reason():
    assert all(reason for reason in (*words.ALLOWED.values(), *words.ROOMS.values()))


def test_a_word_is_found_in_every_form(tmp_path):
    file = tmp_path / "waiting_deeds.py"
    file.write_text('def makeDeed(who=1): "told here"  # told there\nprint(f"{taken}")\n')
    assert words.names_of(file) == {
        "waiting_deeds": 1, "def": 1, "makeDeed": 1, "who": 1, "print": 1, "taken": 1,
    }  # fmt: skip
    assert words.split("makeDeed") == ["make", "deed"]
    assert words.split("HTTPDoor2") == ["http", "door", "2"]
