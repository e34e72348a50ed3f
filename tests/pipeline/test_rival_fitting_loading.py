"""Rivals are fitted side by side; their libraries are loaded before that, by one thread."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from propense.models.rivals.goals import fitting
from propense.pipeline import rival_fitting


def test_libraries_are_loaded_by_the_thread_that_starts_the_others(monkeypatch):
    loaded: list[tuple[str, threading.Thread]] = []
    real = fitting.fitter_of

    def noted(name):
        loaded.append((name, threading.current_thread()))
        return real(name)

    class Nothing:
        """Whatever is asked of a data set, before anything is fitted."""

        def __getattr__(self, name):
            return self

        def __call__(self, *words):
            return self

        goals = (type("Goal", (), {"name": "pay", "kind": "binary"})(),)
        numeric_names = cardinalities = ()

    monkeypatch.setattr(rival_fitting, "fitter_of", noted)
    monkeypatch.setattr(rival_fitting, "draw_rows", lambda *words: np.zeros(0))
    settings = Nothing()
    settings.train = settings.split = type("Seeded", (), {"seed": 0})()
    settings.rivals = type(
        "Rivals", (), {"goals": ("tree", "svm", "lightgbm"), "rows_of": lambda *_: 9}
    )()
    fits = list(rival_fitting._goal_fits(Nothing(), settings, Path("/nowhere")))
    # The base rate is always fitted.
    names = ["tree", "svm", "lightgbm", "majority"]
    assert [fit.name for fit in fits] == [f"{name} for pay" for name in names]
    assert [name for name, _ in loaded] == names
    assert {thread for _, thread in loaded} == {threading.main_thread()}
