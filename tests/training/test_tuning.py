"""The search over dials: bounded, on validation alone, resumable, never below the defaults."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from propense.errors import LossError
from propense.settings import Settings, Tuning, parse_settings
from propense.training import tuning
from propense.training.customer_model import fit_customer_model, read_notes, refresh
from propense.training.train import train_network
from support.training_worlds import rising_dataset, rising_settings

pytest.importorskip("optuna")


def asking(trials: int, max_minutes: float | None = None) -> Settings:
    settings = rising_settings()
    return msgspec.structs.replace(
        settings,
        tuning=Tuning(trials, max_minutes),
        train=msgspec.structs.replace(settings.train, max_epochs=2),
    )


def test_first_trial_is_the_usual_and_the_best_is_kept(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=60)
    settings = asking(3)
    model = fit_customer_model(dataset, settings, tmp_path / "training")
    search = msgspec.json.decode(
        (tmp_path / "training/tuning.json").read_bytes(), type=tuning.Tuned
    )
    assert len(search.trials) == 3
    assert search.trials[0].dials == tuning.usual_dials(dataset, settings)
    assert len({trial.dials for trial in search.trials}) == 3
    assert search.best.score == max(t.score for t in search.trials if not t.pruned)
    assert read_notes(tmp_path / "training").dials == search.best.dials
    assert model.shape.dropout == search.best.dials.dropout
    assert not list((tmp_path / "training").glob("trial-*"))
    again = refresh(dataset, settings, model, tmp_path / "refreshed")
    assert again.shape.table_dropout == search.best.dials.table_dropout


def test_a_killed_search_goes_on_with_the_next_trial(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run", n_users=60)
    whole = tuning.tune(dataset, asking(3), _folder(tmp_path / "whole"))
    killed = _folder(tmp_path / "killed")
    trial = []

    def train(*words, **named):
        if len(trial) == 2:
            raise KeyboardInterrupt
        trial.append(1)
        return train_network(*words, **named)

    monkeypatch.setattr(tuning, "train_network", train)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(dataset, asking(3), killed)
    assert len(tuning.read_tuned(killed, whole.inputs_hash).trials) == 2
    monkeypatch.setattr(tuning, "train_network", train_network)
    resumed = tuning.tune(dataset, asking(3), killed)
    assert [t.dials for t in resumed.trials] == [t.dials for t in whole.trials]
    assert [t.scores for t in resumed.trials] == [t.scores for t in whole.trials]
    assert not tuning.read_tuned(killed, "other data").trials


def test_settings_beyond_the_ranges_and_a_loss_that_runs_away(tmp_path, monkeypatch):
    dataset = rising_dataset(tmp_path / "run", n_users=60)
    settings = asking(3)
    wild = msgspec.structs.replace(settings.train, learning_rate=0.05)
    settings = msgspec.structs.replace(settings, train=wild)

    def train(dataset, settings, folder, **named):
        if settings.train.learning_rate != 0.05:
            raise LossError("the loss is nan")
        return train_network(dataset, settings, folder, **named)

    monkeypatch.setattr(tuning, "train_network", train)
    search = tuning.tune(dataset, settings, _folder(tmp_path / "folder"))
    assert [trial.pruned for trial in search.trials] == [False, True, True]
    assert search.best.dials.learning_rate == 0.05


def test_time_bounds_the_search(tmp_path):
    dataset = rising_dataset(tmp_path / "run", n_users=60)
    search = tuning.tune(dataset, asking(9, max_minutes=1e-4), _folder(tmp_path / "folder"))
    assert len(search.trials) == 1


def test_a_pruned_trial_is_never_best():
    good = tuning.Trial(tuning.Dials(1e-3, 0.1, 0.1), [0.1, 0.2], 1.0)
    fell = tuning.Trial(tuning.Dials(1e-2, 0.1, 0.1), [0.3], 1.0, pruned=True)
    assert tuning.Tuned("", [fell, good]).best is good
    assert np.isneginf(tuning.Trial(good.dials, [], 1.0).score)


def test_section_is_optional_and_bounded():
    users = {"users": {"path": "users.csv"}}
    assert parse_settings(users).tuning is None
    search = parse_settings({**users, "tuning": {"trials": 4}}).tuning
    assert search is not None and search.trials == 4


def _folder(path):
    path.mkdir()
    return path
