"""The files of one source become Parquet files of text: what each is, and how it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from propense.errors import SourceError
from propense.schemas import FileAccount
from propense.settings import Source, TableSource
from propense.tables.questions import Question, encoding_question
from propense.tables.sources.containers import Plain, unpack
from propense.tables.sources.json.staging import is_json, stage_json_text
from propense.tables.sources.text.access_logs import is_access_log, stage_access_log
from propense.tables.sources.text.copies import (
    PlainText,
    needs_stand_in,
    plain_text,
    read_chunks,
    redelimit,
)
from propense.tables.sources.text.delimited import Lines, shape_of, stage_delimited
from propense.tables.sources.text.dialects import (
    Declared,
    Dialect,
    Head,
    first_quoting,
    infer_dialects,
)
from propense.tables.sources.text.encodings import (
    Survey,
    Verdict,
    check_codec,
    detect_encoding,
    survey,
)
from propense.tables.sources.text.headers import HEAD_BYTES
from propense.tables.sources.text.quoting import detect_quoting, survey_quotes, unescaped_blocks
from propense.tables.sources.workbooks import sheet_dialect, sheet_rows, sheets_of, stage_sheet

Form = Literal["csv", "json", "xlsx", "parquet", "access_log"]
_FORMS: Final[dict[str, Form]] = {
    "csv": "csv", "jsonl": "json", "json": "json", "xlsx": "xlsx", "parquet": "parquet",
    "access_log": "access_log",
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A file that the settings name."""

    path: Path
    shown: str
    """Its name for messages and the account."""
    member: str | None = None
    """What stands behind "#": a file of a zip, a sheet, an array of an object."""


@dataclass
class Staged:
    """A file that is Parquet now."""

    path: Path
    account: FileAccount


@dataclass
class Staging:
    """All files of a source."""

    files: list[Staged] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def json_files(self) -> list[Path]:
        return [one.path for one in self.files if one.account.format in ("json", "jsonl")]


@dataclass
class _Text:
    """A text file on its way."""

    named: Named
    plain: Plain
    seen: Survey
    number: int
    text: PlainText | None = None
    codec: str = "utf-8"
    notes: list[str] = field(default_factory=list)
    delimiter: str | None = None
    """What stands for the delimiter in a copy where it is one byte."""
    restore: dict[str, str] = field(default_factory=dict)


def stage_files(
    named: Sequence[Named], source: Source | TableSource, wanted: Sequence[str],
    canonical: Sequence[str], scratch: Path, where: str, start: int = 0,
) -> Staging:  # fmt: skip
    """Write every file below `scratch`, Parquet files excepted, which stay where they are.

    Names of files begin with numbers from `start`.

    Raises SourceError naming a file that cannot be read, and the remedy.
    """
    staging = Staging()
    texts: list[_Text] = []
    slots: dict[int, list[Staged]] = {}
    declared = Declared(source.delimiter, source.quoting, source.header, source.skip_lines,
                        tuple(wanted), tuple(canonical))  # fmt: skip
    for number, one in enumerate(named, start=start):
        member = _zip_member(one)
        plain = unpack(one.path, scratch / f"{number:05d}", member, one.shown)
        if member is not None:
            one = replace(one, member=None)
        slots[number] = []
        if plain.path.stat().st_size == 0:
            raise SourceError(f"{one.shown} is empty; remove it from the source or export it again")
        if plain.kind == "parquet":
            account = FileAccount(
                file=one.shown, format="parquet", dialect=", ".join(plain.packings)
            )
            slots[number].append(Staged(plain.path, account))
        elif plain.kind == "workbook":
            slots[number] += _stage_workbook(one, plain, source, declared, scratch, number)
        else:
            texts.append(_Text(one, plain, survey(read_chunks(plain.path)), number))
    staging.questions += _read_encodings(texts, source, scratch, where)
    for text, staged in _stage_texts(texts, source, declared, scratch):
        slots[text.number].append(staged)
    staging.files = [staged for slot in slots.values() for staged in slot]
    _remove_copies(scratch, {one.path for one in staging.files})
    return staging


def _remove_copies(scratch: Path, keep: set[Path]) -> None:
    """Remove what was unpacked and rewritten on the way."""
    for path in scratch.rglob("*"):
        if path.suffix in (".plain", ".utf8", ".lines", ".cells") and path not in keep:
            path.unlink()


def _zip_member(one: Named) -> str | None:
    from propense.tables.sources.containers import first_bytes, is_workbook, packing_of

    if one.member is None or packing_of(first_bytes(one.path)) != "zip" or is_workbook(one.path):
        return None
    return one.member


def _stage_workbook(
    one: Named, plain: Plain, source: Source | TableSource, declared: Declared, scratch: Path,
    number: int,
) -> list[Staged]:  # fmt: skip
    staged = []
    sheets, notes = sheets_of(plain.path, one.member or source.sheet, one.shown, declared)
    for index, sheet in enumerate(sheets):
        shown = one.shown if len(sheets) == 1 else f"{one.shown}#{sheet}"
        rows = sheet_rows(plain.path, sheet, shown)
        dialect = sheet_dialect(rows, shown, declared)
        out = scratch / f"{number:05d}-{index:03d}.parquet"
        lines = stage_sheet(rows, dialect, out, shown)
        staged.append(Staged(out, _account(shown, "xlsx", lines, dialect=f"sheet {sheet!r}",
                                           notes=[*notes, *dialect.notes])))  # fmt: skip
    return staged


def _read_encodings(
    texts: Sequence[_Text], source: Source | TableSource, scratch: Path, where: str
) -> list[Question]:
    """Set the encoding of each text, and write it as UTF-8 where it is not; open questions."""
    odd = [text for text in texts if text.seen.codec is None]
    verdict = detect_encoding([text.seen for text in odd]) if odd else Verdict("utf-8")
    questions = []
    if source.encoding != "auto":
        check_codec(source.encoding, f"{where.rpartition(' ')[0]} encoding")
    elif verdict.others:
        readings = {verdict.codec: verdict.examples} | verdict.others
        table = where.rpartition(" ")[0].removeprefix("[").removesuffix("]")
        questions.append(encoding_question(f"{table}.encoding", odd[0].named.shown, readings))
    for text in texts:
        declared = source.encoding if source.encoding != "auto" and not text.seen.bom else None
        text.codec = declared or text.seen.codec or verdict.codec
        out = scratch / f"{text.number:05d}.utf8"
        text.text = plain_text(text.plain.path, out, text.codec, text.seen, source.delimiter)
        text.notes += _encoding_notes(text, verdict if declared is None else Verdict(text.codec))
    return questions


def _encoding_notes(text: _Text, verdict: Verdict) -> list[str]:
    assert text.text is not None
    notes = []
    if text.seen.codec is None and verdict.examples and text.codec != "utf-8":
        words = ", ".join(map(repr, verdict.examples))
        notes.append(f"read as {text.codec}, such as {words}")
    if text.text.n_nul:
        notes.append(f"{text.text.n_nul:,} zero bytes were left out")
    if text.text.n_returns:
        notes.append(
            f"{text.text.n_returns:,} lines end with a carriage return alone, first line "
            f"{text.text.first_return:,}"
        )
    if text.text.n_replaced:
        notes.append(
            f"{text.text.n_replaced:,} bytes are not {text.codec} and are read as \ufffd, first on "
            f"line {text.text.first_replaced:,}"
        )
    return notes


def _stage_texts(
    texts: Sequence[_Text], source: Source | TableSource, declared: Declared, scratch: Path
) -> list[tuple[_Text, Staged]]:
    delimited: list[_Text] = []
    staged: list[tuple[_Text, Staged]] = []
    for text in texts:
        assert text.text is not None
        form = _form(text, source)
        out = scratch / f"{text.number:05d}.parquet"
        if form == "access_log":
            lines = stage_access_log(text.text, out, declared.wanted, text.named.shown)
            staged.append((text, Staged(out, _text_account(text, "access_log", lines, "", []))))
        elif form == "json":
            written, lines, notes = stage_json_text(
                text.text, out, declared.wanted, text.named.shown, text.named.member,
                source.products if isinstance(source, Source) else "",
            )  # fmt: skip
            staged.append((text, Staged(out, _text_account(text, written, lines, "", notes))))
        else:
            delimited.append(text)
    return staged + _stage_delimited(delimited, declared, scratch)


def _form(text: _Text, source: Source | TableSource) -> Form:
    """What a text is: what the settings say, or what its first lines show."""
    assert text.text is not None
    head = next(read_chunks(text.text.path, text.text.skip), b"")[:HEAD_BYTES]
    if not head.strip():
        raise SourceError(
            f"{text.named.shown} has only blank lines; remove it from the source or export it again"
        )
    if source.format != "auto":
        form = _FORMS[source.format]
        if form in ("xlsx", "parquet"):
            raise SourceError(
                f"{text.named.shown} is text and no {source.format} file; remove format = "
                f'"{source.format}"'
            )
        return form
    if is_json(head):
        return "json"
    lines = [line.rstrip("\r") for line in head.decode("utf-8", "replace").split("\n")[:20]]
    return "access_log" if is_access_log(lines) else "csv"


def _stage_delimited(
    texts: Sequence[_Text], declared: Declared, scratch: Path
) -> list[tuple[_Text, Staged]]:
    """Delimited files: the dialect is judged over all of them, then each is written."""
    if not texts:
        return []
    heads = [_head(text) for text in texts]
    quoting = first_quoting(heads, declared)
    dialects = _prepare(texts, heads, quoting, declared, scratch)
    written = _write_all(texts, dialects, scratch)
    if (
        declared.quoting == "auto"
        and quoting == "standard"
        and any(lines.n_doubtful for lines in written)
    ):
        quoting = _quoting_of(texts, dialects)
        if quoting != "standard":
            dialects = _prepare(texts, heads, quoting, declared, scratch)
            written = _write_all(texts, dialects, scratch)
    staged = []
    for text, dialect, lines in zip(texts, dialects, written, strict=True):
        lines.refuse(
            text.named.shown,
            f"do not have the {len(dialect.names)} fields of the header with delimiter "
            f"{dialect.delimiter!r}",
            "set the source's delimiter, or header = false if the first line is data",
        )
        account = _text_account(text, "csv", lines, dialect.words, list(dialect.notes))
        staged.append((text, Staged(scratch / f"{text.number:05d}.parquet", account)))
    return staged


def _prepare(
    texts: Sequence[_Text], heads: Sequence[Head], quoting: str, declared: Declared, scratch: Path
) -> list[Dialect]:
    """How each file is written; copies of those with long delimiters or backslash escapes."""
    dialects = infer_dialects([replace(head, quoting=quoting) for head in heads], declared)
    for text, dialect in zip(texts, dialects, strict=True):
        if quoting == "backslash":
            _unescape(text, text.delimiter or dialect.delimiter, scratch)
        if text.delimiter is None:
            _redelimit(text, dialect.delimiter, scratch)
    return dialects


def _write_all(texts: Sequence[_Text], dialects: Sequence[Dialect], scratch: Path) -> list[Lines]:
    written = []
    for text, dialect in zip(texts, dialects, strict=True):
        assert text.text is not None
        out = scratch / f"{text.number:05d}.parquet"
        with text.text.path.open("rb") as stream:
            stream.seek(text.text.skip)
            shape = shape_of(dialect, text.delimiter)
            lines = stage_delimited(stream, out, dialect, shape, text.restore, text.named.shown)
        written.append(lines)
    return written


def _quoting_of(texts: Sequence[_Text], dialects: Sequence[Dialect]) -> str:
    """What quotes do in these files, where they do not always enclose cells."""
    quotes = []
    for text, dialect in zip(texts, dialects, strict=True):
        assert text.text is not None
        shape = shape_of(dialect, text.delimiter)
        own = survey_quotes(text.text.path, text.text.skip, dialect.skip, shape)
        quotes.append((text.named.shown, own))
    return detect_quoting(quotes, "auto")


def _head(text: _Text) -> Head:
    """The first whole lines of a text."""
    assert text.text is not None
    chunk = next(read_chunks(text.text.path, text.text.skip), b"")
    head = chunk[:HEAD_BYTES]
    if len(chunk) > HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    return Head(text.named.shown, head.removesuffix(b"\n"))


def _redelimit(text: _Text, delimiter: str, scratch: Path) -> None:
    """A copy with a delimiter of one byte, where it has more or is a run of blanks."""
    if not needs_stand_in(delimiter):
        return
    assert text.text is not None
    copy = redelimit(text.text, scratch / f"{text.number:05d}.cells", delimiter)
    text.text = replace(text.text, path=copy.path, skip=0)
    text.delimiter, text.restore = copy.delimiter, copy.restore


def _unescape(text: _Text, delimiter: str, scratch: Path) -> None:
    assert text.text is not None
    out = scratch / f"{text.number:05d}.plain"
    with out.open("wb") as target:
        chunks = read_chunks(text.text.path, text.text.skip)
        target.writelines(unescaped_blocks(chunks, delimiter.encode()))
    text.text = replace(text.text, path=out, skip=0)


def _text_account(
    text: _Text, form: str, lines: Lines, dialect: str, notes: list[str]
) -> FileAccount:
    words = ", ".join(filter(None, [dialect, *(f"packed as {one}" for one in text.plain.packings)]))
    return _account(text.named.shown, form, lines, text.codec, words,
                    [*text.notes, *notes, *lines.notes()])  # fmt: skip


def _account(
    shown: str, form: str, lines: Lines, encoding: str = "", dialect: str = "",
    notes: list[str] | None = None,
) -> FileAccount:  # fmt: skip
    return FileAccount(
        file=shown, format=form, physical_lines=lines.physical, rows=lines.rows,
        header_lines=lines.header, blank_lines=lines.blank, inside_quotes=lines.inside,
        broken=lines.broken, encoding=encoding, dialect=dialect, notes=notes or [],
    )  # fmt: skip
