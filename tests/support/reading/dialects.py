"""Tables written in any guessable dialect, and what reading makes of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from propense.errors import SourceError
from propense.settings import Source, parse_settings
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.sources.samples import Sample, Unreadable, sample_files
from propense.tables.sources.staging import Named, Staging, stage_files

NAMES = ("user_id", "item_id", "action", "event_time", "value", "note")
OTHER_NAMES = {
    "gb18030": ("用户ID", "商品编号", "行为", "时间", "金额", "备注"),
    "": ("uid", "Product SKU", "Act", "ts", "amount (EUR)", "note, free text"),
}
"""Names that settings map."""
WESTERN = ("Köln", "Málaga", "Frédéric", "São Carlos", "Zürich", "naïve", "5 €", "Genève", "Straße")
CHINESE = ("课程一", "支付", "用户", "北京市", "高等数学", "优惠券", "张伟", "订单已完成")
PLAIN = ("blue", "a b", "x-1", "it's", "50%", "N/A", "#1", "a/b", "2 pcs", "=1+1", "\\N", "c:\\d\\")
NASTY = ('5" pipe', '"quoted"', 'say ""', "a,b", "a;b", "a|b", "a\tb", "a::b", "line\nbreak",
         'a "b", c', "two\nline, break\n", '"', "''", "\\", '\\"', "x\x1fy")  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    delimiter: str = ","
    quoting: str = "minimal"
    encoding: str = "utf-8"
    line_end: str = "\n"
    packing: str = ""
    preamble: tuple[str, ...] = ()
    header: bool = True
    excel_line: bool = False
    last_line_end: bool = True
    trailing: bool = False


@dataclass(frozen=True)
class Case:
    """Tables of one source, each written in a dialect."""

    rows: tuple[tuple[tuple[str, ...], ...], ...]
    dialects: tuple[Dialect, ...]
    names: tuple[str, ...] = NAMES

    @property
    def columns(self) -> dict[str, str]:
        """The mapping of the settings."""
        if self.names == NAMES:
            return {}
        return dict(zip(NAMES[:5], self.names, strict=False))

    @property
    def read_names(self) -> tuple[str, ...]:
        return tuple(" ".join(name.split()) for name in self.names)

    @property
    def cells(self) -> list[tuple[str | None, ...]]:
        return [tuple(cell or None for cell in row) for table in self.rows for row in table]


def _row(words: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    user = st.integers(1, 40).map("u{:03d}".format)
    item = st.integers(100, 130).map("P{}".format) | st.just("")
    action = st.sampled_from(("view", "cart", "pay"))
    day = st.tuples(st.integers(1, 12), st.integers(1, 28), st.integers(0, 23), st.integers(0, 59))
    time = day.map(lambda one: f"2024-{one[0]:02d}-{one[1]:02d} {one[2]:02d}:{one[3]:02d}:00")
    value = st.integers(0, 99_999).map(lambda cents: f"{cents / 100:.2f}") | st.just("")
    return st.tuples(user, item, action, time, value, words)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A source of one to three files."""
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "gb18030", "cp1252")))
    letters = {"cp1252": WESTERN, "gb18030": CHINESE}.get(encoding, WESTERN + CHINESE)
    delimiter = draw(st.sampled_from((",", ",", ";", "\t", "|", "::", "||", "\x01", "~|~")))
    quoting = draw(st.sampled_from(("minimal", "minimal", "all", "none", "backslash")))
    pool = PLAIN + letters + (NASTY if draw(st.booleans()) else ())
    line_end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
    if line_end == "\r" or quoting == "none":
        pool = tuple(word for word in pool if "\n" not in word)
    if quoting == "none":
        pool = tuple(word for word in pool if delimiter not in word and not word.endswith('"'))
    if quoting == "backslash":  # Doubled backslashes alone do not show what they are.
        pool = tuple(word for word in pool if "\\" not in word)
    words = st.sampled_from(pool) | st.just("")
    n_files = draw(st.sampled_from((1, 1, 1, 2, 3)))
    rows = tuple(
        tuple(draw(st.lists(_row(words), min_size=1, max_size=12))) for _ in range(n_files)
    )
    packing = draw(st.sampled_from(("", "", "", "gz", "bz2", "xz", "zip", "zstd", "lz4")))
    preamble = draw(st.sampled_from(((), (), (), ("Report",), ("# made by x", "# all users", ""))))
    trailing = draw(st.sampled_from((False, False, False, True)))
    first = Dialect(
        delimiter, quoting, encoding, line_end, packing, preamble,
        excel_line=len(delimiter) == 1 and delimiter != "\x01" and draw(st.integers(0, 9)) == 0,
        last_line_end=draw(st.booleans()), trailing=trailing,
    )  # fmt: skip
    others = [_other(first, draw(st.integers(0, 3)) == 0) for _ in range(n_files - 1)]
    names = NAMES
    kind = draw(st.sampled_from(("own", "own", "other", "none")))
    if kind == "other":
        names = OTHER_NAMES.get(encoding, OTHER_NAMES[""])
        if quoting == "none":
            names = tuple(name.replace(delimiter, "") for name in names)
        elif line_end != "\r" and draw(st.booleans()):
            names = (*names[:4], names[4].replace(" ", "\n"), names[5])
    elif kind == "none" and not preamble and not first.excel_line:
        first = replace(first, header=False)
        others = [replace(one, header=False, preamble=()) for one in others]
        names = tuple(str(number) for number in range(1, 7))
    return Case(rows, (first, *others), names)


def _other(first: Dialect, headless: bool) -> Dialect:
    """A further file of the same program, which may be a part without a header."""
    if headless:
        return replace(first, header=False, preamble=(), excel_line=False)
    return first


def write(case: Case, folder: Path) -> list[Path]:
    """The files of a case."""
    return [
        _write_file(folder / f"part-{number}.csv", rows, dialect, case.names)
        for number, (rows, dialect) in enumerate(zip(case.rows, case.dialects, strict=True))
    ]


def _write_file(
    path: Path, rows: tuple[tuple[str, ...], ...], dialect: Dialect, names: tuple[str, ...]
) -> Path:
    lines = [f"sep={dialect.delimiter}"] if dialect.excel_line else []
    lines += dialect.preamble
    table = [names, *rows] if dialect.header else list(rows)
    for row in table:
        cells = [_cell(cell, dialect) for cell in row]
        lines.append(dialect.delimiter.join(cells) + dialect.delimiter * dialect.trailing)
    text = dialect.line_end.join(lines) + dialect.line_end * dialect.last_line_end
    path.write_bytes(pack(text.encode(dialect.encoding), dialect.packing))
    return path


def _cell(cell: str, dialect: Dialect) -> str:
    if dialect.quoting == "none":
        return cell
    if dialect.quoting == "backslash":
        return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'
    needs = dialect.quoting == "all" or any(
        sign in cell for sign in ('"', "\n", "\r", dialect.delimiter)
    )
    return '"' + cell.replace('"', '""') + '"' if needs else cell


def pack(data: bytes, packing: str) -> bytes:
    """Bytes in a container."""
    if packing == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", data)
        return buffer.getvalue()
    if packing in ("zstd", "lz4"):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, packing) as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    makers: dict[str, Any] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return makers[packing](data) if packing else data


def stage(files: list[Path], folder: Path, **settings: Any) -> Staging:
    """The files read as one source of events."""
    source = parse_settings({"sources": {"s": {"events": "x", **settings}}}, folder).sources["s"]
    assert isinstance(source, Source)
    scratch = folder / "scratch"
    scratch.mkdir()
    named = [Named(file, file.name) for file in files]
    wanted = tuple(source.columns.values())
    return stage_files(named, source, wanted, NAMES[:5], scratch, "[sources.s] events")


def rows_of(staging: Staging, names: tuple[str, ...] = NAMES) -> list[tuple[str | None, ...]]:
    """The cells of all rows that are not broken, in order."""
    rows: list[tuple[str | None, ...]] = []
    for one in staging.files:
        table = pq.read_table(one.path)
        good = table.filter(table[BROKEN].is_null())
        columns = [good[name].to_pylist() for name in names]
        rows += list(zip(*columns, strict=True))
    return rows


def n_broken(staging: Staging) -> int:
    return sum(one.account.broken for one in staging.files)


def lines_of(staging: Staging) -> list[list[int]]:
    return [pq.read_table(one.path)[LINE].to_pylist() for one in staging.files]


def outcome(case: Case) -> tuple[str, str]:
    """What reading makes of a case: "same", "asked", "refused", "counted" or "DIFFERENT"."""
    with tempfile.TemporaryDirectory(prefix="dialects-") as name:
        folder = Path(name)
        try:
            staging = stage(write(case, folder), folder, columns=case.columns)
        except SourceError as error:
            named = any(f"part-{number}" in str(error) for number in range(3))
            return ("refused" if named else "DIFFERENT"), str(error)
        if staging.questions:
            return "asked", staging.questions[0].sentence
        try:
            rows = rows_of(staging, case.read_names)
        except KeyError as error:
            return "DIFFERENT", f"no column {error}"
        if rows == case.cells:
            return "same", ""
        return _compared(rows, case, staging)


def _compared(rows: list[tuple[str | None, ...]], case: Case, staging: Staging) -> tuple[str, str]:
    broken = n_broken(staging)
    expected = case.cells
    if broken and len(rows) + broken == len(expected):
        left = list(expected)
        for row in rows:
            while left and left[0] != row:
                left.pop(0)
            if not left:
                return "DIFFERENT", f"{row}"
            left.pop(0)
        return "counted", f"{broken} broken"
    pairs = [(a, b) for a, b in zip(rows, expected, strict=False) if a != b]
    return "DIFFERENT", f"{len(rows)} rows for {len(expected)}: {pairs[:1]}"


def sampled(case: Case) -> tuple[str, str]:
    """What `init` makes of a case, with no settings to help: the same words as `outcome`."""
    with tempfile.TemporaryDirectory(prefix="dialects-") as name:
        samples = sample_files(write(case, Path(name)))
        rows: list[tuple[str | None, ...]] = []
        for sample in samples:
            if isinstance(sample, Unreadable):
                return "refused", sample.why
            if sample.encodings:
                return "asked", str(sample.encodings)
            surplus = set(sample.columns) - set(case.read_names)
            covered = set(case.read_names) <= set(sample.columns)
            if surplus and covered and not any(any(sample.columns[name]) for name in surplus):
                sample = replace(
                    sample, columns={name: sample.columns[name] for name in case.read_names}
                )
            if tuple(sample.columns) != case.read_names:
                return "DIFFERENT", f"columns {list(sample.columns)}"
            rows += zip(*sample.columns.values(), strict=True)
        stripped = [tuple((cell or "").strip() or None for cell in row) for row in case.cells]
        if rows == stripped:
            return "same", ""
        ragged = sum(sample.ragged for sample in samples if isinstance(sample, Sample))
        if ragged and len(rows) + ragged == len(stripped):
            return "counted", f"{ragged} ragged"
        pairs = [(a, b) for a, b in zip(rows, stripped, strict=False) if a != b]
        return "DIFFERENT", f"{len(rows)} rows for {len(stripped)}: {pairs[:1]}"
