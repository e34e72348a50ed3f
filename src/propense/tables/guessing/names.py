"""What column and file names say: how they are cut into words, and which words they hold."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from propense.tables.guessing import vocabulary

_HAN: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3"
_CUT: Final = re.compile(rf"[^\w{_HAN}]+|_+")
_CAMEL: Final = re.compile(
    rf"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[{_HAN}])(?=[^{_HAN}])"
    rf"|(?<=[^{_HAN}])(?=[{_HAN}])|(?<=[A-Za-z])(?=\d)"
)
_LONGEST: Final = 64
"""Names longer than this are cut; a glued word is searched letter by letter."""


def _all_words() -> frozenset[str]:
    """Every word of the vocabulary that stands alone in a name, in plain letters."""
    groups = [
        value for name, value in vars(vocabulary).items()
        if name.isupper() and isinstance(value, frozenset)
    ]  # fmt: skip
    groups += [*vocabulary.PERSONAL.values(), *vocabulary.ROLE_OF_FILE.values()]
    return frozenset(
        word for group in groups for word in map(_plain, group)
        if len(word) > 1 and "_" not in word
    )  # fmt: skip


def _plain(text: str) -> str:
    """Lower case, full-width letters made usual, without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


@lru_cache(maxsize=4096)
def parts_of(name: str) -> tuple[str, ...]:
    """The words of a name in order: small letters, without accents, glued words taken apart.

    >>> parts_of("CLIENTNO"), parts_of("Numéro client"), parts_of("kundennummer")
    (('client', 'no'), ('numero', 'client'), ('kunden', 'nummer'))
    >>> parts_of("用户ID"), parts_of("userId2")
    (('用户', 'id'), ('user', 'id', '2'))
    """
    pieces = [piece for piece in _CUT.split(_CAMEL.sub("_", name[:_LONGEST].strip())) if piece]
    return tuple(
        part for piece in map(_plain, pieces) for part in _unglued(piece) or (piece,) if part
    )


@lru_cache(maxsize=4096)
def words_of(name: str) -> frozenset[str]:
    """The words of a name, also before glued words are taken apart, and the whole name as one.

    >>> sorted(words_of("CustomerID"))
    ['customer', 'customerid', 'id']
    >>> sorted(words_of("date_unregistration"))
    ['date', 'date_unregistration', 'unregistration']
    """
    name = name[:_LONGEST].strip()
    pieces = [piece for piece in _CUT.split(_CAMEL.sub("_", name)) if piece]
    words = {*map(_plain, pieces), *parts_of(name), _plain(name), name.lower()}
    return frozenset(word for word in words if word)


@lru_cache(maxsize=4096)
def _unglued(word: str) -> tuple[str, ...]:
    """The known words that a word consists of, the fewest; empty if it does not."""
    if word in _VOCABULARY or len(word) < 5 or not word.isalpha():
        return ()
    best: list[tuple[str, ...] | None] = [(), *[None] * len(word)]
    for end in range(2, len(word) + 1):
        for start in range(end - 1):
            before, piece = best[start], word[start:end]
            joint = (
                len(piece) > 5 and piece.endswith("s") and piece[:-1] in _VOCABULARY
            )  # Mitglied-s-
            if before is None or not (piece in _VOCABULARY or joint):
                continue
            reached = best[end]
            if reached is None or len(before) + 1 < len(reached):
                best[end] = (*before, piece[:-1] if joint else piece)
    return best[-1] or ()


_VOCABULARY: Final = _all_words()


def mentions(name: str, words: frozenset[str]) -> bool:
    """Whether a name holds one of the words; a Chinese word also counts inside a longer one.

    >>> from propense.tables.guessing.vocabulary import MONEY, TIME, USER
    >>> mentions("用户编号", USER), mentions("daily_total", MONEY), mentions("update", TIME)
    (True, True, False)
    """
    own = words_of(name)
    plain = _plain_words(words)
    if own & words or own & plain:
        return True
    singular = {word[:-1] for word in own if len(word) > 3 and word.endswith("s")}
    if singular & plain:
        return True
    return any(word in name for word in words if ord(word[0]) > 0x303F)


@lru_cache(maxsize=256)
def _plain_words(words: frozenset[str]) -> frozenset[str]:
    return frozenset(map(_plain, words))


def is_word(name: str, words: frozenset[str]) -> bool:
    """Whether a whole name is one of the words, signs and case aside.

    >>> is_word("Customer", frozenset(["customer"])), is_word("customer age", frozenset(["age"]))
    (True, False)
    """
    return _plain("".join(_CUT.split(name.strip()))) in {
        *_plain_words(words), *(word.replace("_", "") for word in words)
    }  # fmt: skip
