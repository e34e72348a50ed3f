"""Items that were sent are one set for all processes and hosts of a store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from propense.errors import RefusedError
from propense.runtime import item_updates
from propense.runtime.item_updates import DAMAGED, FILE, KIND, MOVED, ItemUpdate, ItemUpdates
from support.live_stores import memory_controls


def bundle(*item_ids: str, items_read: int = 0) -> Any:
    """A bundle whose catalogue has these items."""
    catalogue = SimpleNamespace(
        index_of={one: n for n, one in enumerate(item_ids)}, record=lambda index: {"a": 1, "b": 2}
    )
    return SimpleNamespace(manifest=SimpleNamespace(items_read=items_read), catalogue=catalogue)


def test_what_one_host_takes_the_other_sees(tmp_path: Path) -> None:
    controls = memory_controls()
    one, other = ItemUpdates(controls, tmp_path), ItemUpdates(controls, tmp_path)
    before = other.state()
    one.put("b", ItemUpdate(1, {"title": "B"}), bundle())
    one.put("a", ItemUpdate(2, {"title": "A"}), bundle())
    one.put("b", ItemUpdate(3, {"title": "B2"}), bundle())
    assert other.state() == before, "looking into memory asks no store"
    other.refresh()
    assert other.state() == one.state() != before
    assert other.read()[1] == {
        "a": ItemUpdate(2, {"title": "A"}),
        "b": ItemUpdate(3, {"title": "B2"}),
    }
    assert list(other.read()[1]) == ["a", "b"], "oldest first"


def test_the_file_of_an_older_version_is_moved_once(tmp_path: Path) -> None:
    controls = memory_controls()
    ItemUpdates(controls, tmp_path).put("x", ItemUpdate(9, {"title": "newer"}), bundle())
    old = {"x": ItemUpdate(1, {"title": "older"}), "y": ItemUpdate(2, {})}
    (tmp_path / FILE).write_bytes(msgspec.json.encode(old))
    moved = ItemUpdates(controls, tmp_path)
    assert moved.read()[1] == {"x": ItemUpdate(9, {"title": "newer"}), "y": ItemUpdate(2, {})}
    assert not (tmp_path / FILE).exists() and (tmp_path / MOVED).exists() and not moved.damaged
    (tmp_path / FILE).write_bytes(b"{")
    assert ItemUpdates(controls, tmp_path).damaged and (tmp_path / DAMAGED).exists()


def test_a_damaged_record_stops_nothing_and_is_told(tmp_path: Path) -> None:
    controls = memory_controls()
    items = ItemUpdates(controls, tmp_path)
    items.put("good", ItemUpdate(1, {}), bundle())
    controls.put(KIND, "bad", b'{"at": "x"}')
    assert list(items.read()[1]) == ["good"] and items.damaged
    items.put("bad", ItemUpdate(2, {}), bundle())
    assert list(items.read()[1]) == ["good", "bad"] and not items.damaged


def test_where_there_are_too_many_those_of_the_bundle_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_updates, "MOST", 2)
    controls = memory_controls()
    items, other = ItemUpdates(controls, tmp_path), ItemUpdates(controls, tmp_path)
    for number, name in enumerate(("a", "b")):
        items.put(name, ItemUpdate(number, {}), bundle())
    with pytest.raises(RefusedError, match="put them into"):
        items.put("c", ItemUpdate(5, {}), bundle())
    items.put("b", ItemUpdate(5, {"title": "B"}), bundle())
    items.put("c", ItemUpdate(6, {}), bundle("a", items_read=3))
    assert list(items.read()[1]) == list(other.read()[1]) == ["b", "c"]
