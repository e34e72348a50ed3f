"""The encoding of text: what a byte order mark, the bytes or the words themselves tell."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from propense.errors import SettingsError
from propense.tables.sources.text.common_characters import COMMON_HANZI
from propense.tables.sources.text.scripts import CODECS, script_share

UTF_8: Final = "utf-8"
WESTERN: Final = "windows-1252"
CHINESE: Final = "gb18030"
KOREAN: Final = "euc-kr"
_BOMS: Final = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_COMPANIONS: Final = {"ø": "åæ", "ì": "à", "ý": "æ", "þ": "æ", "ð": "æ", "õ": "ãä",
    "š": "äöõü", "ž": "äöõü", "ÿ": "éèê",
}  # fmt: skip
"""Western letters -> letters of the same languages. Where these are absent the text may be Czech,
Hungarian, Romanian or Turkish in another encoding."""
_ALL_HANGUL: Final = 0.49
"""From here on nearly all characters are syllables of Korean, among which few Chinese ones lie."""
_FEW: Final = 4
"""So many times fewer lines are damage, not another encoding."""
_LETTERS: Final = frozenset("àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿßœšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞŸŒŠŽ")
_SIGNS: Final = frozenset("€£¥§©®°–—‘’“”„‚…«»¡¿ªº·•\u00a0½¼¾²³×™‹›¢´ƒ")
_HIGH: Final = re.compile(r"[^\x00-\x7f]+")
_SIGN_IN_WORD: Final = re.compile(
    r"[^\W\d_][£¥§©®°¡¿¼½¾²³¹×¢¤¦¬±¶¨¯µ¸÷€“”„‚…«»•‰‡†™‹›ƒˆ]+[^\W\d_]|[^\W\d_][‚„‹¡¿•‰‡†ˆ]|"
    r"[a-zß-öø-ÿ][À-ÖØ-ÞŸŒŠŽ]"
)
"""Signs and capitals where Western words have none."""
_WORD: Final = re.compile(r"[^\s,;|\"\t]*[^\x00-\x7f][^\s,;|\"\t]*")
_SAMPLE_LINES: Final = 2000


@dataclass(frozen=True)
class Survey:
    """What the bytes of one file tell of its encoding."""

    bom: int = 0
    """Bytes of the byte order mark."""
    codec: str | None = None
    """Set where the bytes leave no doubt."""
    odd_lines: tuple[bytes, ...] = ()
    """Lines that are not UTF-8, the first ones."""
    n_odd: int = 0
    """Lines that are not UTF-8."""
    n_wide: int = 0
    """Lines with characters beyond ASCII that are."""
    n_nul: int = 0
    """Zero bytes."""
    n_feeds: int = 0
    """Line feeds, of the parts of the file that have carriage returns too."""
    n_lone_returns: int = 0
    """Carriage returns without a line feed behind them."""


@dataclass(frozen=True)
class Verdict:
    """The encoding that files are read in."""

    codec: str
    examples: tuple[str, ...] = ()
    """Words with letters beyond ASCII as they are read."""
    others: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where there is doubt: other encodings -> the same words in them."""


def check_codec(name: str, where: str) -> str:
    """The name of a codec of text that Python knows; SettingsError naming the setting `where`.

    >>> check_codec("cp1252", "[sources.shop] encoding")
    'cp1252'
    """
    try:
        "".encode(name)
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise SettingsError(
            f'{where} = "{name}" is no encoding that Python knows ({error}); such as "utf-8", '
            '"windows-1252", "gb18030", "latin-1", "utf-16"'
        ) from error
    return name


def bom_of(head: bytes) -> tuple[int, str | None]:
    """The length of a byte order mark and its codec."""
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return len(bom), codec
    return 0, None


def unmarked_wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: where the zero bytes of Latin text stand.

    >>> unmarked_wide("user_id,action".encode("utf-16-le"))
    'utf-16-le'
    """
    if b"\0" not in head or len(head) < 8:
        return None
    head = head[: len(head) // 4 * 4]
    zeros = [head[offset::4].count(0) / (len(head) / 4) for offset in range(4)]
    for codec, wide in (
        ("utf-32-le", (1, 2, 3)), ("utf-32-be", (0, 1, 2)),
        ("utf-16-le", (1, 3)), ("utf-16-be", (0, 2)),
    ):  # fmt: skip
        narrow = [zeros[offset] for offset in range(4) if offset not in wide]
        if all(zeros[offset] > 0.4 for offset in wide) and all(share < 0.1 for share in narrow):
            return codec
    return None


def survey(chunks: Iterable[bytes]) -> Survey:
    """Look at all bytes of a file, since the first word that is not ASCII may come late."""
    odd: list[bytes] = []
    n_odd = n_wide = bom = n_nul = n_feeds = n_lone = 0
    for number, block in enumerate(_whole_lines(chunks)):
        if number == 0:
            bom, codec = bom_of(block)
            codec = codec or unmarked_wide(block[:4096])
            if codec is not None and codec != UTF_8:
                return Survey(bom, codec)
        if b"\0" in block:
            n_nul += block.count(b"\0")
        if b"\r" in block:
            n_feeds += block.count(b"\n")
            n_lone += block.count(b"\r") - block.count(b"\r\n")
        if block.isascii():
            continue
        try:
            block.decode(UTF_8)
        except UnicodeDecodeError:
            for line in block.split(b"\n"):
                if line.isascii():
                    continue
                if _fits((line,), UTF_8):
                    n_wide += 1
                    continue
                n_odd += 1
                if len(odd) < _SAMPLE_LINES:
                    odd.append(line)
        else:
            n_wide += sum(not line.isascii() for line in block.split(b"\n"))
    codec = None if n_odd and not bom else UTF_8
    return Survey(bom, codec, tuple(odd), n_odd, n_wide, n_nul, n_feeds, n_lone)


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks cut at line ends, so that no character is cut; a line of 16 MB is a chunk."""
    rest = b""
    for chunk in chunks:
        block = rest + chunk
        cut = block.rfind(b"\n") + 1
        if cut == 0 and len(block) < 1 << 24:
            rest = block
            continue
        yield block[: cut or len(block)]
        rest = block[cut:] if cut else b""
    if rest:
        yield rest


def detect_encoding(surveys: Sequence[Survey]) -> Verdict:
    """The encoding of the files of one source that are not UTF-8 by their bytes.

    Chinese (GB18030) where most characters are common ones, else Western (Windows-1252) where
    the letters are of Western words, else what is likeliest of all, with the others to ask about.
    """
    lines = [line for one in surveys for line in one.odd_lines]
    n_odd, n_wide = sum(one.n_odd for one in surveys), sum(one.n_wide for one in surveys)
    if n_wide >= _FEW * n_odd or n_wide >= n_odd <= 2:
        return Verdict(UTF_8, _examples(lines, UTF_8))
    chinese, western = chinese_share(lines), western_share(lines)
    codec = CHINESE if chinese > western else WESTERN
    examples = _examples(lines, codec)
    korean = script_share(lines, KOREAN) >= _ALL_HANGUL
    if (
        n_wide <= n_odd / _FEW
        and not korean
        and ((chinese >= 0.5 and western < 0.9) or (western >= 0.9 and chinese < 0.3))
    ):
        return Verdict(codec, examples)
    scores = {CHINESE: 0.5 * chinese, WESTERN: 0.5 * western}
    scores |= {name: script_share(lines, name) for name in CODECS}
    if korean:
        scores[KOREAN] += _ALL_HANGUL
    ranked = sorted(scores, key=lambda name: -scores[name])
    fitting = [name for name in ranked if _fits(lines, name)] or [*ranked[:2], WESTERN]
    if n_wide > n_odd / _FEW:
        fitting.insert(0, UTF_8)
    readings: dict[str, str] = {}
    for name in fitting:
        text = "\n".join(line.decode(name, "replace") for line in lines)
        if text not in readings.values():
            readings[name] = text
    others = {name: _examples(lines, name) for name in readings}
    first = next(iter(others))
    return Verdict(first, others.pop(first), others)


def chinese_share(lines: Sequence[bytes]) -> float:
    """The share of common Chinese characters among those beyond ASCII, if read as GB18030.

    Letters of other encodings become rare characters, often a letter beyond ASCII with the ASCII
    letter after it.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(_HIGH.findall(line.decode(CHINESE, "replace")))
    common = total = 0.0
    for run, n in counts.items():
        for character in run:
            total += n
            if character in COMMON_HANZI or "\u3000" <= character <= "\u301f" or (
                "\uff00" <= character <= "\uff65"
            ):  # fmt: skip
                common += n
            elif _is_level_one(character):
                common += n / 3
    return common / total if total else 0.0


def _is_level_one(character: str) -> bool:
    """Whether a character is among the 3,755 of the first level of GB 2312."""
    code = character.encode(CHINESE, "replace")
    return len(code) == 2 and 0xB0 <= code[0] <= 0xD7 and code[1] >= 0xA1


def western_share(lines: Sequence[bytes]) -> float:
    """The share of letters and signs of Western words, if read as Windows-1252.

    Runs of many letters beyond ASCII are no Western words, nor are signs within a word.
    """
    good = total = 0.0
    letters: Counter[str] = Counter()
    for line in lines:
        text = line.decode(WESTERN, "replace")
        for run in _HIGH.findall(text):
            total += len(run)
            if len(run) <= 2 and all(one in _LETTERS or one in _SIGNS for one in run):
                good += len(run)
        good -= 2 * len(_SIGN_IN_WORD.findall(text))
        letters.update(one for one in text.casefold() if one in _LETTERS)
    alone = sum(
        letters[one] for one, more in _COMPANIONS.items() if not any(letters[two] for two in more)
    )
    if alone > 0.1 * letters.total():
        good -= 0.2 * total
    return max(0.0, good / total) if total else 0.0


def _fits(lines: Sequence[bytes], codec: str) -> bool:
    try:
        for line in lines:
            line.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _examples(lines: Sequence[bytes], codec: str) -> tuple[str, ...]:
    """Two words with letters beyond ASCII, as they are in `codec`."""
    words: dict[str, None] = {}
    for line in lines:
        for word in _WORD.findall(line.decode(codec, "replace")):
            words.setdefault(word[:40])
        if len(words) > 1:
            break
    return tuple(words)[:2]
