"""What appears is whole and on disk before its name is, and its name before the call returns."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from propense.errors import ServeError
from propense.files import (
    locked,
    narrow_files,
    new_folder,
    private_folder,
    replace_file,
    replacing,
)
from propense.inference import shelf
from propense.inference.shelf import Current, Promotion
from propense.pipeline import STAGES
from propense.pipeline.resume.stages import Done, write_done
from propense.schemas import RunFolder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every fsync with the name of its file or folder, and every rename with its target."""
    seen: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(handle: int) -> None:
        seen.append(("sync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    def renamed(real: Callable[..., None]) -> Callable[..., None]:
        def call(source: os.PathLike[str], target: os.PathLike[str], **more: int) -> None:
            seen.append(("rename", Path(target).name))
            real(source, target, **more)

        return call

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed(replace))
    monkeypatch.setattr(os, "rename", renamed(rename))
    return seen


def test_a_file_is_on_disk_before_its_name_and_its_name_on_return(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    with replacing(tmp_path / "a") as unfinished:
        unfinished.write_bytes(b"new")
    assert calls == [("sync", "a.unfinished"), ("rename", "a"), ("sync", tmp_path.name)]


def test_a_folder_is_on_disk_before_its_name(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    with new_folder(tmp_path / "made") as folder:
        (folder / "in").mkdir()
        (folder / "in" / "one").write_bytes(b"1")
    names = [name for _, name in calls]
    assert set(names[: names.index("made")]) == {"one", "in", "made.unfinished"}
    assert calls[-2:] == [("rename", "made"), ("sync", tmp_path.name)]


def test_what_the_shelf_and_a_stage_promise_is_on_disk(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    shelf._write(tmp_path, Current([Promotion("v0001", "first", "now")]))
    at = calls.index(("rename", "current.json"))
    assert calls[at - 1][1].startswith("current.json.")
    assert calls[at + 1] == ("sync", tmp_path.name)

    run = RunFolder(tmp_path / "run")
    run.clean.mkdir(parents=True)
    (run.clean / "rows").write_bytes(b"rows")
    calls.clear()
    write_done(run, STAGES[0], Done("hash", 1.0))
    assert calls.index(("sync", "rows")) < calls.index(("rename", "done.json"))
    assert calls[-1] == ("sync", "clean")


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    replace_file(file, b"old")
    with pytest.raises(RuntimeError), replacing(file) as unfinished:
        unfinished.write_bytes(b"half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(tmp_path / "made") as folder:
        (folder / "one").write_bytes(b"1")
        raise RuntimeError
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_takes_the_place_of_another_only_where_asked(tmp_path: Path) -> None:
    for content in (b"1", b"2"):
        with new_folder(tmp_path / "made", replace=True) as folder:
            (folder / "one").write_bytes(content)
    assert (tmp_path / "made" / "one").read_bytes() == b"2"
    with pytest.raises(OSError, match="made"), new_folder(tmp_path / "made"):
        pass
    assert (tmp_path / "made" / "one").read_bytes() == b"2"


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    replace_file(tmp_path / "private", b"")
    replace_file(tmp_path / "shared", b"", private=False)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o666 & ~umask


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "made.unfinished").mkdir()
    (tmp_path / "made.unfinished" / "half").write_bytes(b"")
    (tmp_path / f"a.{os.getpid()}.unfinished").write_bytes(b"half")
    replace_file(tmp_path / "a", b"new")
    with new_folder(tmp_path / "made"):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "made"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
            pass
    with locked(tmp_path / "lock", wait=False):
        pass


def test_a_private_folder_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        private_folder(tmp_path / "live")
        assert stat.S_IMODE((tmp_path / "live").stat().st_mode) == 0o700
        (tmp_path / "live" / "wide").write_text("x")
        narrow_files(tmp_path / "live")
        assert stat.S_IMODE((tmp_path / "live" / "wide").stat().st_mode) == 0o600
        (tmp_path / "wide").mkdir()
    finally:
        os.umask(before)
    with pytest.raises(ServeError, match=r"has mode 0777.*chmod 700"):
        private_folder(tmp_path / "wide")
