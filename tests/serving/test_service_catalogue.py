"""Only what can be had is shown: items that left the catalogue are in no list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from propense import pipeline
from propense.encoding.dataset import Dataset
from propense.errors import SettingsError
from propense.inference.batch_scoring import score_all, score_user
from propense.runtime.batch_lists import ScenarioLists
from propense.runtime.engine import ScoringEngine
from propense.schemas import UNSEEN, RunFolder
from propense.settings import Scenario, read_settings
from support.service_bundle import GONE, N_ITEMS, ServedWorld, item_id, served_world
from support.service_live import Live, live_service

LEFT = {item_id(number) for number in GONE}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    return served_world("gone", tmp_path_factory)


@pytest.fixture
def shop_without(world: ServedWorld, tmp_path: Path) -> Iterator[Live]:
    with live_service(world, tmp_path / "live") as live:
        yield live


def ids(answer: dict) -> set[str]:
    return {item["item_id"] for item in answer["items"]}


def test_no_list_of_the_service_shows_what_left_the_catalogue(shop_without: Live) -> None:
    live = shop_without
    live.teach("ann", [1, 2, 3, 4, 10, 11, 12, 1, 2, 3])
    for answer in (
        live.recommend("ann", k=500),
        live.recommend("nobody", k=500),
        live.ask("GET", "/v1/popular", params={"k": 500}),
        live.ask("GET", f"/v1/items/{item_id(4)}/similar", params={"k": 500}),
        live.ask("GET", f"/v1/items/{item_id(1)}/similar", params={"k": 500}),
    ):
        assert ids(answer) and not ids(answer) & LEFT
    assert len(ids(live.recommend("ann", k=500))) == N_ITEMS - len(GONE)


def test_an_item_that_is_sent_is_shown_again(shop_without: Live) -> None:
    live = shop_without
    live.teach("ann", [1, 2, 3])
    live.ask("PUT", f"/v1/items/{item_id(2)}", "admin", json={"kind": "film", "title": "Back"})
    for answer in (live.recommend("ann", k=500), live.recommend("nobody", k=500)):
        assert ids(answer) & LEFT == {item_id(2)}


def test_scores_show_no_more_than_the_service(world: ServedWorld, tmp_path: Path) -> None:
    score_all(world.settings, tmp_path / "scores.parquet")
    table = pq.read_table(tmp_path / "scores.parquet")
    lists = table["items"].to_pylist()
    assert len(lists) > 50 and all(lists)
    assert not LEFT & {item for some in lists for item in some}
    first = score_user(world.settings, table["user_id"][0].as_py())
    assert [item["item_id"] for item in first["items"]] == lists[0]


@pytest.mark.parametrize("name", ["narrow", "default"])
def test_scores_of_a_scenario_are_the_lists_of_the_service(
    world: ServedWorld, tmp_path: Path, name: str
) -> None:
    rules = Scenario(
        k=6, exclude="seen", never={"kind": ("film",)}, boosts={"kind": {"book": 1.5}},
        at_most={"kind": 3}, available_until="closes",
    )  # fmt: skip
    serve = msgspec.structs.replace(world.settings.serve, scenarios={name: rules})
    settings = msgspec.structs.replace(world.settings, serve=serve)
    lists = ScenarioLists(settings, name)
    score_all(settings, tmp_path / "scores.parquet", lists=lists)
    scored = pq.read_table(tmp_path / "scores.parquet").slice(0, 20).to_pylist()
    films = {item_id(number) for number in range(2, N_ITEMS, 4)}
    closed = {item_id(number) for number in range(8, N_ITEMS, 9)}
    dataset = Dataset.open(RunFolder(world.folder / world.settings.run))
    histories, words = dataset.histories, dataset.encoder.items.words
    bundle = world.bundle
    engine = ScoringEngine("v", bundle, serve.scenarios, 1e6)
    for row, each in enumerate(scored):
        assert 0 < len(each["items"]) <= 6
        assert not set(each["items"]) & (films | closed | LEFT)
        user, end = np.array([row], np.int32), histories.offsets[1:][[row]]
        scores = bundle.item_scores(
            histories, dataset.clock(), user, end, np.array([bundle.info.end + 1])
        )[0]
        items = histories.item[histories.offsets[row] : end[0]]
        seen = items[items >= 2]
        chosen = engine.scenarios[name].rules.choose(scores, seen, seen, int(time.time()), 6)
        assert [words[item - 2] for item in chosen.items] == each["items"]
        assert each["item_scores"] == pytest.approx(chosen.scores.tolist(), rel=1e-4)
    with pytest.raises(SettingsError, match="narow"):
        ScenarioLists(settings, "narow")


def test_the_report_judges_lists_as_they_are_shown(world: ServedWorld) -> None:
    dataset = Dataset.open(RunFolder(world.folder / world.settings.run))
    names = np.array(["", "", *dataset.encoder.items.words], object)
    assert LEFT <= set(dataset.encoder.items.words)
    assert set(names[2:][~dataset.shown[2:]]) == LEFT
    targets = dataset.targets.items
    assert dataset.shown[targets[targets > UNSEEN]].all() and (targets == UNSEEN).any()


@pytest.mark.slow
def test_the_setting_allows_every_item(world: ServedWorld, tmp_path: Path) -> None:
    text = (world.folder / "propense.toml").read_text("utf-8")
    for name in ("items.csv", "users.csv", "app.csv", "web.csv"):
        (tmp_path / name).write_bytes((world.folder / name).read_bytes())
    assert "repeat = true" in text
    text = text.replace("repeat = true", "repeat = true, only_catalogue = false")
    (tmp_path / "propense.toml").write_text(text, "utf-8")
    settings = read_settings(tmp_path / "propense.toml")
    pipeline.run(settings)
    with live_service(ServedWorld(settings, "gone"), tmp_path / "live") as live:
        live.teach("ann", [1, 2, 3])
        assert LEFT <= ids(live.recommend("ann", k=500))
        assert LEFT <= ids(live.ask("GET", "/v1/popular", params={"k": 500}))
