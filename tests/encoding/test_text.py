"""Hashed n-grams, tokens and sketches."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.text import hash_ngrams, hash_tokens, sketch, split_tokens, take_rows

BUCKETS = 1 << 14


def bags(texts: list[str | None], **more: int) -> list[set[int]]:
    offsets, ids = hash_ngrams(texts, BUCKETS, **more)
    return [set(ids[a:b].tolist()) for a, b in itertools.pairwise(offsets)]


def overlap(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b)


def test_a_text_has_the_ids_it_had_before() -> None:
    """Golden: a bundle's text weights mean nothing if these ever change."""
    _, ids = hash_ngrams(["数学 a1"], BUCKETS)
    assert sorted(ids.tolist()) == GOLDEN


def test_another_process_gives_the_same_ids() -> None:
    code = (
        "from propense.encoding.text import hash_ngrams;"
        "print(hash_ngrams(['Linear algebra 线性代数'], 16384)[1].tolist())"
    )
    here = hash_ngrams(["Linear algebra 线性代数"], BUCKETS)[1].tolist()
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "77"},
    )  # fmt: skip
    assert made.stdout.strip() == str(here)


def test_like_texts_share_ngrams_and_case_and_width_do_not_count() -> None:
    python, pythons, cooking, wide = bags(
        ["Python for data", "python with DATA!", "Cooking rice", "Ｐｙｔｈｏｎ for data"]
    )
    assert overlap(python, pythons) > 0.4 > 0.1 > overlap(python, cooking)
    assert python == wide


def test_chinese_is_read_character_by_character() -> None:
    maths, more_maths, english = bags(["高等数学", "数学分析", "英语口语"])
    assert len(maths & more_maths) >= 3  # 数, 学, 数学
    assert not maths & english


def test_short_words_count_edges_but_do_not_cross_words() -> None:
    # "ab": ^a ab b$ ^ab ab$ ^ab$; words "a" and "b" apart share only the edge grams.
    ab, a_b = bags(["ab", "a b"])
    assert len(ab) == 6
    assert len(a_b) == 6  # ^a a$ ^a$ ^b b$ ^b$
    assert len(ab & a_b) == 2  # ^a b$


def test_missing_empty_and_bare_punctuation_have_none() -> None:
    offsets, ids = hash_ngrams([None, "", "!!! ...", "ok"], BUCKETS)
    assert offsets.tolist()[:4] == [0, 0, 0, 0]
    assert len(ids) == offsets[-1] > 0


def test_long_texts_keep_the_same_sample_of_ngrams() -> None:
    text = " ".join(f"word{i}" for i in range(300))
    (whole,), (capped,) = bags([text], max_ngrams=10_000), bags([text], max_ngrams=64)
    assert len(capped) == 64 and capped < whole
    (changed,) = bags([text + " tail"], max_ngrams=64)
    assert overlap(capped, changed) > 0.8


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.text(max_size=12), max_size=8))
def test_a_text_is_the_same_alone_and_among_others(texts: list[str | None]) -> None:
    offsets, ids = hash_ngrams(texts, 97)
    assert offsets.dtype == np.int64 and ids.dtype == np.int32
    assert ((ids >= 1) & (ids < 97)).all()
    for row, text in enumerate(texts):
        alone = hash_ngrams([text], 97)[1].tolist()
        assert ids[offsets[row] : offsets[row + 1]].tolist() == alone
        assert len(set(alone)) == len(alone) <= 64


def test_tokens_are_whole_and_separate() -> None:
    lists = split_tokens(pa.array(["Action|Drama", "Drama", None, "Drama|"]), "|")
    offsets, ids = hash_tokens(lists, BUCKETS)
    assert offsets.tolist() == [0, 2, 3, 3, 4]
    assert ids[1] == ids[2] == ids[3] != ids[0]
    same = hash_tokens(pa.array([["Action", "Drama"], [], None]), BUCKETS)
    assert same[0].tolist() == [0, 2, 2, 2] and same[1].tolist() == ids[:2].tolist()


def test_a_whole_word_of_a_text_has_the_id_of_the_token() -> None:
    words = ["comedy", "adventure", "x" * 64]
    for text in (" ".join(words), "A comedy, " + " ".join(f"filler{n}" for n in range(30))):
        _, ids = hash_ngrams([text], BUCKETS)
        for word in words:
            _, token = hash_tokens(pa.array([[word]]), BUCKETS)
            assert (token[0] in ids) == (word in text)
    _, ids = hash_ngrams(["x" * 65], BUCKETS)
    assert hash_tokens(pa.array([["x" * 65]]), BUCKETS)[1][0] not in ids


def test_tokens_in_chinese_differ_beyond_their_low_bytes() -> None:
    _, ids = hash_tokens(pa.array([["数", "学", "\u0170"]]), BUCKETS)
    assert len(set(ids.tolist())) == 3


def test_rows_can_be_taken_repeated_and_left_empty() -> None:
    offsets, ids = take_rows(
        np.array([0, 2, 2, 5]), np.arange(5, dtype=np.int32), np.array([2, 2, 1, -1, 0])
    )
    assert offsets.tolist() == [0, 3, 6, 6, 6, 8]
    assert ids.tolist() == [2, 3, 4, 2, 3, 4, 0, 1]


def test_a_sketch_is_of_unit_length_and_keeps_likeness() -> None:
    offsets, ids = hash_ngrams(
        ["evening yoga class", "evening yoga lesson", "tax law", None], BUCKETS
    )
    made = sketch(offsets, ids, 256)
    assert np.allclose((made[:3] ** 2).sum(axis=1), 1, atol=1e-6)
    assert made[0] @ made[1] > 0.4 > made[0] @ made[2]
    assert np.isnan(made[3]).all()
    alone = sketch(*hash_ngrams(["evening yoga lesson"], BUCKETS), 256)
    assert alone[0].tobytes() == made[1].tobytes()


GOLDEN = [110, 118, 788, 3753, 4132, 5837, 6435, 7402, 11210, 11807, 12072, 13755, 14867, 15146]
