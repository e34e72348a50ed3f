"""Rules of a list against a plain twin written with loops, and each rule by itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.items import ContentSpec
from propense.encoding.profiles import Column
from propense.encoding.vocabulary import Vocabulary
from propense.errors import ServeError, SettingsError
from propense.inference.artifact.catalogue import Catalogue
from propense.runtime.rules import Candidates, Extra, Rules
from propense.settings import Scenario

NOTHING = np.zeros(0, np.int32)
KINDS = (None, "book", "film", "game")
TAGS = (None, "a", "b", "a|b", "b|c")
DAY = 86_400
SIGNS = ((0, 0, 0, 0), (1, 1, 1, 1), (1, 1, -1, -1), (-1, 1, 1, -1), (1, 1, 1, -1))


def make_catalogue(kinds: list, tags: list, since: list, until: list) -> Catalogue:
    n_items = len(kinds)
    micros = DAY * 1_000_000
    times = [
        pa.array([None if day is None else day * micros for day in days], pa.timestamp("us"))
        for days in (since, until)
    ]
    table = pa.table(
        {
            "item_id": [f"i{row}" for row in range(n_items)],
            "kind": pa.array(kinds, pa.string()),
            "tags": pa.array(tags, pa.string()),
            "since": times[0],
            "until": times[1],
            "level": [float(row % 3) for row in range(n_items)],
        }
    )
    words = Vocabulary(tuple(table["item_id"].to_pylist()))
    titles = np.array(["(none)", "(unseen)", *words.words], object)
    spec = ContentSpec((Column("tags", "tokens", separator="|"),))
    return Catalogue(words, titles, spec, table)


def six() -> Catalogue:
    """Items 2 .. 7."""
    return make_catalogue(
        ["book", "book", "book", "film", "film", None],
        ["a", "a|b", "b", None, "b|c", "a"],
        [None, 5, None, None, None, None],
        [None, None, 8, None, None, None],
    )


SCORES = np.array([9, 9, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], np.float32)


def listed(scenario: Scenario, owned_default: bool = True, /, **more) -> list[int]:
    k = more.pop("k", 10)
    rules = Rules.compile(
        scenario, six(), owned_default, more.pop("rankable", None), more.pop("vectors", None)
    )
    call = {"owned": NOTHING, "seen": NOTHING, "now": 6 * DAY, "extra": None, **more}
    scores = call.pop("scores", SCORES)
    return rules.choose(
        scores, call["owned"], call["seen"], call["now"], k, call["extra"]
    ).items.tolist()  # fmt: skip


def test_best_first_and_never_none_or_unseen():
    assert listed(Scenario()) == [2, 3, 4, 5, 6, 7]
    assert listed(Scenario(), k=2) == [2, 3]
    assert listed(Scenario(), k=0) == []


def test_equal_scores_go_to_the_lower_index():
    assert listed(Scenario(), scores=np.full(8, 0.5, np.float32), k=4) == [2, 3, 4, 5]


def test_minus_infinity_and_what_may_not_be_ranked_are_not_shown():
    scores = SCORES.copy()
    scores[3] = -np.inf
    assert listed(Scenario(), scores=scores) == [2, 4, 5, 6, 7]
    rankable = np.arange(8) != 5
    assert listed(Scenario(), rankable=rankable) == [2, 3, 4, 6, 7]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(bad):
    scores = SCORES.copy()
    scores[4] = bad
    with pytest.raises(ValueError, match="not a number"):
        listed(Scenario(), scores=scores, k=3)


def test_owned_and_seen_are_left_out_as_the_scenario_says():
    mine = {"owned": np.array([2], np.int32), "seen": np.array([3], np.int32)}
    assert listed(Scenario(exclude="nothing"), **mine, k=3) == [2, 3, 4]
    assert listed(Scenario(exclude="owned"), **mine, k=3) == [3, 4, 5]
    assert listed(Scenario(exclude="seen"), **mine, k=3) == [4, 5, 6]
    assert listed(Scenario(), True, **mine, k=3) == [3, 4, 5]
    assert listed(Scenario(), False, **mine, k=3) == [2, 3, 4]


def test_only_and_never_by_values_of_columns():
    assert listed(Scenario(only={"kind": ("film",)})) == [5, 6]
    assert listed(Scenario(only={"kind": ("film", "book"), "level": ("0",)})) == [2, 5]
    assert listed(Scenario(never={"kind": ("book",)})) == [5, 6, 7]
    assert listed(Scenario(only={"tags": ("b",)})) == [3, 4, 6]
    assert listed(Scenario(never={"tags": ("b",)})) == [2, 5, 7]


def test_boosts_multiply_and_are_told():
    rules = Rules.compile(
        Scenario(boosts={"kind": {"film": 4.0}, "tags": {"c": 2.0, "b": 0.5}}), six(), True
    )
    chosen = rules.choose(SCORES, NOTHING, NOTHING, 0, 3)
    assert chosen.items.tolist() == [5, 6, 2]
    assert np.allclose(chosen.scores, [1.2, 0.8, 0.6])
    assert chosen.why == ("kind film x4", "kind film x4, tags c x2, tags b x0.5", "")
    below = rules.choose(SCORES - 10, NOTHING, NOTHING, 0, 6)
    assert below.items.tolist()[:2] == [5, 6]


def test_availability_opens_at_a_moment_and_ends_before_one():
    scenario = Scenario(available_from="since", available_until="until")
    assert listed(scenario, now=5 * DAY - 1) == [2, 4, 5, 6, 7]
    assert listed(scenario, now=5 * DAY) == [2, 3, 4, 5, 6, 7]
    assert listed(scenario, now=8 * DAY - 1) == [2, 3, 4, 5, 6, 7]
    assert listed(scenario, now=8 * DAY) == [2, 3, 5, 6, 7]
    assert listed(Scenario(available_from="since"), now=9 * DAY) == [2, 3, 4, 5, 6, 7]
    rules = Rules.compile(scenario, six(), True)
    assert rules.looks_at_time and not Rules.compile(Scenario(), six(), True).looks_at_time
    for now in (9 * DAY, 4 * DAY, 9 * DAY):
        chosen = rules.choose(SCORES, NOTHING, NOTHING, now, 10)
        assert (3 in chosen.items) == (now == 9 * DAY)


def test_at_most_so_many_of_a_value_and_unknown_values_are_no_group():
    assert listed(Scenario(at_most={"kind": 1}), k=4) == [2, 5, 7]
    assert listed(Scenario(at_most={"kind": 2}), k=4) == [2, 3, 5, 6]
    assert listed(Scenario(at_most={"tags": 1})) == [2, 4, 5]


def test_quotas_look_further_than_the_first_best():
    n_items = 400
    catalogue = make_catalogue(
        ["book"] * (n_items - 2) + ["film", "game"], [None] * n_items, [None] * n_items,
        [None] * n_items,
    )  # fmt: skip
    rules = Rules.compile(Scenario(at_most={"kind": 1}), catalogue, True)
    scores = np.linspace(1, 0, n_items + 2, dtype=np.float32)
    assert rules.choose(scores, NOTHING, NOTHING, 0, 3).items.tolist() == [2, 400, 401]


def test_diversity_trades_score_for_unlikeness():
    vectors = np.zeros((8, 2), np.float32)
    vectors[2:5] = [3, 0]
    vectors[5:] = [0, 2]
    assert listed(Scenario(diversity=0.5), vectors=vectors, k=3) == [2, 5, 3]
    assert listed(Scenario(diversity=0.01), vectors=vectors, k=3) == [2, 3, 4]
    assert listed(Scenario(diversity=1.0), vectors=vectors, k=2) == [2, 5]
    both = Scenario(diversity=0.5, at_most={"kind": 1})
    assert listed(both, vectors=vectors, k=4) == [2, 5, 7]


def test_a_request_leaves_out_and_filters():
    extra = Extra.compile(six(), ["i0", "nobody"], {"kind": ["book"]}, {"tags": ["c"]})
    assert listed(Scenario(), extra=extra) == [3, 4]
    assert listed(Scenario(), extra=Extra.compile(six(), ["i0"])) == [3, 4, 5, 6, 7]
    assert listed(Scenario(), extra=Extra.compile(six(), never={"tags": ["a", "c"]})) == [4, 5]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"only": {"knd": ("book",)}}, "no column 'knd'; did you mean 'kind'"),
        ({"never": {"kind": ("boook",)}}, "no item has 'boook'.*did you mean 'book'"),
        ({"boosts": {"kind": {"film": 0.0}}}, "boost of 'film'.* is 0; give a factor"),
        ({"boosts": {"kind": {"flim": 2.0}}}, "did you mean 'film'"),
        ({"at_most": {"kind": 0}}, "'kind' is 0; give 1 or more"),
        ({"at_most": {"kinds": 1}}, "did you mean 'kind'"),
        ({"available_from": "level"}, "'level'.*not times"),
        ({"available_until": "untl"}, "did you mean 'until'"),
        ({"only": {"kind": ()}}, "'kind' lists no values"),
        ({"diversity": 0.5}, "diversity needs"),
    ],
)
def test_a_rule_that_cannot_be_obeyed_is_refused(rule, message):
    with pytest.raises(SettingsError, match=message):
        Rules.compile(Scenario(**rule), six(), True)


def test_a_request_that_cannot_be_obeyed_is_refused():
    with pytest.raises(ServeError, match="did you mean 'kind'"):
        Extra.compile(six(), only={"kin": ["book"]})
    with pytest.raises(ServeError, match="did you mean 'film'"):
        Extra.compile(six(), never={"kind": ["flm"]})


# The twin


def twin(world: dict, scores: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    """The rules, written plainly."""
    scenario: Scenario = world["scenario"]
    catalogue, extra = world["catalogue"], world["extra"]

    def values(item: int, name: str) -> set:
        cell = catalogue.record(item).get(name)
        return set() if cell is None else set(str(cell).split("|"))

    boosted: dict[int, np.float32] = {}
    for item in range(2, catalogue.n_items):
        score = scores[item]
        if score == -np.inf or item in extra["exclude"]:
            continue
        if scenario.exclude in ("owned", "seen") and item in world["owned"]:
            continue
        if scenario.exclude == "seen" and item in world["seen"]:
            continue
        wanted = [*scenario.only.items(), *extra["only"].items()]
        if any(not values(item, name) & set(some) for name, some in wanted):
            continue
        unwanted = [*scenario.never.items(), *extra["never"].items()]
        if any(values(item, name) & set(some) for name, some in unwanted):
            continue
        since, until = world["since"][item - 2], world["until"][item - 2]
        if scenario.available_from and since is not None and world["now"] < since * DAY:
            continue
        if scenario.available_until and until is not None and world["now"] >= until * DAY:
            continue
        for name, boosts in scenario.boosts.items():
            for value, factor in boosts.items():
                if value in values(item, name):
                    score = score * np.float32(factor) if score >= 0 else score / np.float32(factor)
        boosted[item] = score
    order = sorted(boosted, key=lambda item: (-boosted[item], item))
    counts: dict[tuple, int] = {}

    def admit(item: int) -> bool:
        own = [(name, value) for name in scenario.at_most for value in values(item, name)]
        if any(counts.get(pair, 0) >= scenario.at_most[pair[0]] for pair in own):
            return False
        for pair in own:
            counts[pair] = counts.get(pair, 0) + 1
        return True

    chosen: list[int] = []
    if scenario.diversity > 0 and order and k:
        pool = order[: max(5 * k, 50)]
        low, high = boosted[pool[-1]], boosted[pool[0]]
        d = np.float32(scenario.diversity)
        closed: set[int] = set()
        while len(chosen) < k and len(closed) < len(pool):
            best, best_value = None, None
            for item in pool:
                if item in closed:
                    continue
                relevance = (boosted[item] - low) / (high - low) if high > low else np.float32(0)
                highest_cosine = max(
                    (cosine(world["vectors"], item, other) for other in chosen),
                    default=np.float32(0),
                )
                value = (np.float32(1) - d) * relevance - d * highest_cosine
                if best_value is None or value > best_value:
                    best, best_value = item, value
            closed.add(best)
            if admit(best):
                chosen.append(best)
    for item in order:
        if len(chosen) < k and item not in chosen and admit(item):
            chosen.append(item)
    return chosen, [float(boosted[item]) for item in chosen]


def cosine(vectors: np.ndarray, one: int, other: int) -> np.float32:
    """Of vectors of -1, 0 and 1 with none or four of four components set: exact in float32."""
    a, b = vectors[one].tolist(), vectors[other].tolist()
    long = sum(x * x for x in a) * sum(y * y for y in b)
    return np.float32(sum(x * y for x, y in zip(a, b, strict=True)) / long**0.5 if long else 0)


def maybe_days() -> st.SearchStrategy:
    return st.one_of(st.none(), st.integers(1, 4))


@st.composite
def worlds(draw) -> dict:
    n_items = draw(st.integers(1, 70))

    def rows(strategy):
        return draw(st.lists(strategy, min_size=n_items, max_size=n_items))

    kinds, tags = rows(st.sampled_from(KINDS)), rows(st.sampled_from(TAGS))
    since, until = rows(maybe_days()), rows(maybe_days())
    catalogue = make_catalogue(kinds, tags, since, until)
    present = {
        "kind": sorted({kind for kind in kinds if kind}),
        "tags": sorted({tag for cell in tags if cell for tag in cell.split("|")}),
    }
    names = [name for name in present if present[name]]

    def some(strategy_of) -> dict:
        chosen = [name for name in names if draw(st.integers(0, 3)) == 0]
        return {name: draw(strategy_of(name)) for name in chosen}

    def values(name):
        return st.lists(st.sampled_from(present[name]), min_size=1, max_size=2).map(tuple)

    def factors(name):
        return st.dictionaries(st.sampled_from(present[name]), st.sampled_from([0.5, 2.0, 4.0]))

    scenario = Scenario(
        exclude=draw(st.sampled_from(["owned", "seen", "nothing"])),
        only=some(values), never=some(values), boosts=some(factors),
        at_most=some(lambda _: st.integers(1, 3)),
        diversity=draw(st.sampled_from([0, 0, 0.25, 0.5, 1])),
        available_from=draw(st.sampled_from([None, "since"])),
        available_until=draw(st.sampled_from([None, "until"])),
    )  # fmt: skip
    indices = st.sets(st.integers(2, n_items + 1), max_size=5)
    vectors = draw(st.lists(
        st.sampled_from(SIGNS),
        min_size=n_items + 2, max_size=n_items + 2,
    ))  # fmt: skip
    score = st.one_of(st.integers(-2, 12).map(lambda n: n / 8), st.just(-np.inf))
    if draw(st.booleans()):
        score = st.integers(0, 16).map(lambda n: n / 16)
    extra = {"exclude": draw(indices), "only": some(values), "never": some(values)}
    return {
        "catalogue": catalogue, "scenario": scenario, "since": since, "until": until,
        "owned": draw(indices), "seen": draw(indices), "now": draw(st.integers(0, 5)) * DAY,
        "extra": extra, "vectors": np.array(vectors, np.float32),
        "scores": np.array([5, 5, *rows(score)], np.float32), "k": draw(st.integers(0, 12)),
    }  # fmt: skip


def compiled(world: dict) -> tuple[Rules, tuple]:
    catalogue, extra = world["catalogue"], world["extra"]
    rules = Rules.compile(world["scenario"], catalogue, True, None, world["vectors"])
    asked = Extra.compile(
        catalogue, [catalogue.ids[i] for i in extra["exclude"]], extra["only"], extra["never"]
    )
    owned, seen = (np.array(sorted(world[word]), np.int32) for word in ("owned", "seen"))
    return rules, (owned, seen, world["now"], world["k"], asked)


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_the_list_is_that_of_the_twin(world):
    rules, call = compiled(world)
    items, scores = twin(world, world["scores"], world["k"])
    chosen = rules.choose(world["scores"], *call)
    assert chosen.items.tolist() == items
    assert chosen.scores.tolist() == scores
    assert chosen.sure and len(chosen.why) == len(items)
    again = rules.choose(world["scores"], *call)
    assert again.items.tolist() == items


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(0, 72), st.randoms(use_true_random=False))
def test_a_sure_list_of_candidates_is_the_whole_list(world, n_candidates, random):
    rules, call = compiled(world)
    scores = world["scores"]
    every = list(range(2, len(scores)))
    best = sorted(every, key=lambda item: -scores[item])
    candidates, others = best[:n_candidates], best[n_candidates:]
    floor = max((float(scores[item]) for item in others), default=-np.inf)
    random.shuffle(candidates)
    items = np.array(candidates, np.int32)
    chosen = rules.choose_among(Candidates(items, scores[items], floor), *call)
    whole = rules.choose(scores, *call)
    if chosen.sure:
        assert chosen.items.tolist() == whole.items.tolist()
        assert chosen.scores.tolist() == whole.scores.tolist()
    if n_candidates >= len(every):
        assert chosen.sure
    if len(chosen.items) < min(world["k"], len(whole.items)):
        assert not chosen.sure


def test_candidates_that_contain_the_list_by_far_are_sure():
    rules = Rules.compile(Scenario(boosts={"kind": {"film": 1.25}}), six(), True)
    items = np.array([3, 2, 5, 4, 3], np.int32)
    some = Candidates(items, SCORES[items], 0.2)
    assert rules.choose_among(some, NOTHING, NOTHING, 0, 2).sure
    assert rules.choose_among(some, NOTHING, NOTHING, 0, 4).items.tolist() == [2, 3, 4, 5]
    # An item outside might be boosted to .25 but not above the last, .375.
    assert rules.choose_among(some, NOTHING, NOTHING, 0, 4).sure
    assert not rules.choose_among(some, NOTHING, NOTHING, 0, 5).sure
    high = Candidates(items, SCORES[items], 0.3)
    assert not rules.choose_among(high, NOTHING, NOTHING, 0, 4).sure
