"""The whole flow on a small education platform: every stage real, every answer the same twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from propense import pipeline
from propense.encoding.dataset import Dataset
from propense.errors import BundleError, SettingsError
from propense.export.reference_profile import event_parts
from propense.history.records import LiveEvent
from propense.inference.artifact.manifest import write_manifest
from propense.inference.batch_scoring import score_all, score_user
from propense.inference.bundle import open_bundle
from propense.inference.self_test import self_test
from propense.inference.shelf import activate, list_versions, promote, read_current, rollback
from propense.pipeline.resume.inputs import input_hashes
from propense.pipeline.resume.stages import Done, begin, find_stage, read_done, write_done
from propense.schemas import TEST, UNSEEN, RunFolder
from propense.serving.monitoring.drift import DriftMonitor
from propense.settings import Settings, read_settings
from propense.training.customer_model import open_model
from propense.worlds.education.education import generate_education

QUICK = """
[model]
size = "small"
ensemble = 1

[train]
max_epochs = 2
threads = 1

[rivals]
goals = ["majority", "tree", "lightgbm_raw"]
items = ["popularity", "markov"]
trials = 2

[evaluate]
resamples = 100
"""


def quick_settings(folder: Path) -> Settings:
    file = folder / "propense.toml"
    text = file.read_text("utf-8")
    for section in ("[model]", "[train]", "[rivals]", "[evaluate]"):
        while section in text:
            before, _, after = text.partition(section)
            text = before + after.partition("\n\n")[2]
    file.write_text(text + QUICK, "utf-8")
    return read_settings(file)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("education")
    generate_education(folder, n_users=500)
    settings = quick_settings(folder)
    return settings, pipeline.run(settings)


def test_the_flow_ends_with_a_report_and_a_bundle(flow):
    _settings, result = flow
    assert set(result.stage_seconds) == {stage.name for stage in pipeline.STAGES}
    assert {goal.name for goal in result.report.goals} == {"pay", "churn", "spend"}
    for goal in result.report.goals:
        assert {"network", "majority", "tree", "lightgbm_raw"} <= {m.model for m in goal.models}
    assert {m.model for m in result.report.ranking.models} >= {"network", "popularity", "markov"}
    assert all(account.balances for account in result.report.accounts)
    assert result.report.truth["pay"]["auc_truth"] > 0.7
    page = (result.run.evaluation / "report.html").read_text("utf-8")
    assert "<html" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (result.run.evaluation / "model_card.md").stat().st_size > 1000


def test_a_finished_flow_is_not_made_again(flow):
    settings, first = flow
    again = pipeline.run(settings)
    assert again.skipped == [stage.name for stage in pipeline.STAGES]
    assert again.bundle == first.bundle


def test_a_changed_setting_makes_only_what_depends_on_it(flow):
    settings, _ = flow
    hashes = input_hashes(pipeline.STAGES, settings)
    changed = msgspec.structs.replace(
        settings, rivals=msgspec.structs.replace(settings.rivals, trials=3)
    )
    other = input_hashes(pipeline.STAGES, changed)
    same = [name for name in hashes if hashes[name] == other[name]]
    assert same == ["clean", "split", "encode", "train"]


def test_what_a_stopped_stage_left_is_kept_only_if_it_fits(tmp_path):
    run, stage = RunFolder(tmp_path), find_stage(pipeline.STAGES, "rivals")
    half = run.rivals / "half"
    begin(run, stage, (), "a", resume=True)
    for inputs_hash, resume, stays in (("a", True, True), ("b", True, False), ("b", False, False)):
        half.mkdir(parents=True, exist_ok=True)
        begin(run, stage, (), inputs_hash, resume)
        assert half.exists() == stays


def test_what_reads_a_stage_made_again_is_no_longer_finished(tmp_path):
    run, stages = RunFolder(tmp_path), pipeline.STAGES
    for stage in stages:
        begin(run, stage, (), "a", resume=True)
        write_done(run, stage, Done("a", 1.0))
    begin(run, stages[3], stages[4:], "a", resume=False)
    finished = [stage.name for stage in stages if read_done(run, stage) is not None]
    assert finished == ["clean", "split", "encode", "rivals"]


def test_an_unknown_stage_is_named_with_the_nearest(flow):
    with pytest.raises(SettingsError, match="'evaluate'"):
        pipeline.run(flow[0], until="evalute")


def test_the_bundle_gives_the_networks_numbers(flow):
    settings, result = flow
    dataset = Dataset.open(result.run)
    customer_model = open_model(dataset, settings, result.run.training)
    bundle = open_bundle(result.bundle, network="evaluated")
    rows = dataset.rows.take(np.flatnonzero(dataset.rows.part == TEST)[:200])
    features = bundle.encoder.features(dataset.histories, dataset.profiles, rows.user, rows.as_of)
    clock = bundle.clock(dataset.histories)
    batch = bundle.scorer.score_goals(dataset.histories, clock, features, rows.user, rows.as_of)
    torch = customer_model.score_goals(dataset, rows)
    scale = np.maximum(1, np.abs(torch))
    assert (np.abs(batch - torch) / scale).max() < 1e-5
    alone = np.concatenate(
        [
            bundle.scorer.score_goals(
                dataset.histories,
                clock,
                bundle.encoder.features(
                    dataset.histories, dataset.profiles, rows.user[i : i + 1], rows.as_of[i : i + 1]
                ),
                rows.user[i : i + 1],
                rows.as_of[i : i + 1],
            )
            for i in range(20)
        ]
    )
    assert (np.abs(alone - batch[:20]) / scale[:20]).max() < 1e-5


def test_lists_are_the_same_alone_and_together_and_own_nothing(flow):
    _settings, result = flow
    dataset = Dataset.open(result.run)
    bundle = open_bundle(result.bundle)
    clock = dataset.clock()
    targets = dataset.targets.of_part(TEST)
    user, end = targets.user[:30], targets.end[:30]
    as_of = targets.as_of(dataset.histories)[:30]
    together, p = bundle.recommend(dataset.histories, clock, user, end, as_of, 10)
    assert (np.diff(p, axis=1) <= 1e-9).all()
    for row in range(10):
        alone, _ = bundle.recommend(
            dataset.histories, clock, user[row : row + 1], end[row : row + 1],
            as_of[row : row + 1], 10,
        )  # fmt: skip
        assert alone[0].tolist() == together[row].tolist()
        events = slice(dataset.histories.offsets[user[row]], end[row])
        owned = np.isin(dataset.histories.action[events], np.flatnonzero(bundle.owned))
        assert not set(together[row]) & set(dataset.histories.item[events][owned].tolist())


def test_the_bundle_knows_its_training(flow):
    """Its bounds change nothing of the log, and the part it never saw is no drift to it."""
    self_test(open_bundle(flow[1].bundle))
    dataset, bundle = Dataset.open(flow[1].run), open_bundle(flow[1].bundle, network="evaluated")
    histories, encoder, profile = dataset.histories, bundle.encoder, bundle.reference_profile
    assert set(profile.goals) == {"pay", "churn", "spend"}
    assert profile.item_shares.n_lists == profile.n_rows > 500
    assert bundle.reference_profile.bounds.clip_profiles(dataset.profiles) == (dataset.profiles, 0)
    value = np.rint(histories.value.astype(np.float64) * 1e6)
    events = [
        LiveEvent(
            time, encoder.actions.word(action), encoder.items.word(item) if item else None,
            None if np.isnan(money) else int(money), count, encoder.sources.word(source),
        )
        for time, action, item, money, count, source in zip(
            histories.time.tolist(), histories.action.tolist(), histories.item.tolist(),
            value.tolist(), histories.count.tolist(), histories.source.tolist(), strict=True,
        )
    ]  # fmt: skip
    assert all(profile.bounds.clip_event(event) is event for event in events)
    event_index = np.flatnonzero(event_parts(dataset) == TEST)
    user = (np.searchsorted(histories.offsets, event_index, side="right") - 1).astype(np.int32)
    as_of = histories.time[event_index] + 1
    scores = bundle.predict(histories, dataset.clock(), dataset.profiles, user, as_of)
    monitor = DriftMonitor(profile, len(event_index))
    seen = event_index - histories.offsets[user] + 1
    rows = zip(event_index.tolist(), seen.tolist(), scores.tolist(), strict=True)
    for event, length, answer in rows:
        one = events[event]
        unseen = None if one.item_id is None else bool(histories.item[event] == UNSEEN)
        monitor.observe_event(one.action, one.source, one.value, unseen)
        monitor.observe_answer(length, answer)
    lines = monitor.report()
    assert len(lines) == 8 and all(line.n > 1000 for line in lines if line.name != "unseen_items")
    assert {line.name for line in lines if line.level == "alarm"} == set(), lines


def test_score_writes_every_customer(flow, tmp_path):
    settings, _result = flow
    n_users = score_all(settings, tmp_path / "scores.parquet")
    table = pq.read_table(tmp_path / "scores.parquet")
    assert len(table) == n_users >= 500
    for goal in ("p_pay", "p_churn"):
        p = table[goal].to_numpy()
        assert ((p >= 0) & (p <= 1)).all()
    assert (table["expected_spend"].to_numpy() >= 0).all()
    assert {len(items) for items in table["items"].to_pylist()} == {10}
    score_all(settings, tmp_path / "scores.csv", "csv")
    assert len(pa_csv.read_csv(tmp_path / "scores.csv")) == n_users
    one = score_user(settings, table["user_id"][7].as_py())
    assert one["goals"]["pay"] == pytest.approx(table["p_pay"][7].as_py(), abs=1e-6)
    assert one["items"][0]["title"] != one["items"][0]["item_id"]
    with pytest.raises(SettingsError, match="no customer"):
        score_user(settings, "nobody at all")


def test_reading_a_bundle_needs_neither_torch_nor_ibis(flow):
    code = (
        "import sys; from propense.inference.bundle import open_bundle; "
        f"open_bundle({str(flow[1].bundle)!r}); "
        "print([m for m in ('torch', 'ibis', 'sklearn', 'lightgbm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_reading_a_bundle_unpickles_nothing(flow):
    """Also not in the libraries that read it."""
    code = (
        "import pickle, _pickle\n"
        "from propense.inference.bundle import open_bundle\n"
        "def refuse(*words, **named): raise AssertionError('something was unpickled')\n"
        "for module in (pickle, _pickle):\n"
        "    module.load = module.loads = module.Unpickler = refuse\n"
        f"bundle = open_bundle({str(flow[1].bundle)!r})\n"
        "print('opened', bundle.reference_profile is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "opened True\n", done.stderr


@pytest.mark.parametrize("name", ["bundle.json", "evaluated/goals.onnx", "encoder/encoder.json"])
def test_one_changed_byte_is_refused(flow, tmp_path, name):
    copy = tmp_path / "bundle"
    shutil.copytree(flow[1].bundle, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=name):
        open_bundle(copy)


def test_a_missing_an_added_and_a_forged_file_are_refused(flow, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(flow[1].bundle, copy)
    (copy / "report.json").rename(copy / "report2.json")
    with pytest.raises(BundleError, match=r"report2\.json"):
        open_bundle(copy)
    (copy / "report2.json").unlink()
    with pytest.raises(BundleError, match=r"lacks 'report\.json'"):
        open_bundle(copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["report.json"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="was changed"):
        open_bundle(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(copy)


def test_the_shelf_promotes_through_a_gate_and_rolls_back(flow, tmp_path):
    shelf = tmp_path / "shelf"
    shutil.copytree(flow[1].bundle, shelf / "v0001")
    shutil.copytree(flow[1].bundle, shelf / "v0002")
    activate(shelf, "v0001", "first", "now")
    promote(shelf, "v0002", None, "now")
    assert [v.name for v in list_versions(shelf) if v.serving] == ["v0002"]
    assert rollback(shelf, "later") == "v0001"
    report = json.loads((shelf / "v0002/report.json").read_text())
    goal = report["goals"][0]
    champion = next(m for m in goal["models"] if m["model"] == goal["champion"]["model"])
    champion["metrics"][goal["champion"]["criterion"]] = {"value": 9, "low": 8, "high": 10}
    (shelf / "v0002/report.json").write_text(json.dumps(report))
    with pytest.raises(BundleError, match=r"report\.json.*was changed"):
        promote(shelf, "v0002", "we know", "now")
    write_manifest(shelf / "v0002", "0.1.0", "now")
    with pytest.raises(BundleError, match=r"not promoted.*9\.0000"):
        promote(shelf, "v0002", None, "now")
    promote(shelf, "v0002", "we know", "now")
    assert read_current(shelf).history[-1].reason == "we know"
    with pytest.raises(BundleError, match="'v0002'"):
        promote(shelf, "v0003", None, "now")


def test_the_bundle_is_packed_by_the_settings_of_now(table, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(table.folder, copy)
    settings = read_settings(copy / "propense.toml")
    folder = pipeline.pack(msgspec.structs.replace(settings, name="another name"))
    assert open_bundle(folder).info.name == "another name"
