"""The catalogue as arrays, and items nobody has met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from propense.encoding.items import ItemContent, encode_item, encode_items, fit_content
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SettingsError
from propense.settings import parse_settings
from support.encoding_runs import DAY, stamps

ITEMS = pa.table(
    {
        "item_id": ["c1", "c2", "c3", "c4"],
        "title": ["线性代数", "Linear algebra", None, "微积分"],
        "genres": ["Maths|Hard", "Maths", "Art", None],
        "level": ["easy", "hard", "hard", None],
        "price": [10.0, 20.0, None, 60.0],
        "released": stamps([0, 10 * DAY, 20 * DAY, None]),
        "tags": pa.array([["a", "b"], ["b"], [], None], pa.list_(pa.string())),
    }
)
SEEN = np.array([True, True, True, False])
VOCABULARY = Vocabulary(("c2", "gone", "c1", "c3", "c4"))


def settings_of(**items: Any) -> Any:
    return parse_settings({"sources": {"a": {"events": "x"}}, "items": {"path": "i", **items}})


def row(content: ItemContent, position: int) -> tuple[Any, ...]:
    grams = slice(content.text_offsets[position], content.text_offsets[position + 1])
    return (
        content.categorical[position].tolist(), content.numeric[position].tolist(),
        content.text[grams].tolist(), content.titles[position], content.text_weight[grams].tolist(),
    )  # fmt: skip


def test_rows_follow_the_vocabulary() -> None:
    spec = fit_content(ITEMS, SEEN, settings_of())
    made = encode_items(ITEMS, spec, VOCABULARY, 6)
    assert (made.n_items, made.n_seen, made.cardinalities) == (7, 6, (4,))
    assert made.titles.tolist() == [
        "(none)", "(unseen)", "Linear algebra", "gone", "线性代数", "c3", "微积分",
    ]  # fmt: skip
    assert made.categorical[:, 0].tolist() == [0, 0, 2, 0, 3, 2, 0]
    # Mean 15, deviation 5 of the seen prices; a missing price is the mean.
    assert made.numeric[:, 0].tolist() == [0, 0, 1, 0, -1, 0, 9]
    assert made.numeric[6, 1] == 0
    for empty in (0, 1, 3):
        assert row(made, empty)[:3] == ([0], [0, 0], [])
    assert made.text.dtype == np.int32 and made.text.min() >= 1
    assert made.text.max() < made.text_buckets == 16_384


def test_shared_tokens_and_chinese_titles_are_in_the_bag() -> None:
    spec = fit_content(ITEMS, SEEN, settings_of(features=["genres"]))
    made = encode_items(ITEMS, spec, VOCABULARY, 6)
    maths, both, art = row(made, 2)[2], row(made, 4)[2], row(made, 5)[2]
    assert len(maths) == 1 and len(both) == 2 and set(maths) < set(both)
    assert len(art) == 1 and not set(art) & set(both)
    titled = encode_items(ITEMS, fit_content(ITEMS, SEEN, settings_of(features=["title"])),
                          VOCABULARY, 6)  # fmt: skip
    assert len(row(titled, 4)[2]) > 4


def test_a_column_counts_alike_beside_a_long_title_and_alone() -> None:
    chosen = settings_of(features=["title", "genres", "tags"])
    made = encode_items(ITEMS, fit_content(ITEMS, SEEN, chosen), VOCABULARY, 6)
    _, _, text, _, weight = row(made, 2)
    assert len(text) > 20 and np.isclose(sum(weight), 3), "one for each column that is known"
    assert sorted(weight)[-1] == 1 and np.isclose(sorted(weight)[0], 1 / (len(text) - 2))
    _, _, _, _, art = row(made, 5)
    assert art == [1.0], "no title, no tag"


def test_a_new_item_online_is_what_it_would_have_been_in_the_catalogue() -> None:
    spec = fit_content(ITEMS, SEEN, settings_of())
    made = encode_items(ITEMS, spec, VOCABULARY, 6)
    for position, record in enumerate(ITEMS.to_pylist()):
        alone = encode_item(record, spec)
        assert alone.n_items == 1
        index = VOCABULARY.index([record["item_id"]])[0]
        assert row(alone, 0) == row(made, index), position
    as_list = encode_item({"item_id": "c1", "genres": ["Maths", "Hard"]}, spec)
    as_text = encode_item({"item_id": "c1", "genres": "Maths|Hard"}, spec)
    assert row(as_list, 0) == row(as_text, 0)


def test_a_new_item_may_be_known_by_little_or_nothing() -> None:
    spec = fit_content(ITEMS, SEEN, settings_of())
    categorical, numeric, text, _, _ = row(encode_item({"level": "unheard of"}, spec), 0)
    assert (categorical, numeric, text) == ([1], [0, 0], [])
    assert row(encode_item({"item_id": "x"}, spec), 0)[3] == "x"


def test_one_absurd_price_is_held_back() -> None:
    spec = fit_content(ITEMS, SEEN, settings_of())
    assert encode_item({"price": 1e12}, spec).numeric[0, 0] == 10


def test_without_a_catalogue_only_ids_are_known() -> None:
    spec = fit_content(None, np.zeros(0, bool), settings_of())
    made = encode_items(None, spec, Vocabulary(("a",)), 3)
    assert made.titles.tolist() == ["(none)", "(unseen)", "a"]
    assert made.categorical.shape == (3, 0) and made.numeric.shape == (3, 0)
    assert made.text_offsets.tolist() == [0, 0, 0, 0] and made.text_buckets == 0


def test_a_catalogue_without_rows_or_without_seen_items() -> None:
    spec = fit_content(ITEMS, np.zeros(4, bool), settings_of())
    assert encode_items(ITEMS, spec, Vocabulary(), 2).n_items == 2
    nothing = ITEMS.slice(0, 0)
    bare = fit_content(nothing, np.zeros(0, bool), settings_of(types={"price": "numeric"}))
    assert encode_items(nothing, bare, Vocabulary(("c1",)), 3).numeric.shape[0] == 3


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="'titel'; did you mean 'title'"):
        fit_content(ITEMS, SEEN, settings_of(features=["titel"]))
