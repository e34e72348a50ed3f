"""A bundle that is told of new items ranks them as if they had been in its catalogue."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from propense.encoding.aggregates import AggregateSpec
from propense.encoding.batches import read_clock
from propense.encoding.encoder import Encoder, Lexicon
from propense.encoding.items import ContentSpec, content_of, encode_items
from propense.encoding.profiles import Column, ProfileSpec
from propense.encoding.vocabulary import Vocabulary
from propense.errors import BundleError, SourceError
from propense.inference.artifact.catalogue import Catalogue
from propense.inference.artifact.manifest import Manifest
from propense.inference.bundle import Bundle, Info
from propense.inference.new_items import with_items
from propense.inference.scoring.gate import Gate
from propense.inference.scoring.onnx_graphs import ItemTower, OnnxGraphs
from propense.inference.scoring.ranking import Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.counts.transitions import CountSettings, TransitionCounts
from propense.models.rivals.items.item_rival import ItemRival
from propense.models.rivals.notes import RivalNotes
from propense.schemas import UNSEEN, Histories
from propense.training.graphs import read_item_vectors
from propense.training.shaping import content_tensors
from support.item_towers import exported_networks, exported_shape, make_networks, make_shape

N_SEEN, N_PACKED = 6, 8
SPEC = ContentSpec(
    (
        Column("kind", "categorical", Vocabulary(("book", "film", "game"))),
        Column("level", "numeric", mean=2.0, deviation=1.5),
        Column("title", "text"),
    ),
    "title",
    64,
)
ROWS = [
    {"item_id": f"i{row}", "kind": ("book", "film")[row % 2], "level": float(row),
     "title": f"A tale of {row} cities"}
    for row in range(9)
]  # fmt: skip


def table(rows: list[dict]) -> pa.Table:
    names = ("item_id", "kind", "level", "title")
    types = dict(zip(names, (pa.string(), pa.string(), pa.float64(), pa.string()), strict=True))
    return pa.table({name: pa.array([r.get(name) for r in rows], types[name]) for name in names})


def make_bundle(folder: Path, n_rows: int = 6) -> Bundle:
    """Items 2 .. n_rows + 1; four of them met in train."""
    words = Vocabulary(tuple(row["item_id"] for row in ROWS[:n_rows]))
    shape = make_shape(
        n_items=words.size, n_seen=N_SEEN, content_cardinalities=SPEC.cardinalities,
        n_content_numeric=1,
    )  # fmt: skip
    # The networks know ids of the packed items alone, however many are in the catalogue.
    networks = make_networks(make_shape(**_sizes(shape, N_PACKED)))
    assert networks.shape == exported_shape()
    content = encode_items(table(ROWS[:n_rows]), SPEC, words, N_SEEN)
    tensors = content_tensors(content)
    vectors = [read_item_vectors(_as_if(e, shape), tensors) for e in networks[::-1]]
    rankable = np.arange(words.size) >= 2
    popularity = np.pad([0, 0, 0.4, 0.3, 0.2, 0.1], (0, words.size - 6))
    counts = TransitionCounts(
        CountSettings(), np.minimum(np.arange(words.size + 1), 3).astype(np.int64) * 0,
        np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(words.size, np.float32),
        popularity.astype(np.float32) * 10,
    )  # fmt: skip
    lexicon = Lexicon(
        Vocabulary(("buy", "view")), Vocabulary(("app",)), words, N_SEEN, True, ProfileSpec(), SPEC,
        AggregateSpec(timed=True, has_events=True, actions=(), action_names=(), sources=(),
                      source_names=(), windows=(), window_names=(), time_zone="UTC",
                      valued=False, itemed=True, weighted=False, until=None),
        (2,), True, 1.0,
    )  # fmt: skip
    info = Info(name="test", currency="EUR", shape=shape, goals=[], recommends=True)
    return Bundle(
        folder=folder,
        manifest=Manifest(6, "0", "", {}, ""),
        info=info,
        encoder=Encoder.of(lexicon, (), np.zeros(0, np.float32)),
        content=content,
        catalogue=Catalogue(words, content.titles, SPEC, table(ROWS[:n_rows])),
        scorer=Scorer(shape, OnnxGraphs(folder), *vectors),
        ranker=Ranker(
            vectors[0], shape.item_heads, rankable, popularity, counts, Gate.of(0.8, 0.3, 0.2)
        ),
        goal_rivals={},
        item_rival=None,
        tower=ItemTower(folder),
    )


def _sizes(shape, n_items: int) -> dict:
    names = ("n_seen", "content_cardinalities", "n_content_numeric")
    return {"n_items": n_items, **{name: getattr(shape, name) for name in names}}


def _as_if(ensemble, shape):
    """Networks asked about another number of items; those after the packed have no id."""
    for network in ensemble:
        network.shape = shape
    return ensemble


def histories(items: list[int]) -> Histories:
    n_events = len(items)
    return Histories(
        user_ids=np.array(["u"], object), offsets=np.array([0, n_events]),
        time=np.arange(n_events) * 3600, action=np.full(n_events, 2, np.int16),
        item=np.array(items, np.int32), source=np.full(n_events, 2, np.int16),
        value=np.full(n_events, np.nan, np.float32), count=np.ones(n_events, np.float32),
    )  # fmt: skip


def scores(bundle: Bundle, items: list[int]) -> np.ndarray:
    past = histories(items)
    clock = read_clock(past, np.zeros(len(items), np.int64))
    return bundle.item_scores(past, clock, np.zeros(1, np.int32), np.array([len(items)]), None)[0]


@pytest.fixture
def folder(tmp_path, tmp_path_factory):
    """The exported graphs, in a copy that a test may change."""
    shutil.copytree(exported_networks(tmp_path_factory), tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_new_item_is_ranked_as_if_it_had_been_in_the_catalogue(folder):
    extended = with_items(make_bundle(folder), ROWS[6:])
    always = make_bundle(folder, 9)
    assert extended.encoder.items == always.encoder.items
    assert extended.content.titles.tolist() == always.content.titles.tolist()
    assert np.array_equal(extended.content.text, always.content.text)
    assert np.array_equal(extended.content.numeric, always.content.numeric)
    assert np.allclose(extended.scorer.item_vectors, always.scorer.item_vectors, atol=1e-5)
    assert np.allclose(extended.scorer.goal_vectors, always.scorer.goal_vectors, atol=1e-5)
    assert extended.ranker.item_vectors is extended.scorer.item_vectors
    for items in ([2, 3], [8, 9, 10], [2, 10]):
        p = scores(extended, items)
        assert np.allclose(p, scores(always, items), atol=1e-6)
        assert p.shape == (11,) and (p[8:] > 0).all() and np.isclose(p.sum(), 1)
    assert extended.catalogue.record(10)["title"] == "A tale of 8 cities"


def test_the_original_bundle_does_not_change(folder):
    bundle = make_bundle(folder)
    before = scores(bundle, [2, 3])
    with_items(bundle, ROWS[6:])
    assert bundle.encoder.items.size == N_PACKED
    assert np.array_equal(scores(bundle, [2, 3]), before)


def test_a_packed_item_keeps_its_vector_and_a_live_one_is_replaced(folder):
    bundle = with_items(make_bundle(folder), ROWS[6:8])
    changed = with_items(
        bundle,
        [
            {"item_id": "i0", "kind": "game", "title": "Other"},
            {"item_id": "i6", "kind": "game", "title": "Otherwise"},
        ],
    )
    same = np.arange(bundle.encoder.items.size) != 8
    old, new = bundle.scorer.item_vectors, changed.scorer.item_vectors
    assert np.array_equal(old[same], new[same])
    assert not np.allclose(old[8], new[8], atol=1e-3)
    fresh = content_of(table([{"item_id": "i6", "kind": "game", "title": "Otherwise"}]), SPEC)
    assert np.allclose(new[8], changed.tower.vectors_of(fresh)[0][0], atol=1e-6)
    assert changed.content.titles[[2, 8]].tolist() == ["Other", "Otherwise"]
    assert changed.catalogue.record(2) == {"item_id": "i0", "kind": "game", "title": "Other"}
    assert changed.encoder.items is changed.catalogue.vocabulary


class Plain(ItemRival):
    """A rival that remembers what it was shown, and likes low indices."""

    name = "plain"
    shown: list

    def scores(self, histories, user, end, as_of=None):
        self.shown.append(histories.item.tolist())
        return np.tile(np.arange(self.n_items, 0, -1, dtype=np.float32), (len(user), 1))

    def arrays(self):
        return {}

    def settings(self):
        return {}


def test_a_rival_reads_new_items_as_unseen_and_holds_nothing_of_them(folder):
    rival = Plain(N_PACKED, RivalNotes())
    object.__setattr__(rival, "shown", [])
    bundle = replace(with_items(make_bundle(folder), ROWS[6:]), item_rival=rival)
    held = scores(bundle, [2, 9])
    assert rival.shown == [[2, UNSEEN]]
    assert held.shape == (11,) and (held[8:] == 0).all() and held[2] == 5
    past = histories([2, 9])
    clock = read_clock(past, np.zeros(2, np.int64))
    ranked, _ = bundle.recommend(past, clock, np.zeros(1, np.int32), np.array([2]), None, 3)
    assert ranked.tolist() == [[2, 3, 4]]


def test_what_does_not_fit_is_refused_and_nothing_happens(folder, tmp_path):
    bundle = make_bundle(folder)
    with pytest.raises(SourceError, match="did you mean 'kind'"):
        with_items(bundle, [ROWS[6], {"item_id": "x", "kin": "book"}])
    (folder / "items.onnx").unlink()
    blind = replace(bundle, tower=ItemTower(folder))
    with pytest.raises(BundleError, match=r"\[items\] features"):
        with_items(blind, [ROWS[6]])
    renamed = with_items(blind, [{"item_id": "i1", "title": "Renamed"}])
    assert renamed.content.titles[3] == "Renamed"
