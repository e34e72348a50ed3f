"""No text of a file reaches propense.toml unescaped: any header, word and file name."""

from __future__ import annotations

import csv
import json
import tempfile
import tomllib
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from propense.errors import SourceError
from propense.settings import parse_settings
from propense.tables.guessing.guess import Guess, guess_settings

NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=24),
    st.sampled_from([
        'a"b', "a\nb", "a\r\nb", '"""', "\'\'\'", "\\", "\\u0041", "[sources.evil]", "x = 1",
        "# note",
        "a]b", "{ x = 1 }", "\x00", "\x1b[31m", "\x7f", "\u2028", "\u200b", "\ufeff", "a" * 3000,
        ".", "a.b",
        'id"\n[clean]\nrefund_actions = ["x"]\n#', " ", "\t",
    ]),
)  # fmt: skip
FILE_NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\x00"), min_size=1, max_size=20
).filter(lambda name: name.encode().strip(b".") and len(name.encode()) < 100)


def check(guess: Guess, folder: Path) -> None:
    """The text means the settings that were parsed from it, and nothing else."""
    raw = tomllib.loads(guess.toml)
    assert parse_settings(raw, folder=folder) == guess.settings
    assert set(raw) <= {
        "open_questions", "guesses", "time_zone", "currency", "sources", "users", "items",
        "identities", "exposures", "impressions", "goals", "split", "recommend", "clean",
    }  # fmt: skip
    assert not guess.settings.clean.accept_guesses


@given(
    headers=st.lists(NASTY, min_size=3, max_size=6, unique_by=lambda name: name.strip().casefold()),
    words=st.lists(NASTY, min_size=2, max_size=4), stem=FILE_NAMES,
)  # fmt: skip
@example(headers=["a\n(EUR)", '"', "]"], words=['pay"""', "x\ny"], stem="e\nvil")
@settings(deadline=None, max_examples=12)
def test_any_header_word_and_file_name(headers: list[str], words: list[str], stem: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / f"{stem}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
            writer.writerow(["user_id", "event_time", "action", *headers])
            for i in range(40):
                word = words[i % len(words)]
                writer.writerow(
                    [f"u{i % 9}", f"2024-01-{i % 28 + 1:02d} 10:00:00", word]
                    + [f"{word}{i}" if i % 2 else str(i)] * len(headers)
                )
        try:
            check(guess_settings(folder), folder)
        except SourceError as error:
            assert str(error)


@given(
    headers=st.lists(NASTY, min_size=1, max_size=5), words=st.lists(NASTY, min_size=2, max_size=4)
)
@settings(deadline=None, max_examples=6)
def test_any_key_of_json(headers: list[str], words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [
            json.dumps({
                "user_id": f"u{i % 9}", "event_time": f"2024-01-{i % 28 + 1:02d}T10:00:00Z",
                "action": words[i % len(words)],
                "properties": {key: words[i % len(words)] for key in headers},
                **{key: i for key in headers},
            })
            for i in range(40)
        ]  # fmt: skip
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        try:
            check(guess_settings(folder), folder)
        except SourceError as error:
            assert str(error)
