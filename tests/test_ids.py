"""Invisible characters of ids, and words that are none."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.ids import (
    MISSING_WORDS,
    PLACEHOLDER_IDS,
    WRAPPED_MAIL,
    _bare_mail,
    is_placeholder,
    tidy_id,
)

UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u202e\u2066"
BLANKS = " \t\r\n\u00a0\u1680\u2003\u2028\u202f\u3000\x85"
VISIBLE = st.text(st.characters(categories=["L", "N"], include_characters="-_.:"), min_size=1).map(
    lambda text: unicodedata.normalize("NFC", text)
)


@given(
    VISIBLE.filter(lambda text: "@" not in text), st.text(UNSEEN + BLANKS), st.text(UNSEEN + BLANKS)
)
def test_what_stands_around_an_id_is_stripped(identifier: str, before: str, after: str) -> None:
    assert tidy_id(before + identifier + after) == identifier
    assert tidy_id(f'{before}="{identifier}"{after}') == identifier


@given(st.text())
def test_what_is_tidy_stays_as_it_is(text: str) -> None:
    once = tidy_id(text)
    if not once.startswith('="'):
        assert tidy_id(once) == once


def test_addresses_lose_their_capitals() -> None:
    assert tidy_id("Anna.B@Shop.example\u00a0") == "anna.b@shop.example"
    assert tidy_id("A@B") == "A@B"


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("<a@shop.example>", "a@shop.example"), ("mailto:A@shop.example", "a@shop.example"),
        ('"Ann Lee" <Ann@Shop.example>', "ann@shop.example"), ("<none>", "<none>"),
        ("Ju\u0308rgen", "J\u00fcrgen"), ("\u1100\u1161", "\uac00"), ("a<b@c", "a<b@c"),
        ("Jürg <j@x.example>", "j@x.example"),
    ],
)  # fmt: skip
def test_one_writing_of_letters_and_addresses(text: str, tidy: str) -> None:
    assert tidy_id(text) == tidy_id(tidy) == tidy


def test_a_formula_keeps_leading_zeros() -> None:
    assert tidy_id('="00123"') == "00123"
    assert tidy_id("=00123") == "=00123"
    assert tidy_id("a\u00a0b") == "a b"
    assert tidy_id("an\u200bna@shop.example") == "anna@shop.example"


@pytest.mark.parametrize(
    "word",
    ["undefined", "null", "NaN", "0", "None", "[object Object]", "guest", "Anonymous", " N/A ",
     "CASH", "Walk-in", "Laufkunde", "0000000", "[deleted]", "Público en general",
     "-", "(not set)", "nil", "", "\u200b", "Unknown", '="0"', "匿名"],
)  # fmt: skip
def test_words_that_are_no_customer(word: str) -> None:
    assert is_placeholder(word)


@pytest.mark.parametrize("word", ["00", "u0", "guest7", "nullable", "10", "Nana", "#1"])
def test_ids_that_only_resemble_one(word: str) -> None:
    assert not is_placeholder(word)


def test_the_words_can_be_set() -> None:
    assert not is_placeholder("0", ("", "guest"))
    assert is_placeholder("GUEST", ("", "guest"))


def test_the_words_are_in_lower_case_and_tidy() -> None:
    for word in PLACEHOLDER_IDS:
        assert word == tidy_id(word).casefold()
    assert "0" not in MISSING_WORDS


_OLD_WRAPPED = re.compile(WRAPPED_MAIL)
_OLD_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@given(st.lists(st.sampled_from([*"aB.@<> ", "mailTo:"]), max_size=16).map("".join))
def test_an_address_is_what_the_pattern_of_the_tables_takes(text: str) -> None:
    """The tables' engines use the pattern; here the same is found in one pass."""
    matched = _OLD_WRAPPED.match(text)
    mail = matched[1] if matched else text
    assert _bare_mail(text) == (mail.lower() if _OLD_MAIL.fullmatch(mail) else mail)


@pytest.mark.parametrize("text", ["a@" + "." * 200_000 + "@", "<a@" + ".b" * 100_000 + "@"])
def test_a_hostile_id_is_read_in_one_pass(text: str) -> None:
    began = time.thread_time()
    tidy_id(text)
    assert time.thread_time() - began < 0.5
