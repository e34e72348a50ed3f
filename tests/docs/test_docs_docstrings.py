"""A docstring or comment that sends the reader to a file names one that exists."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
MENTION = re.compile(r"(?<![\w./*{-])([\w./-]*\w\.py)\b")


def mentions(file: Path) -> list[str]:
    """The paths that comments and strings over several words name."""
    text = file.read_text("utf-8")
    kinds = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    strings = [token.string for token in tokens if token.type in kinds and " " in token.string]
    return [path for string in strings for path in MENTION.findall(string)]


def test_files_that_docstrings_name_exist() -> None:
    files = [f"/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("[!.]*/**/*.py")]
    files += [f"/{path.name}" for path in ROOT.glob("*.py")]
    n_mentions, missing = 0, []
    for file in sorted((ROOT / "src").rglob("*.py")):
        for path in mentions(file):
            n_mentions += 1
            if not any(name.endswith(f"/{path.lstrip('./')}") for name in files):
                missing.append(f"{file.relative_to(ROOT)}: {path}")
    assert n_mentions > 10
    assert not missing, "\n".join(missing)
