"""The learning curve on a tiny world: what is trained, what is kept, what the command gives."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from propense import pipeline
from propense.cli import main
from propense.errors import SettingsError
from propense.pipeline import learning_points as curves
from propense.pipeline.learning_points import make_curve, plan_points
from propense.progress import NoProgress
from propense.training.customer_model import fit_customer_model
from propense.training.subsample import draw_users
from support.training_worlds import rising_dataset, rising_settings, table_dataset, table_settings


class Spy(NoProgress):
    """Remembers the tasks it heard of."""

    def __init__(self):
        self.tasks, self.notes = [], []

    def start(self, task, total):
        self.tasks.append(task)

    def advance(self, task, n=1, note=""):
        self.notes.append(note)


def quick(settings, **train):
    options = {"max_epochs": 1, **train}
    return msgspec.structs.replace(
        settings,
        train=msgspec.structs.replace(settings.train, **options),
        evaluate=msgspec.structs.replace(settings.evaluate, resamples=50, min_positives=5),
        rivals=msgspec.structs.replace(settings.rivals, trials=1),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rising")
    dataset, settings = rising_dataset(folder, 60), quick(rising_settings())
    fit_customer_model(dataset, settings, folder / "training")
    spy = Spy()
    curve = make_curve(dataset, settings, folder / "training", folder / "curve", "data", spy)
    return folder, dataset, settings, curve, spy


@pytest.fixture
def trained(monkeypatch):
    """Names of the points that are trained, as they are."""
    names = []

    def counted(dataset, settings, folder, progress):
        names.append(folder.name)
        return fit_customer_model(dataset, settings, folder, progress)

    monkeypatch.setattr(curves, "fit_customer_model", counted)
    return names


def again(world, inputs_hash="data", **changes):
    folder, dataset, settings, _, _ = world
    settings = quick(settings, **changes)
    return make_curve(
        dataset, settings, folder / "training", folder / "curve", inputs_hash, NoProgress()
    )


def test_larger_shares_hold_more_and_sizes_more_parameters(world):
    curve = world[3]
    shares, sizes = curve.shares(), curve.sizes()
    assert [p.share for p in shares] == [0.1, 0.25, 0.5, 1.0]
    assert [p.n_users for p in shares] == [6, 15, 30, 60]
    for count in ("n_rows", "n_events"):
        counts = [getattr(p, count) for p in shares]
        assert counts == sorted(set(counts))
    assert [p.size for p in sizes] == ["small", "base", "large"]
    parameters = [p.n_parameters for p in sizes]
    assert parameters == sorted(set(parameters))
    assert {p.n_events for p in sizes} == {shares[-1].n_events}


def test_every_point_is_judged_on_the_same_customers(world):
    curve = world[3]
    for point in curve.points:
        assert [task.key for task in point.tasks] == ["goal pay", "goal spend", "items"]
        assert set(point.tasks[0].test) == {"skill", "log_loss", "auc"}
        assert "gini_normalised" in point.tasks[1].test
        assert set(point.tasks[2].validation) == {"ndcg_at_10"}
        if not point.own:
            assert all(task.difference.value is not None for task in point.tasks)
            for task in point.tasks:
                own = curve.own().task_of(task.key).test[task.metric]
                gap = task.test[task.metric] - own
                assert task.difference.value == pytest.approx(gap, abs=1e-9)


def test_the_bar_names_the_point(world):
    spy = world[4]
    assert "small, 10 % of the customers: epoch 1" in spy.tasks
    assert "large, 100 % of the customers: epoch 1" in spy.tasks
    assert not any(task.startswith("small, 100 %") for task in spy.tasks)
    assert "small, 25 % of the customers" in spy.notes


def test_a_finished_point_is_not_trained_again(world, trained):
    assert again(world) == world[3]
    assert trained == []


def test_a_killed_command_goes_on_with_what_is_missing(world, trained):
    folder = world[0]
    (folder / "curve" / "small-25.json").unlink()
    (folder / "curve" / "base-100.safetensors").unlink()
    curve = again(world)
    assert trained == ["small-25", "base-100"]
    assert [[t.test for t in p.tasks] for p in curve.points] == [
        [t.test for t in p.tasks] for p in world[3].points
    ]
    assert not any(path.is_dir() for path in (folder / "curve").iterdir())


def test_a_half_trained_point_goes_on_only_if_it_fits(world, monkeypatch):
    folder = world[0]
    seen = []

    def stopped(dataset, settings, working, progress):
        seen.append((working / "half").exists())
        (working / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(curves, "fit_customer_model", stopped)
    (folder / "curve" / "small-50.json").unlink()
    for inputs_hash in ("data", "data", "other"):
        with pytest.raises(KeyboardInterrupt):
            again(world, inputs_hash)
    monkeypatch.undo()
    again(world)
    assert seen == [False, True, False]


def test_other_settings_train_anew(world, trained):
    again(world, max_epochs=2)
    assert trained == ["small-10", "small-25", "small-50", "base-100", "large-100"]
    trained.clear()
    again(world)
    assert len(trained) == 5


def test_minutes_end_each_point_and_it_is_said(world, tmp_path):
    _, dataset, settings, _, _ = world
    settings = quick(settings, max_epochs=50, max_minutes=1e-6)
    fit_customer_model(dataset, settings, tmp_path / "training")
    curve = make_curve(
        dataset, settings, tmp_path / "training", tmp_path / "curve", "data", NoProgress()
    )
    assert {p.passes for p in curve.points} == {1}
    assert all(p.cut_short for p in curve.points)
    assert not any(p.cut_short for p in world[3].points)


def test_a_share_that_teaches_nothing_is_left_out(tmp_path):
    dataset, settings = table_dataset(tmp_path), quick(table_settings())
    plans, notes = plan_points(dataset, settings)
    assert [plan.name for plan in plans] == ["base-10", "base-25", "base-50", "base-100"]
    assert notes == []
    events = rising_dataset(tmp_path / "events", 30)
    lonely = events.rows.part.copy()
    lonely[(lonely == 0) & (events.rows.user != 4)] = -1
    thin = replace(events, rows=replace(events.rows, part=lonely))
    plans, notes = plan_points(thin, quick(rising_settings()))
    shares = [plan.share for plan in plans if plan.size == "small"]
    assert shares[-1] == 1.0 and len(shares) + len(notes) == 4
    assert notes and "nothing to learn from" in notes[0].en


def test_a_table_has_shares_and_no_sizes(tmp_path):
    dataset, settings = table_dataset(tmp_path), quick(table_settings())
    fit_customer_model(dataset, settings, tmp_path / "training")
    curve = make_curve(
        dataset, settings, tmp_path / "training", tmp_path / "curve", "data", NoProgress()
    )
    assert [p.share for p in curve.points] == [0.1, 0.25, 0.5, 1.0]
    assert "no sequence part" in curve.depth[0].en


def test_it_needs_a_report():
    settings = rising_settings()
    with pytest.raises(SettingsError, match="stop after 'train'"):
        pipeline.run(settings, until="train", with_curve=True)


PLAIN = """
[users]
path = "users.csv"
features = ["x", "side"]

[goals.churn]
column = "churn"
positive = "yes"

[train]
max_epochs = 2
threads = 1

[rivals]
goals = ["majority"]

[evaluate]
resamples = 50
min_positives = 5

[pack]
refresh = false
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A plain table of customers, all stages of it run by the command with its curve."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    x, side = rng.normal(size=400), rng.choice(["left", "right"], 400)
    churn = np.where(x * (side == "left") + rng.normal(0, 0.3, 400) > 0, "yes", "no")
    lines = [f"u{n},{x[n]:.4f},{side[n]},{churn[n]}" for n in range(400)]
    (folder / "users.csv").write_text("\n".join(["user_id,x,side,churn", *lines]), "utf-8")
    (folder / "propense.toml").write_text(PLAIN, "utf-8")
    return folder


def command(folder, capsys, *words):
    code = main(["run", "--settings", str(folder / "propense.toml"), "--quiet", *words])
    out = capsys.readouterr()
    assert code == 0, out.err
    return out.out


def test_the_command_draws_the_curve_in_the_report(table, capsys, trained):
    plain = json.loads(command(table, capsys, "--json"))
    assert "learning_curve" not in plain and trained == []
    page = table / "runs/main/evaluation/report.html"
    assert "learning-curve" not in page.read_text("utf-8")

    answer = json.loads(command(table, capsys, "--json", "--learning-curve"))
    points = answer["learning_curve"]["points"]
    assert [p["share"] for p in points] == [0.1, 0.25, 0.5, 1.0]
    assert trained == ["base-10", "base-25", "base-50"]
    assert len(answer["skipped"]) == 7
    report = json.loads((table / "runs/main/evaluation/report.json").read_bytes())
    assert report["learning_curve"] == answer["learning_curve"]
    network = next(m for m in report["goals"][0]["models"] if m["model"] == "network")
    own = points[-1]["tasks"][0]["test"]
    for metric in ("log_loss", "auc"):
        assert own[metric] == pytest.approx(network["metrics"][metric]["value"])
    section = page.read_text("utf-8").partition('<section id="learning-curve">')[2]
    assert f"{own['skill']:.4f}".replace("-", "−") in section
    files = {path.name for path in (table / "runs/main/curve").glob("*.json")}
    assert files == {f"base-{share}.json" for share in (10, 25, 50, 100)}

    text = command(table, capsys, "--learning-curve")
    assert "\ndata    There is no sign that more data" in text or "\ndata    More data" in text
    assert "\ndepth   Without events" in text
    assert len(trained) == 3
    command(table, capsys, "--until", "evaluate", "--force")
    assert "learning-curve" not in page.read_text("utf-8")
    command(table, capsys, "--until", "evaluate", "--learning-curve")
    assert "learning-curve" in page.read_text("utf-8") and len(trained) == 3


def test_a_share_in_which_nothing_succeeds_teaches_nothing(world, monkeypatch):
    dataset = world[1]
    assert curves._teaches(dataset, 0.5, 0)
    histories = dataset.histories
    other = np.flatnonzero(~draw_users(dataset, 0.5, 0))[0]
    successes = np.zeros(histories.n_events, bool)
    successes[histories.offsets[other] : dataset.train_end[other]] = True
    monkeypatch.setattr(curves, "find_successes", lambda _: successes)
    assert not curves._teaches(dataset, 0.5, 0)
