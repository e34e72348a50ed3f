"""The order of files."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from propense.tables.sources.locations import local_files, natural_order


@given(
    st.lists(st.integers(0, 10**6), unique=True), st.sampled_from(["part-", "", "a/b_", "2024."])
)
def test_numbers_in_names_go_by_their_size(numbers: list[int], front: str) -> None:
    files = sorted((f"{front}{number}.csv" for number in numbers), key=natural_order)
    assert files == [f"{front}{number}.csv" for number in sorted(numbers)]


@given(st.lists(st.text(st.sampled_from("a1٣²0/.-"), max_size=8)))
def test_any_names_have_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_order) == sorted(reversed(names), key=natural_order)


def test_a_folder_and_a_glob_have_the_same_order(tmp_path: Path) -> None:
    for number in (10, 2, 1, 100):
        (tmp_path / f"part-{number}.csv").write_text("a\n1\n")
    expected = [f"part-{number}.csv" for number in (1, 2, 10, 100)]
    for address in (".", "*.csv", "part-?*.csv"):
        files = local_files([address], tmp_path, tmp_path, "here")
        assert [file.name for file in files] == expected


def test_a_folder_that_a_glob_matches_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "data.old").mkdir()
    (tmp_path / "data.csv").write_text("a\n1\n")
    matched = local_files(["data.*"], tmp_path, tmp_path / "scratch", "[sources.s] events")
    assert [file.name for file in matched] == ["data.csv"]


def test_files_of_two_addresses_have_folders_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text(f"user_id\n{folder}\n")
    addresses = [f"file://{tmp_path}/{folder}/log.csv" for folder in ("a", "b")]
    files = [
        file
        for address in addresses
        for file in local_files([address], tmp_path, tmp_path / "scratch", "[sources.s] events")
    ]
    assert [file.read_text() for file in files] == ["user_id\na\n", "user_id\nb\n"]
