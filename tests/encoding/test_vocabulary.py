"""Words to indices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding import vocabulary as room
from propense.encoding.vocabulary import Vocabulary, count_words, fit_vocabulary

WORDS = st.lists(st.none() | st.text(max_size=3), max_size=40)


def test_frequency_then_name_decides_the_index() -> None:
    fitted = fit_vocabulary(["b", "c", "a", "c", None, "b", "d"])
    assert fitted.words == ("b", "c", "a", "d")
    assert fitted.size == 6
    assert fitted.index(["b", "d", None, "zzz"]).tolist() == [2, 5, 0, 1]
    assert [fitted.word(i) for i in (0, 1, 2)] == ["(none)", "(unseen)", "b"]


def test_rare_words_and_words_beyond_the_size_are_unseen() -> None:
    words = ["a"] * 3 + ["b"] * 2 + ["c"]
    assert fit_vocabulary(words, min_count=2).words == ("a", "b")
    assert fit_vocabulary(words, max_size=1).words == ("a",)
    assert fit_vocabulary({"x": 2, "y": 5}).words == ("y", "x")


@settings(deadline=None, max_examples=40)
@given(WORDS, WORDS)
def test_few_and_many_values_are_looked_up_alike(train: list[str | None], asked: list[str | None],
                                                 ) -> None:  # fmt: skip
    fitted = fit_vocabulary(train)
    few = fitted.index(asked)
    many = fitted.index(asked * (room._FEW // max(len(asked), 1) + 2))[: len(asked)]
    assert few.dtype == np.int32 and many.dtype == np.int32
    assert few.tolist() == many.tolist()
    for word, index in zip(asked, few.tolist(), strict=True):
        assert index == (0 if word is None else 1 if word not in train else index)
        assert index < 2 or fitted.word(index) == word


@settings(deadline=None, max_examples=30)
@given(WORDS, st.randoms(use_true_random=False))
def test_order_of_the_data_does_not_matter(words: list[str | None], random: object) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fit_vocabulary(words) == fit_vocabulary(shuffled)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2, None]), ["1", "2", None]),
        (pa.array([1.0, 2.5, float("nan")]), ["1", "2.5", None]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.chunked_array([["a"], ["b", None]]), ["a", "b", None]),
        (pa.nulls(2), [None, None]),
        (np.array(["q", None], object), ["q", None]),
    ],
)
def test_columns_of_every_type_have_words(column: object, expected: list[str | None]) -> None:
    counts = {word: 1 for word in expected if word is not None}
    assert count_words(column) == counts
    fitted = fit_vocabulary(column)
    assert fitted.index(column).tolist() == [
        0 if word is None else sorted(counts).index(word) + 2 for word in expected
    ]


def test_an_empty_vocabulary_knows_nothing() -> None:
    assert Vocabulary().index(["a", None]).tolist() == [1, 0]
    assert Vocabulary().index(["a", None] * 5000)[-2:].tolist() == [1, 0]
    assert Vocabulary().index([]).tolist() == []
