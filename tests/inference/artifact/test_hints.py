"""A mistyped word is compared with a bounded number of others."""

from __future__ import annotations

import time

from propense.inference.artifact.hints import hint


def test_a_mistyped_word_costs_the_same_among_many() -> None:
    words = sorted({f"topic {number} of many" for number in range(200_000)} | {"Piano"})
    began = time.thread_time()
    assert hint("topic 4711 of mny", words) == "did you mean 'topic 4711 of many'?"
    assert hint("piano", words) == "did you mean 'Piano'?"
    assert hint("zzz", words) == "there are 200,001, none of them like it"
    hint("a" * 256, ["a" * 20_000] * 100)
    assert time.thread_time() - began < 0.2
