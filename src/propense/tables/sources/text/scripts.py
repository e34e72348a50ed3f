"""How well bytes read as the text of one script in one of its encodings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

_CYRILLIC: Final = "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў"
_CENTRAL: Final = "áčďéěíňóřšťúůýžąćęłńśźżőűăâîşţșțäöüßľĺŕđ"
_WESTERN: Final = "àáâãäåæçèéêëìíîïñòóôõöøùúûüß"
ALPHABETS: Final = {
    "windows-1250": _CENTRAL, "iso8859-2": _CENTRAL, "windows-1251": _CYRILLIC,
    "koi8-r": _CYRILLIC, "cp866": _CYRILLIC, "iso8859-5": _CYRILLIC,
    "windows-1253": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ", "windows-1254": "çğıöşüâîiéàİ",
    "windows-1255": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "windows-1256": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ",
    "iso8859-15": "àâäåæçèéêëìíîïñòóôõöøùúûüßœ€", "iso8859-16": "ăâîșțéáőűü€",
    "windows-1257": "āčēģīķļņšūžąęėįųõäöü", "mac-roman": _WESTERN, "cp850": _WESTERN,
}  # fmt: skip
"""Encoding of one byte a letter -> the letters that most of its text beyond ASCII is made of."""
_LANGUAGES: Final = (
    "áčďéěíňóřšťúůýžäľĺŕôöü",
    "ąćęłńóśźż",
    "áéíóöőúüű",
    "ăâîşţșț",
    "čćđšž",
    "äöüß",
    "çğıöşüâîûİ",
    "āčēģīķļņšūž",
    "ąčęėįšųūž",
    "äõöüšž",
)
"""Letters that occur in one language: text has those of several where its encoding is another."""
_SEVERAL: Final = 0.1
_WIDE: Final[dict[str, Callable[[bytes], float]]] = {
    "cp932": lambda code: (
        0.3 if len(code) == 1 else 1.0 if code[0] in (0x82, 0x83)
        else 0.9 if 0x88 <= code[0] <= 0x97 or code[0] == 0x81 else 0.0
    ),
    "euc-jp": lambda code: (
        1.0 if code[0] in (0xA4, 0xA5) else 0.9 if 0xB0 <= code[0] <= 0xCF or code[0] == 0xA1
        else 0.0
    ),
    "big5": lambda code: 0.9 if 0xA4 <= code[0] <= 0xC6 or code[0] == 0xA1 else 0.0,
    "euc-kr": lambda code: 1.0 if 0xB0 <= code[0] <= 0xC8 or code[0] == 0xA1 else 0.0,
    "cp874": lambda code: 0.6 if 0xA1 <= code[0] <= 0xEE else 0.0,
}  # fmt: skip
"""Encoding -> how usual a character is, by its bytes: kana and the first level of the others."""
CODECS: Final = (*ALPHABETS, *_WIDE)
_HIGH: Final = re.compile(r"[^\x00-\x7f]")
_PAIR: Final = re.compile(r"[^\W\d_](?=([^\x00-\x7f]))")
_CONTROLS: Final = re.compile(r"[\x80-\x9f]")
_MIXED: Final = re.compile(r"[a-zA-Z](?=[^\x00-\x7f])|[^\x00-\x7f](?=[a-zA-Z])")


def script_share(lines: Sequence[bytes], codec: str) -> float:
    """How usual the characters beyond ASCII are if `lines` are in `codec`: at most 0.5.

    Signs, a capital behind a small letter, and a letter of another script within a word count
    against an alphabet: text in another encoding of the same script has them.
    """
    text = "".join(line.decode(codec, "replace") for line in lines)
    high = _HIGH.findall(text)
    if not high:
        return 0.0
    if codec in _WIDE:
        usual = _WIDE[codec]
        good: dict[str, float] = {one: usual(one.encode(codec, "replace")) for one in set(high)}
        return 0.5 * sum((good[one] for one in high), 0.0) / len(high)
    letters = set(ALPHABETS[codec])
    n_usual = sum(one in letters or one.lower() in letters for one in high)
    n_camel = sum(bool(one[0].islower() and one[1].isupper()) for one in _PAIR.finditer(text))
    n_mixed = 0 if ALPHABETS[codec][0] < "\u0250" else len(_MIXED.findall(text))
    n_odd = len(high) - n_usual + n_camel + n_mixed + 2 * len(_CONTROLS.findall(text))
    share = 0.5 * float(max(0, n_usual - n_odd)) / len(high)
    if ALPHABETS[codec][0] >= "\u0250" or not share:
        return share
    most = max(sum(one in own or one.lower() in own for one in high) for own in _LANGUAGES)
    return max(0.0, share - _SEVERAL * (1 - most / len(high)))
