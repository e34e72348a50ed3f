"""The JSON values of pieces of a file."""

from __future__ import annotations

import msgspec

from propense.tables.sources.json.objects import find_objects
from propense.tables.sources.json.pages import page_key, refuse_repeated
from propense.tables.sources.pieces import Pieces
from propense.tables.sources.text.encodings import UTF_8


def sampled_records(pieces: Pieces) -> tuple[list[object], int, bool]:
    """The JSON values of the pieces, how many rows they are, and whether each has a line."""
    lines = pieces.lines()
    for line in lines:
        refuse_repeated(line, str(pieces.path))
    records = [_decoded(line) for line in lines]
    good = sum(isinstance(record, dict) for record in records)
    page = page_key(lines, ()) if good * 2 > len(records) else None
    if page is not None:
        pages = [record for record in records if isinstance(record, dict)]
        inner = [one for record in pages for one in record.get(page) or ()]
        return [*inner, *[None] * (len(records) - good)], len(inner) + len(records) - good, False
    if good * 2 > len(records) and not (len(lines) == 1 and pieces.whole):
        return records, len(records), True
    text = pieces.texts[0] if not pieces.whole else b"\n".join(pieces.texts)
    result = find_objects(text, str(pieces.path), whole=pieces.whole)
    spans = zip(result.starts.tolist(), result.ends.tolist(), strict=True)
    texts = [text[start:end].decode(UTF_8, "replace") for start, end in spans]
    for one in texts:
        refuse_repeated(one, str(pieces.path))
    records = [_decoded(one) for one in texts]
    share = len(b"".join(pieces.texts)) / max(len(text), 1)
    n_rows = len(records) + len(result.garbage) * pieces.whole
    return records, round(n_rows * share), len(lines) == 1 and len(records) == 1


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
